#include "protocol/byte_codec.hpp"

namespace taskd::protocol {

std::uint8_t ByteReader::byte() {
    if (rest_.empty()) {
        fail();
        return 0;
    }
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
}

bool ByteReader::flag() {
    return number_to(1) == 1;
}

std::uint64_t ByteReader::number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const std::uint8_t next = byte();
        if (failed_) return 0;
        value |= static_cast<std::uint64_t>(next & 0x7f) << shift;
        const bool overflows = shift == 63 && next > 1;
        const bool padded = shift > 0 && next == 0;
        if (overflows || padded) break;
        if (next < 0x80) return value;
    }
    fail();
    return 0;
}

std::uint64_t ByteReader::number_to(std::uint64_t max) {
    const std::uint64_t value = number();
    if (value <= max) return value;
    fail();
    return 0;
}

std::int64_t ByteReader::signed_number() {
    const std::uint64_t value = number();
    return static_cast<std::int64_t>((value >> 1) ^ (~(value & 1) + 1));
}

std::string_view ByteReader::text() {
    const std::uint64_t size = number();
    if (size > rest_.size()) fail();
    if (failed_) return {};
    const std::string_view value = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return value;
}

TaskId ByteReader::id() {
    constexpr std::size_t size = 16;
    if (rest_.size() < size) {
        fail();
        return {};
    }
    const TaskId value = TaskId::from_bytes(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return value;
}

}  // namespace taskd::protocol
