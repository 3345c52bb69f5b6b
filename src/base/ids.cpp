#include "taskd/base/ids.hpp"

#include <algorithm>
#include <cstring>

#include "taskd/base/assert.hpp"

namespace taskd {
namespace {

constexpr char hex_digits[] = "0123456789abcdef";
constexpr bool dash_at(std::size_t place) {
    return place == 8 || place == 13 || place == 18 || place == 23;
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

TaskId TaskId::make(WallTime now, Random& random) {
    const auto milliseconds = static_cast<std::uint64_t>(
        std::max<std::int64_t>(0, now.time_since_epoch() / std::chrono::milliseconds{1}));
    TaskId id;
    for (std::size_t i = 0; i < 6; ++i)
        id.bytes_[i] = static_cast<std::uint8_t>(milliseconds >> (40 - 8 * i));
    const std::uint64_t words[] = {random.next(), random.next()};
    std::memcpy(id.bytes_.data() + 6, words, 10);
    id.bytes_[6] = static_cast<std::uint8_t>(0x70 | (id.bytes_[6] & 0x0f));
    id.bytes_[8] = static_cast<std::uint8_t>(0x80 | (id.bytes_[8] & 0x3f));
    return id;
}

std::optional<TaskId> TaskId::parse(std::string_view text) {
    if (text.size() != 36) return std::nullopt;
    TaskId id;
    std::size_t digit = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (dash_at(i)) {
            if (text[i] != '-') return std::nullopt;
            continue;
        }
        const int value = hex_value(text[i]);
        if (value < 0) return std::nullopt;
        auto& byte = id.bytes_[digit / 2];
        byte = static_cast<std::uint8_t>(byte << 4 | value);
        ++digit;
    }
    if (id.bytes_[6] >> 4 != 7 || id.bytes_[8] >> 6 != 2) return std::nullopt;
    return id;
}

TaskId TaskId::from_bytes(std::string_view bytes16) {
    TASKD_ASSERT(bytes16.size() == 16);
    TaskId id;
    std::memcpy(id.bytes_.data(), bytes16.data(), 16);
    return id;
}

std::string TaskId::to_string() const {
    std::string text(36, '-');
    std::size_t place = 0;
    for (const std::uint8_t byte : bytes_) {
        if (dash_at(place)) ++place;
        text[place++] = hex_digits[byte >> 4];
        text[place++] = hex_digits[byte & 0x0f];
    }
    return text;
}

std::string_view TaskId::bytes() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
}

WallTime TaskId::made_at() const {
    std::uint64_t milliseconds = 0;
    for (std::size_t i = 0; i < 6; ++i)
        milliseconds = milliseconds << 8 | bytes_[i];
    return WallTime{std::chrono::milliseconds{milliseconds}};
}

bool is_instance_name(std::string_view text) {
    return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
        return is_alphanumeric(c) || c == '.' || c == '_' || c == '-';
    });
}

bool is_type_name(std::string_view text) {
    return !text.empty() && text.size() <= 128 && text.front() != '.' && text.front() != '/' &&
           std::ranges::all_of(text, [](char c) {
               return is_alphanumeric(c) || c == '.' || c == '_' || c == '-' || c == '/';
           });
}

}  // namespace taskd
