// Named options of a subcommand: a flag goes over the environment (TASKD_NAME), that over the
// default. Everything is checked when it is parsed, so a role reads values that are there and
// right.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"

namespace taskd::roles {

enum class OptionKind {
    text,
    toggle,    // given or not; takes no value
    number,    // between least and most
    port,      // 0 to 65535
    duration,  // "1.5s", "2m30s", a bare number is seconds
    choice,    // one of `value`, split at '|'
};

struct OptionRow {
    std::string_view name;
    char letter = 0;
    OptionKind kind = OptionKind::text;
    std::string_view value;     // stands for the value in the help: "DIR"
    std::string_view fallback;  // empty: none
    std::string_view help;
    std::int64_t least = 0;
    std::int64_t most = std::numeric_limits<std::int64_t>::max();
    bool from_environment = true;
};

// What a subcommand says of itself.
struct Page {
    std::string_view name;
    std::string_view arguments;  // "TYPE [ARG…]"
    std::string_view summary;    // one line
    std::string_view text;       // the rest, may be empty
    std::vector<OptionRow> options;
    std::size_t positional_min = 0;
    std::size_t positional_max = 0;
};

enum class OptionSource { none, fallback, environment, flag };

class Options {
  public:
    // bad_usage with one line that says what to change. `environment` gives a variable's value or
    // nullptr. "--help" is a toggle that every page has; with it nothing else is checked.
    static Result<Options> parse(const Page& page, std::span<const std::string> arguments,
                                 const char* (*environment)(const char*));

    const std::string& text(std::string_view name) const;  // empty when it was not given
    bool toggle(std::string_view name) const;
    std::int64_t number(std::string_view name) const;
    std::uint16_t port(std::string_view name) const;
    Duration duration(std::string_view name) const;
    OptionSource source(std::string_view name) const;
    bool given(std::string_view name) const { return source(name) >= OptionSource::environment; }
    bool help() const { return help_; }
    const std::vector<std::string>& positional() const { return positional_; }

  private:
    struct Value {
        OptionKind kind = OptionKind::text;
        OptionSource source = OptionSource::none;
        std::string text;
        std::int64_t number = 0;  // toggle, number, port; duration in microseconds
    };
    const Value& value(std::string_view name) const;
    static Result<Value> read(const OptionRow& row, OptionSource source, std::string text);

    std::map<std::string, Value, std::less<>> values_;
    std::vector<std::string> positional_;
    bool help_ = false;
};

// "TASKD_RETRY_FOR" for "retry-for".
std::string environment_name(std::string_view option);

// The page as `taskd help NAME` prints it.
std::string write_page(const Page& page);

}  // namespace taskd::roles
