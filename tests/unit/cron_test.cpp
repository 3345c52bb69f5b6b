// Cron expressions: what they mean, what they refuse, and both edges of summer time.
#include "taskd/model/cron.hpp"

#include "catch.hpp"

using namespace taskd;
using namespace std::chrono_literals;

namespace {

using std::chrono::sys_days;

WallTime utc(int year, unsigned month, unsigned day, int hour = 0, int minute = 0) {
    const sys_days days{std::chrono::year{year} / static_cast<int>(month) / static_cast<int>(day)};
    return WallTime{days.time_since_epoch() + std::chrono::hours{hour} +
                    std::chrono::minutes{minute}};
}

// Berlin around the two jumps of 2026, at 01:00 UTC each.
ZoneSpan berlin(WallTime at) {
    const WallTime summer = utc(2026, 3, 29, 1);
    const WallTime winter = utc(2026, 10, 25, 1);
    if (at < summer) return {WallTime::min(), summer, 1h};
    if (at < winter) return {summer, winter, 2h};
    return {winter, WallTime::max(), 1h};
}

ZoneSpan plain(WallTime) {
    return {WallTime::min(), WallTime::max(), 0h};
}

// Every instant in [from, to), in UTC.
std::vector<std::string> due(std::string_view text, const ZoneSpans& zone, WallTime from,
                             WallTime to) {
    const auto cron = Cron::parse(text);
    REQUIRE(cron);
    std::vector<std::string> times;
    for (auto at = cron->next(from - Duration{1}, zone); at && *at < to; at = cron->next(*at, zone))
        times.push_back(to_rfc3339(*at).substr(5, 11));
    return times;
}

using Times = std::vector<std::string>;

}  // namespace

TEST_CASE("fields, names, ranges, steps and lists say when") {
    const WallTime from = utc(2026, 1, 1);
    const auto first = [&](std::string_view text) {
        return to_rfc3339(Cron::parse(text).value().next(from - Duration{1}, plain).value())
            .substr(0, 16);
    };
    CHECK(first("* * * * *") == "2026-01-01T00:00");
    CHECK(first("*/15 9-17 * * MON-FRI") == "2026-01-01T09:00");  // a Thursday
    CHECK(first("5,35 * * * *") == "2026-01-01T00:05");
    CHECK(first("10/20 * * * *") == "2026-01-01T00:10");
    CHECK(first("0 0 * * 7") == "2026-01-04T00:00");
    CHECK(first("0 0 * * sun") == "2026-01-04T00:00");
    CHECK(first("0 0 L * *") == "2026-01-31T00:00");
    CHECK(first("30 4 29 2 *") == "2028-02-29T04:30");
    CHECK(first("0 12 13 * FRI") == "2026-01-02T12:00");   // the 13th or any Friday
    CHECK(first("0 12 */2 * FRI") == "2026-01-09T12:00");  // Fridays of odd days
    CHECK(first("0 0 1 dec *") == "2026-12-01T00:00");
    CHECK(first("@hourly") == "2026-01-01T00:00");
    CHECK(first("@weekly") == "2026-01-04T00:00");
    CHECK(first("@monthly") == "2026-01-01T00:00");
    CHECK(first("@yearly") == "2026-01-01T00:00");
    CHECK(due("0 0 L 2 *", plain, utc(2027, 1, 1), utc(2029, 1, 1)) ==
          Times{"02-28T00:00", "02-29T00:00"});
}

TEST_CASE("what is no cron expression is refused with the field at fault") {
    for (const char* text : {"",
                             "* * * *",
                             "* * * * * *",
                             "60 * * * *",
                             "-1 * * * *",
                             "* 24 * * *",
                             "* * 0 * *",
                             "* * 32 * *",
                             "* * * 13 *",
                             "* * * * 8",
                             "*/0 * * * *",
                             "5-1 * * * *",
                             "1,,2 * * * *",
                             "a * * * *",
                             "1- * * * *",
                             "*/ * * * *",
                             "* * * JANUARY *",
                             "* * * * MO",
                             "0 0 30 2 *",
                             "0 0 31 4,6,9,11 *",
                             "@never",
                             "1 2 3 4 5 6"}) {
        INFO(text);
        REQUIRE_FALSE(Cron::parse(text).has_value());
        CHECK(Cron::parse(text).error().code == ErrorCode::invalid_field);
    }
    CHECK(Cron::parse("* 25 * * *").error().detail == "cron: '25' is no hour");
}

TEST_CASE("an hour that does not exist is made up for when the clocks jump") {
    const WallTime from = utc(2026, 3, 28, 23);
    const WallTime to = utc(2026, 3, 30, 1);
    CHECK(due("30 2 * * *", berlin, from, to) == Times{"03-29T01:00", "03-30T00:30"});
    CHECK(due("0,10,20 2 * * *", berlin, from, utc(2026, 3, 29, 12)) == Times{"03-29T01:00"});
    CHECK(due("0 3 * * *", berlin, from, to) == Times{"03-29T01:00"});
    CHECK(due("0 2,3 * * *", berlin, from, utc(2026, 3, 29, 12)) == Times{"03-29T01:00"});
    CHECK(due("59 1 * * *", berlin, from, utc(2026, 3, 29, 12)) == Times{"03-29T00:59"});
    // Every hour goes by real hours: none is missing and none is doubled.
    CHECK(due("30 * * * *", berlin, utc(2026, 3, 29, 0), utc(2026, 3, 29, 3)) ==
          Times{"03-29T00:30", "03-29T01:30", "03-29T02:30"});
    // Asked just before the jump it is the same.
    CHECK(Cron::parse("30 2 * * *")->next(utc(2026, 3, 29, 1) - Duration{1}, berlin) ==
          utc(2026, 3, 29, 1));
    CHECK(Cron::parse("30 2 * * *")->next(utc(2026, 3, 29, 1), berlin) == utc(2026, 3, 30, 0, 30));
}

TEST_CASE("an hour that exists twice is due once, unless every hour is meant") {
    const WallTime from = utc(2026, 10, 24, 23);
    const WallTime to = utc(2026, 10, 26, 2);
    CHECK(due("30 2 * * *", berlin, from, to) == Times{"10-25T00:30", "10-26T01:30"});
    CHECK(due("0 3 * * *", berlin, from, utc(2026, 10, 25, 12)) == Times{"10-25T02:00"});
    CHECK(due("30 * * * *", berlin, utc(2026, 10, 25, 0), utc(2026, 10, 25, 3)) ==
          Times{"10-25T00:30", "10-25T01:30", "10-25T02:30"});
    CHECK(due("*/30 2 * * *", berlin, from, utc(2026, 10, 25, 12)) ==
          Times{"10-25T00:00", "10-25T00:30"});
    CHECK(Cron::parse("30 2 * * *")->next(utc(2026, 10, 25, 0, 45), berlin) ==
          utc(2026, 10, 26, 1, 30));
}
