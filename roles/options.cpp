// cxxopts reads the flags, here alone: it costs five seconds to compile.
#include "options.hpp"

#include <fmt/format.h>

#include <algorithm>
#define CXXOPTS_NO_REGEX true  // its parser is as good and compiled in half the time
#include <cxxopts.hpp>

#include "settings_file.hpp"
#include "taskd/base/assert.hpp"
#include "taskd/base/nearest.hpp"

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

cxxopts::Options table_of(const Page& page) {
    cxxopts::Options table{std::string{page.name}};
    auto add = table.add_options();
    add("h,help", "");
    for (const OptionRow& row : page.options) {
        std::string name{row.name};
        if (row.letter != 0) name = fmt::format("{},{}", row.letter, row.name);
        auto value = cxxopts::value<std::string>();
        if (row.kind == OptionKind::toggle) value->implicit_value("1");
        add(name, "", value);
    }
    return table;
}

// The flag that one of these arguments may have meant.
std::string meant_flag(const Page& page, std::span<const std::string> arguments) {
    std::vector<std::string_view> names{"help"};
    for (const OptionRow& row : page.options)
        names.push_back(row.name);
    for (std::string_view argument : arguments) {
        if (argument == "--") break;
        if (!argument.starts_with("--")) continue;
        argument = argument.substr(2, argument.find('=') - 2);
        if (std::ranges::find(names, argument) != names.end()) continue;
        const std::string_view nearest = nearest_name(argument, names);
        return nearest.empty() ? "" : fmt::format("; did you mean '--{}'?", nearest);
    }
    return {};
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
        return fail(ErrorCode::bad_usage, fmt::format("{}{}; see 'taskd help {}'", error.what(),
                                                      meant_flag(page, arguments), page.name));
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

std::string_view config_option(PageKind kind) {
    if (kind == PageKind::tool) return {};
    return kind == PageKind::role ? "config" : "client-config";
}

Result<Options> Options::parse(const Page& page, std::span<const std::string> arguments,
                               const OptionSources& sources) {
    const auto flags = parse_flags(page, arguments);
    if (!flags) return std::unexpected{flags.error()};
    Options options;
    options.input_ =
        std::make_shared<const Input>(Input{page, {arguments.begin(), arguments.end()}, sources});
    options.help_ = flags->count("help") != 0;
    for (const std::string& text : flags->unmatched())
        options.positional_.push_back(show(text));
    for (const auto& said : flags->arguments())
        options.said_[said.key()].push_back(show(said.value()));
    for (const OptionRow& row : page.options) {
        const std::string name{row.name};
        Value value{row.kind, OptionSource::none, {}, {}};
        if (flags->count(name) != 0) {
            std::string text = show((*flags)[name].as<std::string>());
            auto read = read_option(row, text);
            if (!read && !options.help_)
                return fail(ErrorCode::bad_usage,
                            fmt::format("--{} takes {}, not '{}'", name, read.error(), text));
            if (read) value = {row.kind, OptionSource::flag, "--" + name, std::move(*read)};
        } else if (!row.fallback.empty()) {
            auto read = read_option(row, std::string{row.fallback});
            TASKD_ASSERT(read.has_value());  // the table's own defaults are right
            value = {row.kind, OptionSource::fallback, "default", std::move(*read)};
        }
        options.values_.emplace(name, std::move(value));
    }
    if (options.help_) return options;
    if (auto taken = options.take_environment(); !taken) return fail(std::move(taken));
    if (auto taken = options.take_file(); !taken) return fail(std::move(taken));
    if (auto checked = options.check_positional(); !checked) return fail(std::move(checked));
    return options;
}

Result<Options> Options::again() const {
    return parse(input_->page, input_->arguments, input_->sources);
}

Result<void> Options::take_environment() {
    if (input_->sources.environment == nullptr) return {};
    for (const OptionRow& row : input_->page.options) {
        Value& value = values_.find(row.name)->second;
        if (!row.from_environment || value.source == OptionSource::flag) continue;
        const std::string name = environment_name(row.name);
        const char* variable = input_->sources.environment(name.c_str());
        if (variable == nullptr || *variable == '\0') continue;
        auto read = read_option(row, variable);
        if (!read)
            return fail(ErrorCode::bad_usage,
                        fmt::format("{} takes {}, not '{}'", name, read.error(), variable));
        value = {row.kind, OptionSource::environment, name, std::move(*read)};
    }
    return {};
}

Result<void> Options::take_file() {
    const auto& [page, arguments, sources] = *input_;
    const auto named = values_.find(config_option(page.kind));
    if (named == values_.end() || !sources.read_file) return {};
    const bool is_named = named->second.source != OptionSource::none;
    const std::string& path = is_named ? named->second.value.text : sources.client_file;
    if (path.empty() || (!is_named && page.kind != PageKind::client)) return {};
    const auto document = sources.read_file(path);
    if (!document && document.error().code == ErrorCode::file_missing && !is_named) return {};
    if (!document) return std::unexpected{document.error()};
    auto settings = read_settings(*document, page, sources.pages);
    if (!settings.faults.empty()) return std::unexpected{settings.faults.front()};
    for (auto& [name, setting] : settings.values) {
        Value& value = values_.find(name)->second;
        if (value.source <= OptionSource::file)
            value = {value.kind, OptionSource::file, std::move(setting.place),
                     std::move(setting.value)};
    }
    return {};
}

Result<void> Options::check_positional() const {
    const Page& page = input_->page;
    const std::size_t count = positional_.size();
    if (count >= page.positional_min && count <= page.positional_max) return {};
    return fail(
        ErrorCode::bad_usage,
        fmt::format("{} argument{}; usage: taskd {} {}",
                    count < page.positional_min ? "missing" : "unexpected",
                    count < page.positional_min ? "" : fmt::format(" '{}'", positional_.back()),
                    page.name, page.arguments));
}

const Options::Value& Options::value(std::string_view name) const {
    const auto found = values_.find(name);
    TASKD_ASSERT(found != values_.end());
    return found->second;
}

const OptionValue& Options::value(std::string_view name, OptionKind kind) const {
    const Value& found = value(name);
    TASKD_ASSERT(found.kind == kind);
    return found.value;
}

const std::string& Options::text(std::string_view name) const {
    return value(name).value.text;
}

bool Options::toggle(std::string_view name) const {
    return value(name, OptionKind::toggle).number != 0;
}

std::int64_t Options::number(std::string_view name) const {
    return value(name, OptionKind::number).number;
}

std::uint16_t Options::port(std::string_view name) const {
    return static_cast<std::uint16_t>(value(name, OptionKind::port).number);
}

Duration Options::duration(std::string_view name) const {
    return Duration{value(name, OptionKind::duration).number};
}

std::uint64_t Options::bytes(std::string_view name) const {
    return static_cast<std::uint64_t>(value(name, OptionKind::bytes).number);
}

OptionSource Options::source(std::string_view name) const {
    return value(name).source;
}

const std::vector<std::string>& Options::all(std::string_view name) const {
    static const std::vector<std::string> none;
    const auto found = said_.find(name);
    return found == said_.end() ? none : found->second;
}

const std::string& Options::origin(std::string_view name) const {
    return value(name).origin;
}

}  // namespace taskd::roles
