// One JSON value from somebody else, read forgivingly: what is missing or of another kind is empty.
// For answers whose every field may be there or not; our own contract is read strictly. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace taskd::protocol {

// A view into a text that passed check_json and outlives it.
class JsonView {
  public:
    JsonView() = default;
    explicit JsonView(std::string_view raw) : raw_{raw} {}

    JsonView operator[](std::string_view field) const;
    std::vector<JsonView> items() const;
    std::string text() const;  // a string's text, any other value as it stands; null is ""
    std::optional<std::uint64_t> number() const;  // a whole number from 0; none for anything else
    bool is_true() const { return raw_ == "true"; }
    std::string_view raw() const { return raw_; }
    bool empty() const { return raw_.empty() || raw_ == "null"; }

  private:
    std::string_view raw_;
};

}  // namespace taskd::protocol
