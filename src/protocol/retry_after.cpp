#include "taskd/protocol/retry_after.hpp"

#include <algorithm>
#include <charconv>
#include <string>

namespace taskd::protocol {
namespace {

constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr std::size_t date_bytes = 29;
constexpr std::int64_t seconds_max = 366LL * 24 * 3600;

}  // namespace

std::optional<Duration> parse_retry_after(std::string_view text, WallTime now) {
    std::int64_t seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error == std::errc{} && end == text.data() + text.size() && seconds >= 0)
        return std::chrono::seconds{std::min(seconds, seconds_max)};
    // "Sun, 06 Nov 1994 08:49:37 GMT", of which the day of the week says nothing.
    if (text.size() != date_bytes || !text.ends_with(" GMT")) return std::nullopt;
    const std::size_t month = months.find(text.substr(8, 3));
    if (month == std::string_view::npos || month % 3 != 0) return std::nullopt;
    const char ones = static_cast<char>('0' + (month / 3 + 1) % 10);
    std::string instant{text.substr(12, 4)};
    instant.append(month / 3 + 1 < 10 ? "-0" : "-1").append(1, ones).append("-");
    instant.append(text.substr(5, 2));
    instant.append("T").append(text.substr(17, 8)).append("Z");
    const auto at = parse_rfc3339(instant);
    if (!at) return std::nullopt;
    return std::max(*at - now, Duration{0});
}

}  // namespace taskd::protocol
