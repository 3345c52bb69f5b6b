#include "taskd/protocol/http_url.hpp"

#include <algorithm>
#include <charconv>

namespace taskd::protocol {
namespace {

// Neither ends a line of a request's head nor divides it.
bool is_clean(std::string_view url) {
    return std::ranges::all_of(
        url, [](char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7f && c != '#'; });
}

}  // namespace

std::size_t http_scheme_bytes(std::string_view url) {
    for (const std::string_view scheme : {"http://", "https://"})
        if (url.starts_with(scheme)) return scheme.size();
    return 0;
}

std::optional<HttpAuthority> parse_http_authority(std::string_view text) {
    HttpAuthority found;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == text.npos) return std::nullopt;
        found.host = text.substr(1, end - 1);
        text.remove_prefix(end + 1);
    } else {
        const auto colon = std::min(text.find(':'), text.size());
        found.host = text.substr(0, colon);
        text.remove_prefix(colon);
    }
    if (found.host.empty() || found.host.find_first_of(" @?#%/") != std::string::npos)
        return std::nullopt;
    if (text.empty()) return found;
    std::uint16_t port = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 1, end, port);
    if (text[0] != ':' || error != std::errc{} || stop != end || port == 0) return std::nullopt;
    found.port = port;
    return found;
}

Result<HttpUrl> parse_http_url(std::string_view url) {
    const auto bad = [&] {
        return fail(ErrorCode::bad_address,
                    "'" + std::string{url} + "' is no http:// or https:// URL");
    };
    const std::size_t scheme = http_scheme_bytes(url);
    const std::size_t begin = std::min(url.find_first_of("/?", scheme), url.size());
    if (scheme == 0 || !is_clean(url)) return bad();
    if (!parse_http_authority(url.substr(scheme, begin - scheme))) return bad();
    HttpUrl parts{std::string{url.substr(0, begin)}, std::string{url.substr(begin)}};
    if (!parts.target.starts_with('/')) parts.target.insert(0, "/");
    return parts;
}

}  // namespace taskd::protocol
