// The calendar's twin: UTC, and Europe/Berlin by the rule of the European Union in every year.
#pragma once

#include "taskd/port/calendar.hpp"

namespace taskd::sim {

class MemoryCalendar final : public port::Calendar {
  public:
    Result<ZoneSpan> span(const std::string& zone, WallTime at) override {
        if (zone == "UTC") return ZoneSpan{WallTime::min(), WallTime::max(), Duration{0}};
        if (zone != "Europe/Berlin") return fail(ErrorCode::unknown_zone, zone);
        using namespace std::chrono;
        const auto day = floor<days>(at);
        const year_month_day date{sys_days{day.time_since_epoch()}};
        const WallTime spring = change(date.year(), March), autumn = change(date.year(), October);
        if (at < spring) return ZoneSpan{change(date.year() - years{1}, October), spring, hours{1}};
        if (at < autumn) return ZoneSpan{spring, autumn, hours{2}};
        return ZoneSpan{autumn, change(date.year() + years{1}, March), hours{1}};
    }

  private:
    // The last Sunday of the month, at one o'clock UTC.
    static WallTime change(std::chrono::year year, std::chrono::month month) {
        using namespace std::chrono;
        const sys_days day{year / month / Sunday[last]};
        return WallTime{day.time_since_epoch() + hours{1}};
    }
};

}  // namespace taskd::sim
