// Base64 for URLs and tokens (RFC 4648, section 5), without padding. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace taskd::protocol {

std::string encode_base64url(std::string_view bytes);
// None when it is not the one way to write some bytes.
std::optional<std::string> decode_base64url(std::string_view text);

}  // namespace taskd::protocol
