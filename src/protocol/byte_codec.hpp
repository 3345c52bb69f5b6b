// Writes and reads the small parts of which the disk formats are made: varints (LEB128, shortest
// form only), zigzag for signed values, and strings with their length in front. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "taskd/base/bytes.hpp"
#include "taskd/base/ids.hpp"

namespace taskd::protocol {

class ByteWriter {
  public:
    explicit ByteWriter(std::string& out) : out_{out} {}

    void byte(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }
    void flag(bool value) { byte(value ? 1 : 0); }
    void number(std::uint64_t value) {
        if (value < 0x80) return byte(static_cast<std::uint8_t>(value));
        // Appended as one: a byte at a time costs thrice as much.
        char bytes[10];
        std::size_t size = 0;
        for (; value >= 0x80; value >>= 7)
            bytes[size++] = static_cast<char>(value | 0x80);
        bytes[size++] = static_cast<char>(value);
        out_.append(bytes, size);
    }
    void signed_number(std::int64_t value) {
        number((static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63));
    }
    void text(std::string_view value) {
        number(value.size());
        out_.append(value);
    }
    void id(const TaskId& value) { out_.append(value.bytes()); }
    void duration(Duration value) { signed_number(value.count()); }
    template <class Clock>
    void instant(std::chrono::time_point<Clock, Duration> value) {
        duration(value.time_since_epoch());
    }

  private:
    std::string& out_;
};

// Never reads past the end. The first fault sticks: from then on every call answers zero or empty,
// so that a decoder reads straight through and asks once, at the end.
class ByteReader {
  public:
    explicit ByteReader(std::string_view bytes) : rest_{bytes} {}

    bool failed() const { return failed_; }
    bool finished() const { return !failed_ && rest_.empty(); }
    std::size_t left() const { return rest_.size(); }
    void fail() {
        failed_ = true;
        rest_ = {};
    }

    std::uint8_t byte();
    bool flag();  // 0 or 1 only
    std::uint64_t number();
    std::uint64_t number_to(std::uint64_t max);  // fails when it is greater
    std::uint32_t number32() { return static_cast<std::uint32_t>(number_to(UINT32_MAX)); }
    std::int64_t signed_number();
    std::string_view text();  // stands in the bytes given
    TaskId id();
    Duration duration() { return Duration{signed_number()}; }
    template <class Instant>
    Instant instant() {
        return Instant{duration()};
    }

  private:
    std::string_view rest_;
    bool failed_ = false;
};

}  // namespace taskd::protocol
