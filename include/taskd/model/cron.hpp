// Cron expressions and when they are due next, in a time zone whose clocks may jump. Pure: the zone
// comes as its spans, each with one offset from UTC.
//
// Five fields: minute, hour, day of the month (L is the last), month, day of the week (0 and 7 are
// Sunday), each `*`, numbers, names (JAN, MON), ranges a-b, steps */n and a-b/n, lists with commas.
// When both days are restricted either may match. Also @hourly, @daily (@midnight), @weekly,
// @monthly, @yearly (@annually).
#pragma once

#include <bitset>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"

namespace taskd {

// A stretch of time during which a zone's clocks do not jump.
struct ZoneSpan {
    WallTime begin;
    WallTime end;     // not in it
    Duration offset;  // local time is UTC plus this
};
// The span around an instant.
using ZoneSpans = std::function<ZoneSpan(WallTime)>;

class Cron {
  public:
    // invalid_field with the field at fault; also when no day ever matches (30 February).
    static Result<Cron> parse(std::string_view text);

    // The first instant after `after`, to the minute; none within the next nine years. At the jump
    // forward, times that do not exist are due once, when it happens; at the jump back, times that
    // exist twice are due at the first of them, unless every hour is meant (`*` or `*/1`), which
    // goes by real hours.
    std::optional<WallTime> next(WallTime after, const ZoneSpans& zone) const;

    friend bool operator==(const Cron&, const Cron&) = default;

  private:
    bool day_matches(std::chrono::year_month_day day) const;
    std::optional<std::chrono::sys_seconds> next_local(std::chrono::sys_seconds from,
                                                       std::chrono::sys_seconds end) const;

    std::bitset<60> minutes_;
    std::bitset<24> hours_;
    std::bitset<32> days_;    // of the month, from 1
    std::bitset<13> months_;  // from 1
    std::bitset<7> weekdays_;
    bool last_day_ = false;
    bool any_day_ = false;  // of the month
    bool any_weekday_ = false;
    bool any_hour_ = false;
};

}  // namespace taskd
