// Lua's patterns (reference manual 5.4, 6.4.1) with a bound on the steps of a search: some patterns
// take time exponential in the text, and within Lua's own functions nothing could stop them. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace taskd::lua {

// Where `wanted` is in `text`, from `begin` on; npos: nowhere. In time linear in both, which
// std::string_view does not promise.
std::size_t find_text(std::string_view text, std::string_view wanted, std::size_t begin = 0);

class Pattern {
  public:
    static constexpr std::size_t captures_max = 32;
    static constexpr int depth_max = 200;

    struct Capture {
        std::size_t begin = 0;
        std::size_t length = 0;
        bool is_position = false;
        bool open = false;
    };

    // Both outlive it. `steps` are taken away from; at 0 the search ends with an error.
    Pattern(std::string_view subject, std::string_view pattern, std::uint64_t& steps)
        : subject_{subject}, pattern_{pattern}, steps_{steps} {}

    // The end of a match of the whole pattern that begins at `at`. nullopt: none, or an error.
    std::optional<std::size_t> match(std::size_t at);

    // Of the newest match.
    std::size_t count() const { return count_; }
    const Capture& capture(std::size_t index) const { return captures_[index]; }

    // Empty unless the pattern is malformed or took too many steps.
    const std::string& error() const { return error_; }
    bool out_of_steps() const { return out_of_steps_; }

  private:
    using Found = std::optional<std::size_t>;

    Found from(std::size_t at, std::size_t p);
    Found single(std::size_t at, std::size_t p, std::size_t next);
    Found longest(std::size_t at, std::size_t p, std::size_t next);
    Found shortest(std::size_t at, std::size_t p, std::size_t next);
    Found open_capture(std::size_t at, std::size_t p, bool is_position);
    Found close_capture(std::size_t at, std::size_t p);
    Found balanced(std::size_t at, std::size_t p);
    Found frontier(std::size_t at, std::size_t p, std::size_t& next);
    Found repeated_capture(std::size_t at, char digit);
    std::size_t class_end(std::size_t p);
    bool fits(std::size_t at, std::size_t p, std::size_t next) const;
    bool in_set(unsigned char c, std::size_t p, std::size_t last) const;
    bool step();
    void take_steps(std::size_t set_bytes) const;
    Found fault(std::string what);

    std::string_view subject_;
    std::string_view pattern_;
    std::uint64_t& steps_;
    std::array<Capture, captures_max> captures_{};
    std::size_t count_ = 0;
    int depth_ = 0;
    std::string error_;
    bool out_of_steps_ = false;
};

}  // namespace taskd::lua
