// Calendars: the system's time zones and their twin say the same.
#include <memory>
#include <set>

#include "catch.hpp"
#include "taskd/io/zone_calendar.hpp"
#include "taskd/sim/memory_calendar.hpp"

using namespace taskd;
using namespace std::chrono_literals;

namespace {

WallTime utc(int year, unsigned month, unsigned day, int hour) {
    const std::chrono::sys_days days{std::chrono::year{year} / static_cast<int>(month) /
                                     static_cast<int>(day)};
    return WallTime{days.time_since_epoch() + std::chrono::hours{hour}};
}

}  // namespace

TEST_CASE("a zone's clocks jump where the rules say, and spans meet") {
    const auto kind = GENERATE(0, 1);
    std::unique_ptr<port::Calendar> calendar = std::make_unique<io::ZoneCalendar>();
    if (kind == 1) calendar = std::make_unique<sim::MemoryCalendar>();

    const ZoneSpan summer = calendar->span("Europe/Berlin", utc(2026, 7, 1, 0)).value();
    CHECK(summer.begin == utc(2026, 3, 29, 1));
    CHECK(summer.end == utc(2026, 10, 25, 1));
    CHECK(summer.offset == 2h);
    const ZoneSpan winter = calendar->span("Europe/Berlin", summer.end).value();
    CHECK(winter.begin == summer.end);
    CHECK(winter.end == utc(2027, 3, 28, 1));
    CHECK(winter.offset == 1h);
    CHECK(calendar->span("Europe/Berlin", summer.end - 1us).value().offset == 2h);

    CHECK(calendar->span("UTC", utc(2026, 7, 1, 0)).value().offset == 0h);
    for (const char* wrong : {"Europe/Nowhere", "", "../../etc/passwd", "CEST+2"})
        CHECK(calendar->span(wrong, utc(2026, 7, 1, 0)).error().code == ErrorCode::unknown_zone);
}

TEST_CASE("zones without summer time, half hours and the far future can be asked for") {
    io::ZoneCalendar calendar;
    CHECK(calendar.span("Asia/Kolkata", utc(2026, 7, 1, 0)).value().offset == 5h + 30min);
    CHECK(calendar.span("Asia/Kolkata", utc(2026, 7, 1, 0)).value().end > utc(9999, 1, 1, 0));
    CHECK(calendar.span("America/New_York", utc(2026, 7, 1, 0)).value().offset == -4h);
    CHECK(calendar.span("Europe/Berlin", utc(2300, 7, 1, 0)));
}
