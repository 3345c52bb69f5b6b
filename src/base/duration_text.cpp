#include "taskd/base/duration_text.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace taskd {
namespace {

struct Unit {
    std::string_view name;
    std::int64_t microseconds;
};

// Largest first; "ms" before "m" does not matter because names are matched whole.
constexpr std::array units{Unit{"d", 86'400'000'000}, Unit{"h", 3'600'000'000},
                           Unit{"m", 60'000'000},     Unit{"s", 1'000'000},
                           Unit{"ms", 1'000},         Unit{"us", 1}};

const Unit* find_unit(std::string_view name) {
    for (const Unit& unit : units)
        if (unit.name == name) return &unit;
    return nullptr;
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) {
    if (text.empty()) return std::nullopt;
    double total = 0;
    bool first = true;
    while (!text.empty()) {
        double number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number,
                                                  std::chars_format::fixed);
        if (error != std::errc{} || number < 0) return std::nullopt;
        text.remove_prefix(static_cast<std::size_t>(end - text.data()));
        const std::size_t length = text.find_first_of("0123456789.-+");
        const std::string_view name = text.substr(0, length);
        const bool bare = first && name.empty() && text.empty();
        const Unit* unit = find_unit(bare ? "s" : name);
        if (unit == nullptr) return std::nullopt;
        first = false;
        total += number * static_cast<double>(unit->microseconds);
        text.remove_prefix(name.size());
    }
    if (!(total < 9e18)) return std::nullopt;
    return Duration{std::llround(total)};
}

std::string to_text(Duration duration) {
    std::int64_t left = duration.count();
    if (left == 0) return "0s";
    std::string text;
    if (left < 0) {
        text = "-";
        left = -left;
    }
    for (const Unit& unit : units) {
        const std::int64_t whole = left / unit.microseconds;
        if (whole == 0) continue;
        text.append(std::to_string(whole)).append(unit.name);
        left -= whole * unit.microseconds;
    }
    return text;
}

}  // namespace taskd
