#include "taskd/protocol/record_codec.hpp"

#include <algorithm>

#include "protocol/byte_codec.hpp"
#include "taskd/base/assert.hpp"

namespace taskd::protocol {
namespace {

// Numbers on disk: never reused, also not after a record is gone.
enum class RecordKind : std::uint8_t {
    task_submitted = 1,
    task_leased = 2,
    task_completed = 3,
    attempt_failed = 4,
    attempt_crashed = 5,
    attempt_released = 6,
    task_due = 7,
    task_cancelled = 8,
    revoked_lease_ended = 9,
    engine_resumed = 10,
};
constexpr auto kind_last = RecordKind::engine_resumed;

constexpr std::size_t number_max = 10;  // bytes of the longest varint
constexpr std::size_t id_bytes = 16;
constexpr std::uint8_t priority_max = 9;
// Room made before the records are read: a damaged count must not take all memory.
constexpr std::uint64_t reserve_max = 16 * 1024;

template <class... Handlers>
struct Overloaded : Handlers... {
    using Handlers::operator()...;
};

template <class Instant>
void write_optional(ByteWriter& out, const std::optional<Instant>& value) {
    out.flag(value.has_value());
    if (value) out.instant(*value);
}

template <class Instant>
std::optional<Instant> read_optional(ByteReader& in) {
    if (!in.flag()) return std::nullopt;
    return in.instant<Instant>();
}

template <class Value>
Value read_number(ByteReader& in) {
    return Value{in.number()};
}

void write(ByteWriter& out, const TaskError& error) {
    out.text(error.code);
    out.text(error.message);
    out.flag(error.permanent);
}

TaskError read_error(ByteReader& in) {
    TaskError error;
    error.code = in.text();
    error.message = in.text();
    error.permanent = in.flag();
    return error;
}

std::size_t bytes_max(const TaskError& error) {
    return 2 * number_max + 1 + error.code.size() + error.message.size();
}

// The spec but its payload.
void write(ByteWriter& out, const TaskSpec& spec) {
    out.id(spec.id);
    out.text(spec.type);
    out.number(spec.priority);
    out.number(spec.attempts_max);
    out.number(spec.crashes_max);
    out.duration(spec.backoff.initial);
    out.duration(spec.backoff.max);
}

TaskSpec read_spec(ByteReader& in) {
    TaskSpec spec;
    spec.id = in.id();
    spec.type = in.text();
    spec.priority = static_cast<std::uint8_t>(in.number_to(priority_max));
    spec.attempts_max = in.number32();
    spec.crashes_max = in.number32();
    spec.backoff.initial = in.duration();
    spec.backoff.max = in.duration();
    return spec;
}

void write(ByteWriter& out, RecordKind kind) {
    out.byte(static_cast<std::uint8_t>(kind));
}

void write_lease(ByteWriter& out, RecordKind kind, const TaskId& id, LeaseEpoch epoch) {
    write(out, kind);
    out.id(id);
    out.number(epoch.value);
}

void write(ByteWriter& out, const Record& record) {
    std::visit(Overloaded{
                   [&](const TaskSubmitted& r) {
                       write(out, RecordKind::task_submitted);
                       write(out, r.spec);
                       out.text(r.spec.payload.view());
                       out.instant(r.at);
                   },
                   [&](const TaskLeased& r) {
                       write_lease(out, RecordKind::task_leased, r.id, r.epoch);
                       out.text(r.worker);
                       out.instant(r.until);
                       out.instant(r.at);
                   },
                   [&](const TaskCompleted& r) {
                       write_lease(out, RecordKind::task_completed, r.id, r.epoch);
                       out.text(r.result.view());
                       out.instant(r.at);
                   },
                   [&](const AttemptFailed& r) {
                       write_lease(out, RecordKind::attempt_failed, r.id, r.epoch);
                       write(out, r.error);
                       write_optional(out, r.due_at);
                       write_optional(out, r.due_shown);
                       out.instant(r.at);
                   },
                   [&](const AttemptCrashed& r) {
                       write_lease(out, RecordKind::attempt_crashed, r.id, r.epoch);
                       write_optional(out, r.due_at);
                       write_optional(out, r.due_shown);
                       out.instant(r.at);
                   },
                   [&](const AttemptReleased& r) {
                       write_lease(out, RecordKind::attempt_released, r.id, r.epoch);
                       out.instant(r.at);
                   },
                   [&](const TaskDue& r) {
                       write(out, RecordKind::task_due);
                       out.id(r.id);
                   },
                   [&](const TaskCancelled& r) {
                       write(out, RecordKind::task_cancelled);
                       out.id(r.id);
                       out.text(r.reason);
                       out.instant(r.at);
                   },
                   [&](const RevokedLeaseEnded& r) {
                       write_lease(out, RecordKind::revoked_lease_ended, r.id, r.epoch);
                   },
                   [&](const EngineResumed& r) {
                       write(out, RecordKind::engine_resumed);
                       out.instant(r.leases_until);
                   },
               },
               record);
}

// Braces keep the order of reading: members of an aggregate are read from first to last.
Record read_record(ByteReader& in, RecordKind kind) {
    switch (kind) {
        case RecordKind::task_submitted: {
            TaskSpec spec = read_spec(in);
            spec.payload = Blob{std::string{in.text()}};
            return TaskSubmitted{std::move(spec), in.instant<WallTime>()};
        }
        case RecordKind::task_leased:
            return TaskLeased{in.id(), read_number<LeaseEpoch>(in), std::string{in.text()},
                              in.instant<EngineTime>(), in.instant<WallTime>()};
        case RecordKind::task_completed:
            return TaskCompleted{in.id(), read_number<LeaseEpoch>(in), Blob{std::string{in.text()}},
                                 in.instant<WallTime>()};
        case RecordKind::attempt_failed:
            return AttemptFailed{in.id(),
                                 read_number<LeaseEpoch>(in),
                                 read_error(in),
                                 read_optional<EngineTime>(in),
                                 read_optional<WallTime>(in),
                                 in.instant<WallTime>()};
        case RecordKind::attempt_crashed:
            return AttemptCrashed{in.id(), read_number<LeaseEpoch>(in),
                                  read_optional<EngineTime>(in), read_optional<WallTime>(in),
                                  in.instant<WallTime>()};
        case RecordKind::attempt_released:
            return AttemptReleased{in.id(), read_number<LeaseEpoch>(in), in.instant<WallTime>()};
        case RecordKind::task_due:
            return TaskDue{in.id()};
        case RecordKind::task_cancelled:
            return TaskCancelled{in.id(), std::string{in.text()}, in.instant<WallTime>()};
        case RecordKind::revoked_lease_ended:
            return RevokedLeaseEnded{in.id(), read_number<LeaseEpoch>(in)};
        case RecordKind::engine_resumed:
            return EngineResumed{in.instant<EngineTime>()};
    }
    in.fail();
    return TaskDue{};
}

void write(ByteWriter& out, const Attempt& attempt) {
    out.number(attempt.number);
    out.number(attempt.epoch.value);
    out.text(attempt.worker);
    out.instant(attempt.started_at);
    write_optional(out, attempt.ended_at);
    out.byte(static_cast<std::uint8_t>(attempt.outcome));
    out.flag(attempt.error.has_value());
    if (attempt.error) write(out, *attempt.error);
}

Attempt read_attempt(ByteReader& in) {
    Attempt attempt;
    attempt.number = in.number32();
    attempt.epoch = read_number<LeaseEpoch>(in);
    attempt.worker = in.text();
    attempt.started_at = in.instant<WallTime>();
    attempt.ended_at = read_optional<WallTime>(in);
    const std::uint8_t outcome = in.byte();
    if (outcome > static_cast<std::uint8_t>(AttemptOutcome::cancelled)) in.fail();
    attempt.outcome = static_cast<AttemptOutcome>(outcome);
    if (in.flag()) attempt.error = read_error(in);
    return attempt;
}

TaskState read_state(ByteReader& in) {
    const auto state = static_cast<TaskState>(in.byte());
    switch (state) {
        case TaskState::scheduled:
        case TaskState::queued:
        case TaskState::running:
        case TaskState::succeeded:
        case TaskState::dead:
        case TaskState::cancelled:
            return state;
    }
    in.fail();
    return TaskState::queued;
}

void write(ByteWriter& out, const std::optional<Lease>& lease) {
    out.flag(lease.has_value());
    if (!lease) return;
    out.number(lease->epoch.value);
    out.text(lease->worker);
    out.instant(lease->until);
    out.flag(lease->revoked);
}

std::optional<Lease> read_lease(ByteReader& in) {
    if (!in.flag()) return std::nullopt;
    return Lease{read_number<LeaseEpoch>(in), std::string{in.text()}, in.instant<EngineTime>(),
                 in.flag()};
}

}  // namespace

std::size_t encoded_bytes_max(const Record& record) {
    constexpr std::size_t kind_id_epoch = 1 + id_bytes + number_max;
    constexpr std::size_t due_max = 2 * (1 + number_max);
    return std::visit(
        Overloaded{
            [](const TaskSubmitted& r) {
                constexpr std::size_t numbers = 8;  // two lengths, three counts, three times
                return 1 + id_bytes + numbers * number_max + r.spec.type.size() +
                       r.spec.payload.size();
            },
            [](const TaskLeased& r) { return kind_id_epoch + 3 * number_max + r.worker.size(); },
            [](const TaskCompleted& r) { return kind_id_epoch + 2 * number_max + r.result.size(); },
            [](const AttemptFailed& r) {
                return kind_id_epoch + bytes_max(r.error) + due_max + number_max;
            },
            [](const AttemptCrashed&) { return kind_id_epoch + due_max + number_max; },
            [](const AttemptReleased&) { return kind_id_epoch + number_max; },
            [](const TaskDue&) { return 1 + id_bytes; },
            [](const TaskCancelled& r) { return 1 + id_bytes + 2 * number_max + r.reason.size(); },
            [](const RevokedLeaseEnded&) { return kind_id_epoch; },
            [](const EngineResumed&) { return 1 + number_max; },
        },
        record);
}

void encode_batch(const RecordBatch& batch, std::string& out) {
    TASKD_ASSERT(!batch.records.empty());
    ByteWriter writer{out};
    writer.byte(batch_version);
    writer.number(batch.first.value);
    writer.instant(batch.engine);
    writer.number(batch.records.size());
    for (const Record& record : batch.records)
        write(writer, record);
}

Result<RecordBatch> decode_batch(std::string_view bytes) {
    ByteReader in{bytes};
    const std::uint8_t version = in.byte();
    if (version > batch_version)
        return fail(ErrorCode::journal_too_new, "batch version " + std::to_string(version));
    if (version == 0) return fail(ErrorCode::journal_corrupt, "a batch without a version");
    RecordBatch batch;
    batch.first = read_number<Sequence>(in);
    batch.engine = in.instant<EngineTime>();
    const std::uint64_t count = in.number_to(in.left());  // a record takes a byte at least
    if (batch.first.value == 0 || count == 0 || batch.first.value > UINT64_MAX - count) in.fail();
    batch.records.reserve(std::min<std::uint64_t>(count, reserve_max));
    for (std::uint64_t i = 0; i < count && !in.failed(); ++i) {
        const std::uint8_t kind = in.byte();
        if (kind > static_cast<std::uint8_t>(kind_last))
            return fail(ErrorCode::journal_too_new, "record kind " + std::to_string(kind));
        batch.records.push_back(read_record(in, static_cast<RecordKind>(kind)));
    }
    if (!in.finished()) return fail(ErrorCode::journal_corrupt, "a batch that does not decode");
    return batch;
}

Result<Sequence> peek_first_sequence(std::string_view bytes) {
    ByteReader in{bytes};
    const std::uint8_t version = in.byte();
    if (version > batch_version)
        return fail(ErrorCode::journal_too_new, "batch version " + std::to_string(version));
    const auto first = read_number<Sequence>(in);
    if (in.failed() || version == 0 || first.value == 0)
        return fail(ErrorCode::journal_corrupt, "a batch without a sequence");
    return first;
}

void encode_task_row(const Task& task, std::string& out) {
    ByteWriter writer{out};
    writer.byte(task_row_version);
    write(writer, task.spec);
    writer.byte(static_cast<std::uint8_t>(task.state));
    writer.instant(task.submitted_at);
    write_optional(writer, task.ended_at);
    write_optional(writer, task.due_at);
    write_optional(writer, task.due_shown);
    writer.number(task.queued_as.value);
    writer.number(task.changed_as.value);
    writer.number(task.epoch.value);
    write(writer, task.lease);
    writer.number(task.failures);
    writer.number(task.crashes);
    writer.number(task.attempts_made);
    writer.number(task.attempts.size());
    for (const Attempt& attempt : task.attempts)
        write(writer, attempt);
    writer.flag(task.error.has_value());
    if (task.error) write(writer, *task.error);
}

Result<Task> decode_task_row(std::string_view bytes, Blob payload, Blob result) {
    ByteReader in{bytes};
    const std::uint8_t version = in.byte();
    if (version > task_row_version)
        return fail(ErrorCode::store_too_new, "task row version " + std::to_string(version));
    if (version == 0) return fail(ErrorCode::view_corrupt, "a task row without a version");
    Task task;
    task.spec = read_spec(in);
    task.spec.payload = std::move(payload);
    task.state = read_state(in);
    task.submitted_at = in.instant<WallTime>();
    task.ended_at = read_optional<WallTime>(in);
    task.due_at = read_optional<EngineTime>(in);
    task.due_shown = read_optional<WallTime>(in);
    task.queued_as = read_number<Sequence>(in);
    task.changed_as = read_number<Sequence>(in);
    task.epoch = read_number<LeaseEpoch>(in);
    task.lease = read_lease(in);
    task.failures = in.number32();
    task.crashes = in.number32();
    task.attempts_made = in.number32();
    const std::uint64_t attempts = in.number_to(limits::attempts_shown_max);
    for (std::uint64_t i = 0; i < attempts && !in.failed(); ++i)
        task.attempts.push_back(read_attempt(in));
    if (in.flag()) task.error = read_error(in);
    task.result = std::move(result);
    if (!in.finished()) return fail(ErrorCode::view_corrupt, "a task row that does not decode");
    return task;
}

void encode_task_head(const TaskHead& head, std::string& out) {
    ByteWriter writer{out};
    writer.byte(task_head_version);
    writer.text(head.type);
    writer.byte(static_cast<std::uint8_t>(head.state));
    writer.number(head.priority);
    writer.flag(head.leased);
    write_optional(writer, head.deadline);
    writer.instant(head.submitted_at);
    writer.number(head.payload_bytes);
}

Result<TaskHead> decode_task_head(std::string_view bytes) {
    ByteReader in{bytes};
    const std::uint8_t version = in.byte();
    if (version > task_head_version)
        return fail(ErrorCode::store_too_new, "task head version " + std::to_string(version));
    if (version == 0) return fail(ErrorCode::view_corrupt, "a task head without a version");
    TaskHead head;
    head.type = in.text();
    head.state = read_state(in);
    head.priority = static_cast<std::uint8_t>(in.number_to(priority_max));
    head.leased = in.flag();
    head.deadline = read_optional<EngineTime>(in);
    head.submitted_at = in.instant<WallTime>();
    head.payload_bytes = in.number32();
    if (!in.finished()) return fail(ErrorCode::view_corrupt, "a task head that does not decode");
    return head;
}

}  // namespace taskd::protocol
