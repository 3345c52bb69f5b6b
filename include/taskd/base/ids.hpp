// Identities as types, so that a sequence is never taken for an epoch.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "taskd/base/random.hpp"
#include "taskd/base/time.hpp"

namespace taskd {

// A number with a name: ordered, hashable, without arithmetic but `next`.
template <class Tag>
struct Number {
    std::uint64_t value = 0;

    Number next() const { return Number{value + 1}; }
    friend auto operator<=>(const Number&, const Number&) = default;
};

// Fencing token of one task: grows with each lease, from 1; 0 means never leased.
using LeaseEpoch = Number<struct LeaseEpochTag>;
// Place of a record in the journal, from 1; 0 means before the first.
using Sequence = Number<struct SequenceTag>;
// Random for each start of a process; tells a restarted peer from a silent one. Never 0.
using SessionId = Number<struct SessionTag>;

// UUIDv7 (RFC 9562): 48 bits of milliseconds, then random bits; sorts in time order.
class TaskId {
  public:
    TaskId() = default;

    static TaskId make(WallTime now, Random& random);
    // 36 characters with dashes, version 7 and variant 10 only, either case.
    static std::optional<TaskId> parse(std::string_view text);
    // The 16 raw bytes, as on disk and wire; no check of version.
    static TaskId from_bytes(std::string_view bytes16);

    std::array<char, 36> text() const;  // lower case with dashes
    std::string to_string() const;      // the same
    std::string_view bytes() const;
    WallTime made_at() const;

    friend bool operator==(const TaskId& left, const TaskId& right) {
        return left.half(0) == right.half(0) && left.half(1) == right.half(1);
    }
    friend auto operator<=>(const TaskId& left, const TaskId& right) {
        return std::memcmp(left.bytes_.data(), right.bytes_.data(), 16) <=> 0;
    }

  private:
    friend struct std::hash<TaskId>;
    std::uint64_t half(std::size_t which) const {
        std::uint64_t bits;
        std::memcpy(&bits, bytes_.data() + 8 * which, 8);
        return bits;
    }

    std::array<std::uint8_t, 16> bytes_{};
};

// Name of one running process in the name service: 1 to 64 of [A-Za-z0-9._-].
bool is_instance_name(std::string_view text);
// Name of a task type or queue: 1 to 128 of [A-Za-z0-9._/-], not starting with '.' or '/'.
bool is_type_name(std::string_view text);

}  // namespace taskd

template <class Tag>
struct std::hash<taskd::Number<Tag>> {
    std::size_t operator()(const taskd::Number<Tag>& number) const noexcept {
        return std::hash<std::uint64_t>{}(number.value);
    }
};

template <>
struct std::hash<taskd::TaskId> {
    // The last eight bytes are random unless a client chose them badly: both halves are mixed, and
    // well, because fixed bits stand where a table takes its place from.
    std::size_t operator()(const taskd::TaskId& id) const noexcept {
        std::uint64_t mixed = (id.half(0) * 0x9e3779b97f4a7c15) ^ (id.half(1) * 0xc2b2ae3d27d4eb4f);
        mixed ^= mixed >> 32;
        mixed *= 0xd6e8feb86659fd93;
        return mixed ^ mixed >> 32;
    }
};
