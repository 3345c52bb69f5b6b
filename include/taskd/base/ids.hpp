// Identities as types, so that a sequence is never taken for an epoch.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
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

    std::string to_string() const;  // lower case with dashes
    std::string_view bytes() const;
    WallTime made_at() const;

    friend auto operator<=>(const TaskId&, const TaskId&) = default;

  private:
    friend struct std::hash<TaskId>;
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
    std::size_t operator()(const taskd::TaskId& id) const noexcept;
};
