#include "taskd/model/cron.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <string>
#include <vector>

namespace taskd {
namespace {

using std::chrono::days;
using std::chrono::minutes;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::year_month_day;

struct Field {
    std::string_view name;
    int least;
    int most;
    std::span<const std::string_view> names;  // of the numbers from `least` on
};

constexpr std::array<std::string_view, 12> month_names{"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                                       "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr std::array<std::string_view, 7> day_names{"SUN", "MON", "TUE", "WED",
                                                    "THU", "FRI", "SAT"};
constexpr std::array<Field, 5> fields{{{"minute", 0, 59, {}},
                                       {"hour", 0, 23, {}},
                                       {"day of the month", 1, 31, {}},
                                       {"month", 1, 12, month_names},
                                       {"day of the week", 0, 7, day_names}}};
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> macros{
    {{"@hourly", "0 * * * *"},
     {"@daily", "0 0 * * *"},
     {"@midnight", "0 0 * * *"},
     {"@weekly", "0 0 * * 0"},
     {"@monthly", "0 0 1 * *"},
     {"@yearly", "0 0 1 1 *"},
     {"@annually", "0 0 1 1 *"}}};
constexpr auto horizon = days{9 * 366};  // 29 February may be eight years away

std::unexpected<Error> fault(const Field& field, std::string_view text) {
    return fail(ErrorCode::invalid_field,
                "cron: '" + std::string{text} + "' is no " + std::string{field.name});
}

bool same_name(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](char x, char y) {
        return (x >= 'a' && x <= 'z' ? static_cast<char>(x - 'a' + 'A') : x) == y;
    });
}

std::optional<int> read_number(const Field& field, std::string_view text) {
    for (std::size_t i = 0; i < field.names.size(); ++i)
        if (same_name(text, field.names[i])) return field.least + static_cast<int>(i);
    int value = 0;
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, value);
    if (error != std::errc{} || end != last || text.front() == '-') return std::nullopt;
    if (value < field.least || value > field.most) return std::nullopt;
    return value;
}

struct Range {
    int first;
    int last;
    int step;
};

std::optional<Range> read_range(const Field& field, std::string_view text) {
    Range range{field.least, field.most, 1};
    const std::size_t slash = text.find('/');
    if (slash != text.npos) {
        const Field step{"step", 1, field.most, {}};
        const std::string_view number = text.substr(slash + 1);
        const auto value = number.empty() ? std::nullopt : read_number(step, number);
        if (!value) return std::nullopt;
        range.step = *value;
        text = text.substr(0, slash);
    }
    if (text == "*") return range;
    const std::size_t dash = text.find('-');
    const std::string_view from = text.substr(0, dash);
    if (from.empty()) return std::nullopt;
    const auto first = read_number(field, from);
    if (!first) return std::nullopt;
    range.first = *first;
    if (dash == text.npos) {
        if (slash == text.npos) range.last = *first;  // "5/15" goes on to the end
        return range;
    }
    const std::string_view to = text.substr(dash + 1);
    const auto last = to.empty() ? std::nullopt : read_number(field, to);
    if (!last || *last < *first) return std::nullopt;
    range.last = *last;
    return range;
}

// The numbers of one field as bits.
Result<std::bitset<64>> read_field(const Field& field, std::string_view text) {
    std::bitset<64> bits;
    while (true) {
        const std::size_t comma = text.find(',');
        const std::string_view part = text.substr(0, comma);
        const auto range = part.empty() ? std::nullopt : read_range(field, part);
        if (!range) return fault(field, part);
        for (int value = range->first; value <= range->last; value += range->step)
            bits.set(static_cast<std::size_t>(value));
        if (comma == text.npos) return bits;
        text.remove_prefix(comma + 1);
    }
}

std::vector<std::string_view> split(std::string_view text) {
    std::vector<std::string_view> words;
    while (true) {
        const std::size_t begin = text.find_first_not_of(" \t");
        if (begin == text.npos) return words;
        text.remove_prefix(begin);
        const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
        words.push_back(text.substr(0, end));
        text.remove_prefix(end);
    }
}

template <std::size_t Size>
std::bitset<Size> narrow(const std::bitset<64>& bits) {
    return std::bitset<Size>{bits.to_ullong()};
}

}  // namespace

Result<Cron> Cron::parse(std::string_view text) {
    for (const auto& [name, meant] : macros)
        if (text == name) text = meant;
    const auto words = split(text);
    if (words.size() != fields.size())
        return fail(ErrorCode::invalid_field,
                    "cron: five fields are needed, here are " + std::to_string(words.size()));
    Cron cron;
    std::array<std::bitset<64>, fields.size()> bits;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        if (i == 2 && words[i] == "L") {
            cron.last_day_ = true;
            continue;
        }
        auto read = read_field(fields[i], words[i]);
        if (!read) return fail(std::move(read));
        bits[i] = *read;
    }
    if (bits[4][7]) bits[4].set(0);
    cron.minutes_ = narrow<60>(bits[0]);
    cron.hours_ = narrow<24>(bits[1]);
    cron.days_ = narrow<32>(bits[2]);
    cron.months_ = narrow<13>(bits[3]);
    bits[4].reset(7);
    cron.weekdays_ = narrow<7>(bits[4]);
    cron.any_day_ = words[2].starts_with('*');
    cron.any_weekday_ = words[4].starts_with('*');
    cron.any_hour_ = cron.hours_.all();
    const ZoneSpan utc{WallTime::min(), WallTime::max(), Duration{0}};
    if (!cron.next(WallTime{}, [&](WallTime) { return utc; }))
        return fail(ErrorCode::invalid_field, "cron: no day is ever '" + std::string{text} + "'");
    return cron;
}

bool Cron::day_matches(year_month_day day) const {
    if (!months_[static_cast<unsigned>(day.month())]) return false;
    const auto last = day.year() / day.month() / std::chrono::last;
    const bool by_day =
        last_day_ ? day == year_month_day{last} : days_[static_cast<unsigned>(day.day())];
    const bool by_weekday = weekdays_[std::chrono::weekday{sys_days{day}}.c_encoding()];
    // Of two restricted days either will do; one with a step over all days restricts the other.
    return any_day_ || any_weekday_ ? by_day && by_weekday : by_day || by_weekday;
}

// The first matching local minute in [from, end), both to the minute.
std::optional<sys_seconds> Cron::next_local(sys_seconds from, sys_seconds end) const {
    sys_days day = std::chrono::floor<days>(from);
    for (; day < end; day += days{1}) {
        const year_month_day date{day};
        if (!months_[static_cast<unsigned>(date.month())]) {
            day = sys_days{(date.year() / date.month() / 1) + std::chrono::months{1}} - days{1};
            continue;
        }
        if (!day_matches(date)) continue;
        const auto begin = std::max<sys_seconds>(from, day) - day;
        for (auto at = std::chrono::floor<minutes>(begin); at < days{1}; at += minutes{1}) {
            const auto hour = static_cast<std::size_t>(at / minutes{60});
            if (!hours_[hour]) {
                at = minutes{60 * (static_cast<int>(hour) + 1)} - minutes{1};
                continue;
            }
            if (!minutes_[static_cast<std::size_t>(at.count() % 60)]) continue;
            const sys_seconds found = day + at;
            return found < end ? std::optional{found} : std::nullopt;
        }
    }
    return std::nullopt;
}

std::optional<WallTime> Cron::next(WallTime after, const ZoneSpans& zone) const {
    using std::chrono::floor;
    using std::chrono::seconds;
    WallTime from = floor<minutes>(after) + minutes{1};
    const WallTime until = after + horizon;
    ZoneSpan span = zone(after);
    const auto local = [](WallTime at, const ZoneSpan& of) {
        return sys_seconds{floor<seconds>((at + of.offset).time_since_epoch())};
    };
    // Local times up to here were due in the span before: the clocks were set back over them.
    std::optional<sys_seconds> told_until;
    if (span.begin > WallTime::min()) {
        const ZoneSpan before = zone(span.begin - Duration{1});
        told_until = local(span.begin, before);
    }
    while (from < until) {
        sys_seconds begin = local(from, span);
        if (told_until && !any_hour_) begin = std::max(begin, *told_until);
        const WallTime stop = std::min(span.end, until);
        const auto found = next_local(begin, local(stop, span));
        if (found) return WallTime{Duration{found->time_since_epoch()}} - span.offset;
        if (stop == until) return std::nullopt;
        const ZoneSpan following = zone(span.end);
        // Minutes that the clocks jump over are due when they do.
        const sys_seconds before = local(span.end, span);
        const sys_seconds behind = local(span.end, following);
        if (behind > before && !any_hour_ && next_local(before, behind)) return span.end;
        told_until = before;
        from = std::max(from, span.end);
        span = following;
    }
    return std::nullopt;
}

}  // namespace taskd
