#include "taskd/io/zone_calendar.hpp"

#include <date/tz.h>

#include <exception>

namespace taskd::io {
namespace {

// The library marks an open end with the limits of its own years; days before them are none of
// ours.
WallTime to_wall(date::sys_seconds time) {
    using std::chrono::seconds;
    constexpr seconds least = std::chrono::duration_cast<seconds>(Duration::min());
    constexpr seconds most = std::chrono::duration_cast<seconds>(Duration::max());
    if (time.time_since_epoch() <= least) return WallTime::min();
    if (time.time_since_epoch() >= most) return WallTime::max();
    return WallTime{time.time_since_epoch()};
}

}  // namespace

Result<ZoneSpan> ZoneCalendar::span(const std::string& zone, WallTime at) {
    if (zone == "UTC") return ZoneSpan{WallTime::min(), WallTime::max(), Duration{0}};
    try {
        const date::sys_seconds second{
            std::chrono::floor<std::chrono::seconds>(at.time_since_epoch())};
        const date::sys_info info = date::locate_zone(zone)->get_info(second);
        return ZoneSpan{to_wall(info.begin), to_wall(info.end), info.offset};
    } catch (const std::exception& error) {
        return fail(ErrorCode::unknown_zone, zone + ": " + error.what());
    }
}

}  // namespace taskd::io
