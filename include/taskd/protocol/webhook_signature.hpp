// The signature that a webhook's calls carry, and its check. Pure.
#pragma once

#include <string>
#include <string_view>

#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"

namespace taskd::protocol {

inline constexpr std::string_view signature_header = "Taskd-Signature";

// "t=SECONDS,v1=HEX": HMAC-SHA256 under the secret of "SECONDS.BODY".
std::string sign_webhook(std::string_view secret, WallTime now, std::string_view body);
// Whether the header is of that body, made under that secret, and no further from `now` than
// `tolerance`: who repeats an old call is not taken for the sender.
bool check_webhook(std::string_view header, std::string_view secret, WallTime now,
                   Duration tolerance, std::string_view body);

}  // namespace taskd::protocol
