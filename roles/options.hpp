// Named options of a subcommand: a flag goes over the environment (TASKD_NAME), that over the
// settings file, that over the default. One table of rows feeds parsing, help, manual pages,
// completion and settings files. Everything is checked when it is parsed, so a role reads values
// that are there and right.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"
#include "taskd/model/document.hpp"

namespace taskd::roles {

enum class OptionKind {
    text,
    toggle,    // given or not; takes no value
    number,    // between least and most
    port,      // 0 to 65535
    duration,  // "1.5s", "2m30s", a bare number is seconds
    bytes,     // "16MiB", "1GiB", a bare number is bytes; between least and most
    choice,    // one of `value`, split at '|'
};

struct OptionRow {
    std::string_view name;
    char letter = 0;
    OptionKind kind = OptionKind::text;
    std::string_view value;     // stands for the value in the help: "DIR", "FILE" are paths
    std::string_view fallback;  // empty: none
    std::string_view help;
    std::int64_t least = 0;
    std::int64_t most = std::numeric_limits<std::int64_t>::max();
    bool from_environment = true;
    bool from_file = true;       // unless it is not even taken from the environment
    bool reloads = false;        // a running role takes a change on SIGHUP
    std::string_view word = {};  // taken in place of a number

    bool is_setting() const { return from_environment && from_file; }
};

// Which settings file a page reads: a role its own (--config), a client command a section of the
// person's (--client-config), a tool none.
enum class PageKind { tool, role, client };

struct Example {
    std::string_view command;  // "taskd submit sum 1 2 3"
    std::string_view what;     // what it does, may be empty
};

// What a subcommand says of itself.
struct Page {
    std::string_view name;       // one word, or two: "pizza order"
    std::string_view arguments;  // "TYPE [ARG…]"
    std::string_view summary;    // one line
    std::string_view text;       // the rest, may be empty
    std::vector<OptionRow> options;
    std::size_t positional_min = 0;
    std::size_t positional_max = 0;
    PageKind kind = PageKind::tool;
    std::vector<Example> examples;
    std::vector<std::string_view> words;  // what the first argument may be, for completion
};

// "pizza-order" of "pizza order": where a name is one word, as in names of files.
std::string dashed_name(const Page& page);

// The row that names the settings file of such a page; empty for a tool.
std::string_view config_option(PageKind kind);

struct OptionValue {
    std::string text;
    std::int64_t number = 0;  // toggle, number, port, bytes; duration in microseconds
};
// The value, or what would have been one: "a number from 1 to 5".
std::expected<OptionValue, std::string> read_option(const OptionRow& row, std::string text);
std::vector<std::string_view> choices_of(const OptionRow& row);

// Where values come from beside the flags.
struct OptionSources {
    // A variable's value or nullptr.
    const char* (*environment)(const char*) = nullptr;
    // file_missing, or config_invalid with the place; empty: no file is read.
    std::function<Result<Document>(const std::string& path)> read_file;
    std::string client_file;         // read by client commands when it is there and none is named
    std::vector<const Page*> pages;  // that a client file may have a section of
};

enum class OptionSource { none, fallback, file, environment, flag };

class Options {
  public:
    // bad_usage with one line that says what to change; config_invalid with file, line and column;
    // file_missing for a settings file that was named. "--help" is a toggle that every page has;
    // with it nothing else is checked. Page and arguments are copied.
    static Result<Options> parse(const Page& page, std::span<const std::string> arguments,
                                 const OptionSources& sources);
    // The same once more, as files now are.
    Result<Options> again() const;

    const std::string& text(std::string_view name) const;  // empty when it was not given
    bool toggle(std::string_view name) const;
    std::int64_t number(std::string_view name) const;
    std::uint16_t port(std::string_view name) const;
    Duration duration(std::string_view name) const;
    std::uint64_t bytes(std::string_view name) const;
    OptionSource source(std::string_view name) const;
    // "--url", "TASKD_URL", "worker.yaml:3:1", "default" or "".
    const std::string& origin(std::string_view name) const;
    // Each value a flag was given with, in their order; of others none.
    const std::vector<std::string>& all(std::string_view name) const;
    // By a person: in a file, the environment or a flag.
    bool given(std::string_view name) const { return source(name) >= OptionSource::file; }
    bool help() const { return help_; }
    const std::vector<std::string>& positional() const { return positional_; }
    const Page& page() const { return input_->page; }

  private:
    struct Value {
        OptionKind kind = OptionKind::text;
        OptionSource source = OptionSource::none;
        std::string origin;
        OptionValue value;
    };
    struct Input {
        Page page;
        std::vector<std::string> arguments;
        OptionSources sources;
    };
    using Given = std::map<std::string, Value, std::less<>>;

    const Value& value(std::string_view name) const;
    const OptionValue& value(std::string_view name, OptionKind kind) const;
    Result<void> take_environment();
    Result<void> take_file();
    Result<void> check_positional() const;

    std::shared_ptr<const Input> input_;
    Given values_;
    std::map<std::string, std::vector<std::string>, std::less<>> said_;
    std::vector<std::string> positional_;
    bool help_ = false;
};

// "TASKD_RETRY_FOR" for "retry-for".
std::string environment_name(std::string_view option);

// The page as `taskd help NAME` prints it.
std::string write_page(const Page& page);

}  // namespace taskd::roles
