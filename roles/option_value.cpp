// Reads the text of an option: what each kind takes.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "options.hpp"
#include "taskd/base/duration_text.hpp"

namespace taskd::roles {
namespace {

using Read = std::expected<std::int64_t, std::string>;

std::optional<std::int64_t> read_integer(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

Read read_number(const OptionRow& row, std::string_view text) {
    const std::int64_t most = row.kind == OptionKind::port ? 65535 : row.most;
    const auto number = read_integer(text);
    if (!number || *number < row.least || *number > most)
        return std::unexpected{fmt::format("a number from {} to {}", row.least, most)};
    return *number;
}

Read read_switch(std::string_view text) {
    constexpr std::string_view on[] = {"1", "true", "yes", "on"};
    constexpr std::string_view off[] = {"0", "false", "no", "off"};
    if (std::ranges::find(on, text) != std::end(on)) return 1;
    if (std::ranges::find(off, text) != std::end(off)) return 0;
    return std::unexpected{"1 or 0"};
}

Read read_duration(const OptionRow& row, std::string_view text) {
    const auto duration = parse_duration(text);
    if (!duration) return std::unexpected{"a duration such as 1.5s, 250ms or 2m30s"};
    if (duration->count() < row.least)
        return std::unexpected{"at least " + to_text(Duration{row.least})};
    return duration->count();
}

Read read_bytes(const OptionRow& row, std::string_view text) {
    constexpr std::pair<std::string_view, int> units[] = {
        {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"B", 0}};
    int shift = 0;
    for (const auto& [unit, bits] : units) {
        if (!text.ends_with(unit)) continue;
        text.remove_suffix(unit.size());
        shift = bits;
        break;
    }
    const auto count = read_integer(text);
    const std::int64_t bound = row.most >> shift;
    if (!count || *count < 0 || *count > bound || (*count << shift) < row.least)
        return std::unexpected{
            fmt::format("bytes such as 512KiB or 16MiB, from {} to {}", row.least, row.most)};
    return *count << shift;
}

Read read_choice(const OptionRow& row, std::string_view text) {
    const auto choices = choices_of(row);
    if (std::ranges::find(choices, text) != choices.end()) return 0;
    return std::unexpected{std::string{row.value}};
}

Read read_kind(const OptionRow& row, std::string_view text) {
    switch (row.kind) {
        case OptionKind::text:
            return 0;
        case OptionKind::choice:
            return read_choice(row, text);
        case OptionKind::toggle:
            return read_switch(text);
        case OptionKind::number:
        case OptionKind::port:
            return read_number(row, text);
        case OptionKind::duration:
            return read_duration(row, text);
        case OptionKind::bytes:
            return read_bytes(row, text);
    }
    return 0;
}

}  // namespace

std::vector<std::string_view> choices_of(const OptionRow& row) {
    std::vector<std::string_view> choices;
    if (row.kind != OptionKind::choice) return choices;
    std::string_view rest = row.value;
    while (!rest.empty()) {
        choices.push_back(rest.substr(0, rest.find('|')));
        rest.remove_prefix(std::min(choices.back().size() + 1, rest.size()));
    }
    return choices;
}

std::expected<OptionValue, std::string> read_option(const OptionRow& row, std::string text) {
    if (!row.word.empty() && text == row.word) return OptionValue{std::move(text), 0};
    auto number = read_kind(row, text);
    if (!number) return std::unexpected{std::move(number).error()};
    return OptionValue{std::move(text), *number};
}

}  // namespace taskd::roles
