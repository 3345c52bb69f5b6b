// Durations and instants as types. Two clocks: wall time (what people see, may jump) and engine
// time (leases, backoff, limits: follows the steady clock, never goes back, survives restarts).
// Nothing here reads a clock; `Now` comes in with every command.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace taskd {

using Duration = std::chrono::microseconds;

struct WallClock;  // tags only: they have no now()
struct EngineClock;
struct SteadyClock;

using WallTime = std::chrono::time_point<WallClock, Duration>;      // since 1970-01-01T00:00:00Z
using EngineTime = std::chrono::time_point<EngineClock, Duration>;  // since the store was made
using SteadyTime =
    std::chrono::time_point<SteadyClock, Duration>;  // since some moment of this boot

struct Now {
    WallTime wall;
    EngineTime engine;
    Duration ahead{};  // of the wall clock, before the one that is believed

    // By which things are old: a wall clock that is set ahead may be set back.
    WallTime believed() const { return wall - ahead; }
};

// RFC 3339 in UTC with microseconds, "2026-01-02T03:04:05.000006Z".
std::array<char, 27> rfc3339_text(WallTime time);
std::string to_rfc3339(WallTime time);  // the same
// With any offset and up to nine digits of a second, of which six count; years 1970 to 9999. A leap
// second is the second after it.
std::optional<WallTime> parse_rfc3339(std::string_view text);

}  // namespace taskd
