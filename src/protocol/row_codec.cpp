// Task rows and heads, as the view keeps them.
#include "protocol/value_codec.hpp"
#include "taskd/protocol/record_codec.hpp"

namespace taskd::protocol {
namespace {

void write(ByteWriter& out, const Attempt& attempt) {
    out.number(attempt.number);
    out.number(attempt.epoch.value);
    out.text(attempt.worker);
    out.instant(attempt.started_at);
    write_optional(out, attempt.ended_at);
    out.byte(static_cast<std::uint8_t>(attempt.outcome));
    out.flag(attempt.error.has_value());
    if (attempt.error) write(out, *attempt.error);
    write_optional(out, attempt.took);
}

Attempt read_attempt(ByteReader& in, std::uint8_t version) {
    Attempt attempt;
    attempt.number = in.number32();
    attempt.epoch = read_number<LeaseEpoch>(in);
    attempt.worker = in.text();
    attempt.started_at = in.instant<WallTime>();
    attempt.ended_at = read_optional<WallTime>(in);
    const std::uint8_t outcome = in.byte();
    if (outcome > static_cast<std::uint8_t>(AttemptOutcome::expired)) in.fail();
    attempt.outcome = static_cast<AttemptOutcome>(outcome);
    if (in.flag()) attempt.error = read_error(in);
    if (version > 1) attempt.took = read_optional<Duration>(in);
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
        case TaskState::expired:
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
    write_optional(out, lease->timeout_at);
}

std::optional<Lease> read_lease(ByteReader& in, std::uint8_t version) {
    if (!in.flag()) return std::nullopt;
    Lease lease{read_number<LeaseEpoch>(in), std::string{in.text()}, in.instant<EngineTime>(),
                in.flag(), std::nullopt};
    if (version > 1) lease.timeout_at = read_optional<EngineTime>(in);
    return lease;
}

}  // namespace

namespace {

// What not every task has; in this order, numbers never reused.
enum class TaskField : std::uint8_t { end = 0, redrives = 20, edited_at = 21 };

void write(ByteWriter& out, TaskField field) {
    out.byte(static_cast<std::uint8_t>(field));
}

void write_fields(ByteWriter& out, const Task& task) {
    if (task.redrives > 0) {
        write(out, TaskField::redrives);
        out.number(task.redrives);
    }
    if (task.edited_at) {
        write(out, TaskField::edited_at);
        out.instant(*task.edited_at);
    }
    write(out, TaskField::end);
}

// A field that says what is meant without it does not pass: one form of each value.
void read_fields(ByteReader& in, Task& task) {
    for (std::uint8_t last = 0;;) {
        const std::uint8_t field = in.byte();
        if (in.failed() || field == 0) return;
        if (field <= last) in.fail();
        last = field;
        switch (static_cast<TaskField>(field)) {
            case TaskField::redrives:
                task.redrives = in.number32();
                if (task.redrives == 0) in.fail();
                break;
            case TaskField::edited_at:
                task.edited_at = in.instant<WallTime>();
                break;
            default:
                in.fail();
        }
    }
}

}  // namespace

void encode_task_row(const Task& task, std::string& out) {
    ByteWriter writer{out};
    writer.byte(task_row_version);
    write(writer, task.spec);
    writer.byte(static_cast<std::uint8_t>(task.state));
    writer.number(task.priority);
    writer.instant(task.submitted_at);
    write_optional(writer, task.ended_at);
    write_optional(writer, task.due_at);
    write_optional(writer, task.due_shown);
    writer.flag(task.due_by_wall);
    write_optional(writer, task.expires);
    write_optional(writer, task.ends_by);
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
    write_fields(writer, task);
}

Result<Task> decode_task_row(std::string_view bytes, Blob payload, Blob result) {
    ByteReader in{bytes};
    const std::uint8_t version = in.byte();
    if (version > task_row_version)
        return fail(ErrorCode::store_too_new, "task row version " + std::to_string(version));
    if (version == 0) return fail(ErrorCode::view_corrupt, "a task row without a version");
    Task task;
    task.spec = version == 1 ? read_spec_1(in) : read_spec(in);
    task.spec.payload = std::move(payload);
    task.state = read_state(in);
    task.priority =
        version > 2 ? static_cast<std::uint8_t>(in.number_to(priority_max)) : task.spec.priority;
    task.submitted_at = in.instant<WallTime>();
    task.ended_at = read_optional<WallTime>(in);
    task.due_at = read_optional<EngineTime>(in);
    task.due_shown = read_optional<WallTime>(in);
    if (version > 1) {
        task.due_by_wall = in.flag();
        task.expires = read_optional<EngineTime>(in);
        task.ends_by = read_optional<EngineTime>(in);
    }
    task.queued_as = read_number<Sequence>(in);
    task.changed_as = read_number<Sequence>(in);
    task.epoch = read_number<LeaseEpoch>(in);
    task.lease = read_lease(in, version);
    task.failures = in.number32();
    task.crashes = in.number32();
    task.attempts_made = in.number32();
    const std::uint64_t attempts = in.number_to(limits::attempts_shown_max);
    for (std::uint64_t i = 0; i < attempts && !in.failed(); ++i)
        task.attempts.push_back(read_attempt(in, version));
    if (in.flag()) task.error = read_error(in);
    if (version > 3) read_fields(in, task);
    task.result = std::move(result);
    if (!in.finished()) return fail(ErrorCode::view_corrupt, "a task row that does not decode");
    return task;
}

constexpr std::uint8_t queue_row_bare = 1;  // without a schema

void encode_queue_row(const QueueRules& rules, std::string& out) {
    ByteWriter writer{out};
    const bool has_schema = !rules.schema.empty();
    writer.byte(has_schema ? queue_row_version : queue_row_bare);
    write(writer, rules);
    if (has_schema) writer.text(rules.schema.view());
}

Result<QueueRules> decode_queue_row(std::string_view bytes) {
    ByteReader in{bytes};
    const std::uint8_t version = in.byte();
    if (version > queue_row_version)
        return fail(ErrorCode::store_too_new, "queue row version " + std::to_string(version));
    QueueRules rules = version == queue_row_bare ? read_queue_rules(in) : read_queue_rules_2(in);
    if (version == 0 || !in.finished())
        return fail(ErrorCode::view_corrupt, "a queue row that does not decode");
    return rules;
}

void encode_operation_row(const Operation& operation, std::string& out) {
    ByteWriter writer{out};
    writer.byte(operation_row_version);
    write(writer, operation);
}

Result<Operation> decode_operation_row(std::string_view bytes) {
    ByteReader in{bytes};
    const std::uint8_t version = in.byte();
    if (version > operation_row_version)
        return fail(ErrorCode::store_too_new, "operation row version " + std::to_string(version));
    Operation operation = read_operation(in);
    if (version == 0 || !in.finished())
        return fail(ErrorCode::view_corrupt, "an operation row that does not decode");
    return operation;
}

void encode_group_row(const Group& group, std::string& out) {
    ByteWriter writer{out};
    writer.byte(group_row_version);
    write(writer, group);
}

Result<Group> decode_group_row(std::string_view bytes) {
    ByteReader in{bytes};
    const std::uint8_t version = in.byte();
    if (version > group_row_version)
        return fail(ErrorCode::store_too_new, "group row version " + std::to_string(version));
    Group group = read_group(in);
    if (version == 0 || !in.finished())
        return fail(ErrorCode::view_corrupt, "a group row that does not decode");
    return group;
}

void encode_hold_row(const WorkerHold& hold, std::string& out) {
    ByteWriter writer{out};
    writer.byte(hold_row_version);
    write(writer, hold);
}

Result<WorkerHold> decode_hold_row(std::string_view bytes) {
    ByteReader in{bytes};
    const std::uint8_t version = in.byte();
    if (version > hold_row_version)
        return fail(ErrorCode::store_too_new, "hold row version " + std::to_string(version));
    WorkerHold hold = read_hold(in);
    if (version == 0 || !in.finished())
        return fail(ErrorCode::view_corrupt, "a hold row that does not decode");
    return hold;
}

void encode_task_head(const TaskHead& head, std::string& out) {
    ByteWriter writer{out};
    writer.byte(task_head_version);
    writer.text(head.type);
    writer.text(head.key);
    writer.byte(static_cast<std::uint8_t>(head.state));
    writer.number(head.priority);
    writer.flag(head.leased);
    write_optional(writer, head.deadline);
    write_optional(writer, head.due);
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
    head.key = in.text();
    head.state = read_state(in);
    head.priority = static_cast<std::uint8_t>(in.number_to(priority_max));
    head.leased = in.flag();
    head.deadline = read_optional<EngineTime>(in);
    head.due = read_optional<WallTime>(in);
    head.submitted_at = in.instant<WallTime>();
    head.payload_bytes = in.number32();
    if (!in.finished()) return fail(ErrorCode::view_corrupt, "a task head that does not decode");
    return head;
}

}  // namespace taskd::protocol
