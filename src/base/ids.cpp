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

// Of every byte: what it is worth as a digit, or 0xff.
constexpr std::array<std::uint8_t, 256> hex_values = [] {
    std::array<std::uint8_t, 256> values{};
    values.fill(0xff);
    for (std::uint8_t i = 0; i < 16; ++i) {
        values[static_cast<unsigned char>(hex_digits[i])] = i;
        if (i >= 10) values[static_cast<unsigned char>('A' + i - 10)] = i;
    }
    return values;
}();

// The two digits of every byte.
constexpr std::array<std::array<char, 2>, 256> hex_pairs = [] {
    std::array<std::array<char, 2>, 256> pairs{};
    for (std::size_t i = 0; i < pairs.size(); ++i)
        pairs[i] = {hex_digits[i >> 4], hex_digits[i & 0x0f]};
    return pairs;
}();

// Where the two digits of each byte stand.
constexpr std::array<std::uint8_t, 16> digit_places = [] {
    std::array<std::uint8_t, 16> places{};
    std::uint8_t place = 0;
    for (auto& each : places) {
        if (dash_at(place)) ++place;
        each = place;
        place += 2;
    }
    return places;
}();

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
    if (text.size() != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' ||
        text[23] != '-')
        return std::nullopt;
    TaskId id;
    unsigned all = 0;  // a byte that is no digit sets high bits
    for (std::size_t i = 0; i < id.bytes_.size(); ++i) {
        const unsigned high = hex_values[static_cast<unsigned char>(text[digit_places[i]])];
        const unsigned low = hex_values[static_cast<unsigned char>(text[digit_places[i] + 1])];
        all |= high | low;
        id.bytes_[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    if (all > 0x0f) return std::nullopt;
    if (id.bytes_[6] >> 4 != 7 || id.bytes_[8] >> 6 != 2) return std::nullopt;
    return id;
}

TaskId TaskId::from_bytes(std::string_view bytes16) {
    TASKD_ASSERT(bytes16.size() == 16);
    TaskId id;
    std::memcpy(id.bytes_.data(), bytes16.data(), 16);
    return id;
}

std::array<char, 36> TaskId::text() const {
    std::array<char, 36> text;
    text[8] = text[13] = text[18] = text[23] = '-';
    for (std::size_t i = 0; i < bytes_.size(); ++i)
        std::memcpy(text.data() + digit_places[i], hex_pairs[bytes_[i]].data(), 2);
    return text;
}

std::string TaskId::to_string() const {
    const auto text = this->text();
    return {text.data(), text.size()};
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
