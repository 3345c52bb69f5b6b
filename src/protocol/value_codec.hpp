// The parts that records and task rows have in common: optional values, errors, what a task asks
// for.
#pragma once

#include "protocol/byte_codec.hpp"
#include "taskd/model/group.hpp"
#include "taskd/model/operation.hpp"
#include "taskd/model/queue_rules.hpp"
#include "taskd/model/schedule.hpp"
#include "taskd/model/task.hpp"

namespace taskd::protocol {

inline constexpr std::size_t number_max = 10;  // bytes of the longest varint
inline constexpr std::size_t id_bytes = 16;
inline constexpr std::uint8_t priority_max = 9;
// Room made before the records are read: a damaged count must not take all memory.
inline constexpr std::uint64_t reserve_max = 16 * 1024;

template <class Instant>
void write_optional(ByteWriter& out, const std::optional<Instant>& value) {
    out.flag(value.has_value());
    if (value) out.instant(*value);
}
inline void write_optional(ByteWriter& out, const std::optional<Duration>& value) {
    out.flag(value.has_value());
    if (value) out.duration(*value);
}

inline void write_optional(ByteWriter& out, const std::optional<TaskId>& value) {
    out.flag(value.has_value());
    if (value) out.id(*value);
}
inline std::optional<TaskId> read_optional_id(ByteReader& in) {
    if (!in.flag()) return std::nullopt;
    return in.id();
}

template <class Instant>
std::optional<Instant> read_optional(ByteReader& in) {
    if (!in.flag()) return std::nullopt;
    if constexpr (std::is_same_v<Instant, Duration>)
        return in.duration();
    else
        return in.instant<Instant>();
}

template <class Value>
Value read_number(ByteReader& in) {
    return Value{in.number()};
}

void write(ByteWriter& out, const TaskError& error);
TaskError read_error(ByteReader& in);
std::size_t bytes_max(const TaskError& error);

// The spec but its payload.
void write(ByteWriter& out, const TaskSpec& spec);
TaskSpec read_spec(ByteReader& in);
TaskSpec read_spec_1(ByteReader& in);         // as it was before tasks had limits of time
std::size_t bytes_max(const TaskSpec& spec);  // payload and all

void write(ByteWriter& out, const std::optional<Pause>& pause);
std::optional<Pause> read_optional_pause(ByteReader& in);
std::size_t bytes_max(const std::optional<Pause>& pause);

void write(ByteWriter& out, const Fire& fire);
Fire read_fire(ByteReader& in);
std::size_t bytes_max(const Fire& fire);

// With the payload of its tasks.
void write(ByteWriter& out, const Schedule& schedule);
Schedule read_schedule(ByteReader& in);
std::size_t bytes_max(const Schedule& schedule);

// But their schema, which not every queue has.
void write(ByteWriter& out, const QueueRules& rules);
QueueRules read_queue_rules(ByteReader& in);
QueueRules read_queue_rules_2(ByteReader& in);  // with a schema behind them
std::size_t bytes_max(const QueueRules& rules);

void write(ByteWriter& out, const WorkerHold& hold);
WorkerHold read_hold(ByteReader& in);
std::size_t bytes_max(const WorkerHold& hold);

void write(ByteWriter& out, const Group& group);
Group read_group(ByteReader& in);
std::size_t bytes_max(const Group& group);

void write(ByteWriter& out, const Operation& operation);
Operation read_operation(ByteReader& in);
std::size_t bytes_max(const Operation& operation);

}  // namespace taskd::protocol
