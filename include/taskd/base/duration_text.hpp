// Durations as people and settings write them: "1.5s", "250ms", "2m30s", "1h", a bare number is
// seconds.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "taskd/base/time.hpp"

namespace taskd {

// Units us, ms, s, m, h, d; parts add up; not negative. None when it cannot be read or overflows.
std::optional<Duration> parse_duration(std::string_view text);

// The form parse_duration reads back to the same value: "1s500ms", "250ms", "2m30s".
std::string to_text(Duration duration);

}  // namespace taskd
