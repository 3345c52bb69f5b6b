// cxxopts reads the flags, here alone: it costs five seconds to compile.
#include "options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cxxopts.hpp>

#include "taskd/base/assert.hpp"
#include "taskd/base/duration_text.hpp"

namespace taskd::roles {
namespace {

// cxxopts takes "-1" for a flag. An argument that starts like a negative number is no flag here, so
// its dash is hidden from cxxopts behind this character and put back afterwards.
constexpr char hidden_dash = '\x01';

std::string hide(const std::string& argument) {
    const bool negative =
        argument.size() > 1 && argument[0] == '-' && argument[1] >= '0' && argument[1] <= '9';
    return negative ? hidden_dash + argument.substr(1) : argument;
}

std::string show(std::string text) {
    if (text.starts_with(hidden_dash)) text[0] = '-';
    return text;
}

std::unexpected<Error> bad_value(const OptionRow& row, OptionSource source, const std::string& text,
                                 std::string_view expected) {
    const std::string name = source == OptionSource::environment ? environment_name(row.name)
                                                                 : fmt::format("--{}", row.name);
    return fail(ErrorCode::bad_usage, fmt::format("{} takes {}, not '{}'", name, expected, text));
}

std::optional<std::int64_t> read_number(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::optional<bool> read_switch(std::string_view text) {
    constexpr std::string_view on[] = {"1", "true", "yes", "on"};
    constexpr std::string_view off[] = {"0", "false", "no", "off"};
    if (std::ranges::find(on, text) != std::end(on)) return true;
    if (std::ranges::find(off, text) != std::end(off)) return false;
    return std::nullopt;
}

bool is_choice(std::string_view choices, std::string_view text) {
    while (!choices.empty()) {
        const std::string_view choice = choices.substr(0, choices.find('|'));
        if (choice == text) return true;
        choices.remove_prefix(std::min(choice.size() + 1, choices.size()));
    }
    return false;
}

cxxopts::Options table_of(const Page& page) {
    cxxopts::Options table{std::string{page.name}};
    auto add = table.add_options();
    add("h,help", "");
    for (const OptionRow& row : page.options) {
        std::string name{row.name};
        if (row.letter != 0) name = fmt::format("{},{}", row.letter, row.name);
        if (row.kind == OptionKind::toggle)
            add(name, "");
        else
            add(name, "", cxxopts::value<std::string>());
    }
    return table;
}

Result<cxxopts::ParseResult> parse_flags(const Page& page, std::span<const std::string> arguments) {
    std::vector<std::string> hidden{"taskd"};
    std::ranges::transform(arguments, std::back_inserter(hidden), hide);
    std::vector<const char*> pointers;
    for (const std::string& argument : hidden)
        pointers.push_back(argument.c_str());
    try {
        return table_of(page).parse(static_cast<int>(pointers.size()), pointers.data());
    } catch (const cxxopts::exceptions::exception& error) {
        return fail(ErrorCode::bad_usage,
                    fmt::format("{}; see 'taskd help {}'", error.what(), page.name));
    }
}

}  // namespace

std::string environment_name(std::string_view option) {
    std::string name = "TASKD_";
    for (const char c : option)
        name.push_back(c == '-' ? '_'
                                : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c));
    return name;
}

Result<Options> Options::parse(const Page& page, std::span<const std::string> arguments,
                               const char* (*environment)(const char*)) {
    const auto flags = parse_flags(page, arguments);
    if (!flags) return std::unexpected{flags.error()};
    Options options;
    options.help_ = flags->count("help") != 0;
    for (const std::string& text : flags->unmatched())
        options.positional_.push_back(show(text));
    for (const OptionRow& row : page.options) {
        const std::string name{row.name};
        OptionSource source = row.fallback.empty() ? OptionSource::none : OptionSource::fallback;
        std::string text{row.fallback};
        const char* variable =
            row.from_environment ? environment(environment_name(row.name).c_str()) : nullptr;
        if (flags->count(name) != 0) {
            source = OptionSource::flag;
            text = row.kind == OptionKind::toggle ? "1" : show((*flags)[name].as<std::string>());
        } else if (variable != nullptr && *variable != '\0') {
            source = OptionSource::environment;
            text = variable;
        }
        auto value = read(row, source, std::move(text));
        if (!value && !options.help_) return fail(std::move(value));
        if (value) options.values_.emplace(name, std::move(*value));
    }
    const std::size_t count = options.positional_.size();
    if (!options.help_ && (count < page.positional_min || count > page.positional_max))
        return fail(
            ErrorCode::bad_usage,
            fmt::format(
                "{} argument{}; usage: taskd {} {}",
                count < page.positional_min ? "missing" : "unexpected",
                count < page.positional_min ? "" : fmt::format(" '{}'", options.positional_.back()),
                page.name, page.arguments));
    return options;
}

Result<Options::Value> Options::read(const OptionRow& row, OptionSource source, std::string text) {
    Value value{row.kind, source, std::move(text), 0};
    if (source == OptionSource::none) return value;
    switch (row.kind) {
        case OptionKind::text:
            break;
        case OptionKind::choice:
            if (!is_choice(row.value, value.text))
                return bad_value(row, source, value.text, row.value);
            break;
        case OptionKind::toggle: {
            const auto on = read_switch(value.text);
            if (!on) return bad_value(row, source, value.text, "1 or 0");
            value.number = *on ? 1 : 0;
            break;
        }
        case OptionKind::number:
        case OptionKind::port: {
            const std::int64_t most = row.kind == OptionKind::port ? 65535 : row.most;
            const auto number = read_number(value.text);
            if (!number || *number < row.least || *number > most)
                return bad_value(row, source, value.text,
                                 fmt::format("a number from {} to {}", row.least, most));
            value.number = *number;
            break;
        }
        case OptionKind::duration: {
            const auto duration = parse_duration(value.text);
            if (!duration)
                return bad_value(row, source, value.text,
                                 "a duration such as 1.5s, 250ms or 2m30s");
            if (duration->count() < row.least)
                return bad_value(row, source, value.text,
                                 "at least " + to_text(Duration{row.least}));
            value.number = duration->count();
            break;
        }
    }
    return value;
}

const Options::Value& Options::value(std::string_view name) const {
    const auto found = values_.find(name);
    TASKD_ASSERT(found != values_.end());
    return found->second;
}

const std::string& Options::text(std::string_view name) const {
    return value(name).text;
}

bool Options::toggle(std::string_view name) const {
    TASKD_ASSERT(value(name).kind == OptionKind::toggle);
    return value(name).number != 0;
}

std::int64_t Options::number(std::string_view name) const {
    TASKD_ASSERT(value(name).kind == OptionKind::number);
    return value(name).number;
}

std::uint16_t Options::port(std::string_view name) const {
    TASKD_ASSERT(value(name).kind == OptionKind::port);
    return static_cast<std::uint16_t>(value(name).number);
}

Duration Options::duration(std::string_view name) const {
    TASKD_ASSERT(value(name).kind == OptionKind::duration);
    return Duration{value(name).number};
}

OptionSource Options::source(std::string_view name) const {
    return value(name).source;
}

std::string write_page(const Page& page) {
    std::string out = fmt::format("usage: taskd {}{}{}{}\n\n{}\n", page.name,
                                  page.options.empty() ? "" : " [OPTION…]",
                                  page.arguments.empty() ? "" : " ", page.arguments, page.summary);
    if (!page.text.empty()) out += fmt::format("\n{}\n", page.text);
    if (page.options.empty()) return out;
    out += "\noptions:\n";
    for (const OptionRow& row : page.options) {
        std::string left = row.letter != 0 ? fmt::format("  -{}, --{}", row.letter, row.name)
                                           : fmt::format("      --{}", row.name);
        if (row.kind != OptionKind::toggle) left += fmt::format(" {}", row.value);
        out += fmt::format("{:<30} {}", left, row.help);
        if (!row.fallback.empty()) out += fmt::format(" (default {})", row.fallback);
        if (row.from_environment) out += fmt::format(" [{}]", environment_name(row.name));
        out += '\n';
    }
    return out;
}

}  // namespace taskd::roles
