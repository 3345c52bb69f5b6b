// What a Retry-After header asks for (RFC 9110). Pure.
#pragma once

#include <optional>
#include <string_view>

#include "taskd/base/time.hpp"

namespace taskd::protocol {

// Seconds, or a date ("Sun, 06 Nov 1994 08:49:37 GMT") seen from `now`; a date that is over is
// zero. None when it is neither.
std::optional<Duration> parse_retry_after(std::string_view text, WallTime now);

}  // namespace taskd::protocol
