// Addresses of HTTP services, taken apart.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "taskd/base/result.hpp"

namespace taskd::protocol {

// How long "http://" or "https://" in front of an address is; 0 when there is neither.
std::size_t http_scheme_bytes(std::string_view url);

struct HttpAuthority {
    std::string host;  // without the brackets of an IPv6 address
    std::optional<std::uint16_t> port;
};

// "HOST", "HOST:PORT" or "[IPV6]:PORT"; none for anything else, a user in front of it too.
std::optional<HttpAuthority> parse_http_authority(std::string_view text);

struct HttpUrl {
    std::string base;    // "http://billing:8080"
    std::string target;  // "/charge?now=1"; "/" when there is none
};

// "http://AUTHORITY[/PATH][?QUERY]", the same with https; bad_address for anything else.
Result<HttpUrl> parse_http_url(std::string_view url);

}  // namespace taskd::protocol
