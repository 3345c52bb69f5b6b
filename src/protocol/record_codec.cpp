#include "taskd/protocol/record_codec.hpp"

#include <algorithm>

#include "protocol/record_kind.hpp"
#include "protocol/topic_codec.hpp"
#include "protocol/value_codec.hpp"
#include "protocol/workflow_codec.hpp"
#include "taskd/base/assert.hpp"

namespace taskd::protocol {
namespace {

template <class... Handlers>
struct Overloaded : Handlers... {
    using Handlers::operator()...;
};

void write(ByteWriter& out, RecordKind kind) {
    out.byte(static_cast<std::uint8_t>(kind));
}

void write_lease(ByteWriter& out, RecordKind kind, const TaskId& id, LeaseEpoch epoch) {
    write(out, kind);
    out.id(id);
    out.number(epoch.value);
}

class RecordWriter {
  public:
    explicit RecordWriter(ByteWriter& writer) : out_{writer} {}

    void operator()(const TaskSubmitted& r) {
        write(out_, RecordKind::task_submitted_2);
        write(out_, r.spec);
        out_.text(r.spec.payload.view());
        out_.instant(r.at);
        write_optional(out_, r.due);
        write_optional(out_, r.expires);
        write_optional(out_, r.ends_by);
    }
    void operator()(const TaskLeased& r) {
        write_lease(out_, RecordKind::task_leased_2, r.id, r.epoch);
        out_.text(r.worker);
        out_.instant(r.until);
        out_.instant(r.at);
        write_optional(out_, r.timeout_at);
    }
    void operator()(const TaskCompleted& r) {
        write_lease(out_, RecordKind::task_completed_2, r.id, r.epoch);
        out_.text(r.result.view());
        out_.instant(r.at);
        write_optional(out_, r.took);
    }
    void operator()(const AttemptFailed& r) {
        write_lease(out_, RecordKind::attempt_failed_2, r.id, r.epoch);
        write(out_, r.error);
        write_optional(out_, r.due_at);
        write_optional(out_, r.due_shown);
        out_.instant(r.at);
        write_optional(out_, r.took);
    }
    void operator()(const AttemptCrashed& r) {
        write_lease(out_, RecordKind::attempt_crashed, r.id, r.epoch);
        write_optional(out_, r.due_at);
        write_optional(out_, r.due_shown);
        out_.instant(r.at);
    }
    void operator()(const AttemptReleased& r) {
        write_lease(out_, RecordKind::attempt_released, r.id, r.epoch);
        out_.instant(r.at);
    }
    void operator()(const TaskDue& r) {
        write(out_, RecordKind::task_due);
        out_.id(r.id);
    }
    void operator()(const TaskCancelled& r) {
        write(out_, RecordKind::task_cancelled);
        out_.id(r.id);
        out_.text(r.reason);
        out_.instant(r.at);
    }
    void operator()(const RevokedLeaseEnded& r) {
        write_lease(out_, RecordKind::revoked_lease_ended, r.id, r.epoch);
    }
    void operator()(const EngineResumed& r) {
        write(out_, RecordKind::engine_resumed);
        out_.instant(r.leases_until);
    }
    void operator()(const AttemptTimedOut& r) {
        write_lease(out_, RecordKind::attempt_timed_out, r.id, r.epoch);
        out_.instant(r.at);
    }
    void operator()(const TimedOutLeaseEnded& r) {
        write_lease(out_, RecordKind::timed_out_lease_ended, r.id, r.epoch);
        write_optional(out_, r.due_at);
        write_optional(out_, r.due_shown);
        out_.instant(r.at);
    }
    void operator()(const PriorityChanged& r) {
        write(out_, RecordKind::priority_changed);
        out_.id(r.id);
        out_.number(r.priority);
    }
    void operator()(const QueueChanged& r) {
        const bool has_schema = !r.rules.schema.empty();
        write(out_, has_schema ? RecordKind::queue_changed_2 : RecordKind::queue_changed);
        write(out_, r.rules);
        if (has_schema) out_.text(r.rules.schema.view());
    }
    void operator()(const TaskRedriven& r) {
        write(out_, RecordKind::task_redriven);
        out_.id(r.id);
        out_.instant(r.at);
        out_.instant(r.expires);
        out_.instant(r.ends_by);
        out_.flag(r.holds_key);
    }
    void operator()(const PayloadEdited& r) {
        write(out_, RecordKind::payload_edited);
        out_.id(r.id);
        out_.text(r.payload.view());
        out_.instant(r.at);
    }
    void operator()(const TaskDeleted& r) {
        write(out_, RecordKind::task_deleted);
        out_.id(r.id);
    }
    void operator()(const OperationStarted& r) {
        write(out_, RecordKind::operation_started);
        write(out_, r.operation);
    }
    void operator()(const OperationAdvanced& r) {
        write(out_, RecordKind::operation_advanced);
        out_.id(r.id);
        write_optional(out_, r.cursor);
        out_.number(r.changed);
        out_.number(r.passed_over);
    }
    void operator()(const OperationEnded& r) {
        write(out_, RecordKind::operation_ended);
        out_.id(r.id);
        out_.flag(r.stopped);
        out_.instant(r.at);
    }
    void operator()(const GroupMade& r) {
        write(out_, RecordKind::group_made);
        write(out_, *r.group);
    }
    void operator()(const GroupClosed& r) {
        write(out_, RecordKind::group_closed);
        out_.id(r.id);
    }
    void operator()(const GroupEnded& r) {
        write(out_, RecordKind::group_ended);
        out_.id(r.id);
        write_optional(out_, r.completed_by);
        out_.instant(r.at);
    }
    void operator()(const ScheduleChanged& r) {
        write(out_, RecordKind::schedule_changed);
        write(out_, *r.schedule);
    }
    void operator()(const ScheduleRemoved& r) {
        write(out_, RecordKind::schedule_removed);
        out_.text(r.name);
    }
    void operator()(const ScheduleFired& r) {
        write(out_, RecordKind::schedule_fired);
        out_.text(r.name);
        out_.flag(r.fire.has_value());
        if (r.fire) write(out_, *r.fire);
        write_optional(out_, r.settled);
        out_.number(r.missed);
        out_.flag(r.backfill);
    }
    void operator()(const WorkerHeld& r) {
        write(out_, RecordKind::worker_held);
        write(out_, r.hold);
    }
    template <OfTopics Topical>
    void operator()(const Topical& r) {
        write(out_, kind_of(r));
        write(out_, r);
    }
    void operator()(const TaskExpired& r) {
        write(out_, RecordKind::task_expired);
        out_.id(r.id);
        out_.flag(r.whole);
        out_.instant(r.at);
    }
    void operator()(const WorkflowStarted& r) {
        write(out_, RecordKind::workflow_started);
        write(out_, r.workflow);
        write(out_, *r.plan);
    }
    void operator()(const StepBegan& r) {
        write(out_, RecordKind::step_began);
        out_.id(r.id);
        out_.number(r.step);
        write_optional(out_, r.until);
        write_optional(out_, r.child);
        out_.text(r.list.view());
        out_.number(r.items);
        out_.instant(r.at);
    }
    void operator()(const StepEnded& r) {
        write(out_, RecordKind::step_ended);
        out_.id(r.id);
        out_.number(r.step);
        out_.flag(r.item.has_value());
        if (r.item) out_.number(*r.item);
        out_.byte(static_cast<std::uint8_t>(r.state));
        out_.text(r.result.view());
        write_optional(out_, r.error);
        out_.instant(r.at);
    }
    void operator()(const WorkflowTurned& r) {
        write(out_, RecordKind::workflow_turned);
        out_.id(r.id);
        out_.byte(static_cast<std::uint8_t>(r.state));
        write(out_, r.error);
        out_.instant(r.at);
    }
    void operator()(const WorkflowEnded& r) {
        write(out_, RecordKind::workflow_ended);
        out_.id(r.id);
        out_.byte(static_cast<std::uint8_t>(r.state));
        out_.text(r.output.view());
        out_.instant(r.at);
    }
    void operator()(const WorkflowRetried& r) {
        write(out_, RecordKind::workflow_retried);
        out_.id(r.id);
        out_.instant(r.ends_by);
        out_.instant(r.at);
    }
    void operator()(const SignalReceived& r) {
        write(out_, RecordKind::signal_received);
        out_.id(r.id);
        out_.text(r.signal.name);
        out_.text(r.signal.payload.view());
    }
    void operator()(const WorkflowDeleted& r) {
        write(out_, RecordKind::workflow_deleted);
        out_.id(r.id);
    }

  private:
    ByteWriter& out_;
};

ScheduleFired read_schedule_fired(ByteReader& in) {
    ScheduleFired record;
    record.name = in.text();
    if (in.flag()) record.fire = read_fire(in);
    record.settled = read_optional<WallTime>(in);
    record.missed = in.number();
    record.backfill = in.flag();
    return record;
}

// Kinds that are no longer written.
Record read_old_record(ByteReader& in, RecordKind kind) {
    switch (kind) {
        case RecordKind::task_submitted: {
            TaskSubmitted record{read_spec_1(in), {}, {}, {}, {}};
            record.spec.payload = Blob{std::string{in.text()}};
            record.at = in.instant<WallTime>();
            return record;
        }
        case RecordKind::task_leased:
            return TaskLeased{in.id(),
                              read_number<LeaseEpoch>(in),
                              std::string{in.text()},
                              in.instant<EngineTime>(),
                              in.instant<WallTime>(),
                              {}};
        case RecordKind::task_completed:
            return TaskCompleted{in.id(),
                                 read_number<LeaseEpoch>(in),
                                 Blob{std::string{in.text()}},
                                 in.instant<WallTime>(),
                                 {}};
        case RecordKind::attempt_failed:
            return AttemptFailed{in.id(),
                                 read_number<LeaseEpoch>(in),
                                 read_error(in),
                                 read_optional<EngineTime>(in),
                                 read_optional<WallTime>(in),
                                 in.instant<WallTime>(),
                                 {}};
        default:
            in.fail();
            return TaskDue{};
    }
}

Blob read_blob(ByteReader& in) {
    const std::string_view bytes = in.text();
    return bytes.empty() ? Blob{} : Blob{std::string{bytes}};
}

Record read_workflow_record(ByteReader& in, RecordKind kind) {
    switch (kind) {
        case RecordKind::workflow_started: {
            WorkflowStarted record{read_workflow(in), nullptr};
            record.plan = read_plan(in);
            return record;
        }
        case RecordKind::step_began:
            return StepBegan{
                in.id(),       in.number32(), read_optional<EngineTime>(in), read_optional_id(in),
                read_blob(in), in.number32(), in.instant<WallTime>()};
        case RecordKind::step_ended: {
            StepEnded record{in.id(), in.number32(), {}, {}, {}, {}, {}};
            if (in.flag()) record.item = in.number32();
            record.state = read_step_state(in);
            record.result = read_blob(in);
            record.error = read_optional_error(in);
            record.at = in.instant<WallTime>();
            return record;
        }
        case RecordKind::workflow_turned:
            return WorkflowTurned{in.id(), read_workflow_state(in), read_error(in),
                                  in.instant<WallTime>()};
        case RecordKind::workflow_ended:
            return WorkflowEnded{in.id(), read_workflow_state(in), read_blob(in),
                                 in.instant<WallTime>()};
        case RecordKind::workflow_retried:
            return WorkflowRetried{in.id(), in.instant<EngineTime>(), in.instant<WallTime>()};
        case RecordKind::signal_received:
            return SignalReceived{in.id(), {std::string{in.text()}, read_blob(in)}};
        case RecordKind::workflow_deleted:
            return WorkflowDeleted{in.id()};
        default:
            return is_topic_kind(kind) ? read_topic_record(in, kind) : read_old_record(in, kind);
    }
}

// What people do to ended tasks and to many tasks.
Record read_task_action(ByteReader& in, RecordKind kind) {
    switch (kind) {
        case RecordKind::task_redriven:
            return TaskRedriven{in.id(), in.instant<WallTime>(), in.instant<EngineTime>(),
                                in.instant<EngineTime>(), in.flag()};
        case RecordKind::payload_edited:
            return PayloadEdited{in.id(), Blob{std::string{in.text()}}, in.instant<WallTime>()};
        case RecordKind::task_deleted:
            return TaskDeleted{in.id()};
        case RecordKind::operation_started:
            return OperationStarted{read_operation(in)};
        case RecordKind::operation_advanced:
            return OperationAdvanced{in.id(), read_optional_id(in), in.number(), in.number()};
        case RecordKind::operation_ended:
            return OperationEnded{in.id(), in.flag(), in.instant<WallTime>()};
        case RecordKind::group_made:
            return GroupMade{read_group(in)};
        case RecordKind::group_closed:
            return GroupClosed{in.id()};
        case RecordKind::worker_held:
            return WorkerHeld{read_hold(in)};
        case RecordKind::group_ended:
            return GroupEnded{in.id(), read_optional_id(in), in.instant<WallTime>()};
        default:
            return read_workflow_record(in, kind);
    }
}

// Braces keep the order of reading: members of an aggregate are read from first to last.
Record read_record(ByteReader& in, RecordKind kind) {
    switch (kind) {
        case RecordKind::task_submitted_2: {
            TaskSubmitted record{read_spec(in), {}, {}, {}, {}};
            record.spec.payload = Blob{std::string{in.text()}};
            record.at = in.instant<WallTime>();
            record.due = read_optional<WallTime>(in);
            record.expires = read_optional<EngineTime>(in);
            record.ends_by = read_optional<EngineTime>(in);
            return record;
        }
        case RecordKind::task_leased_2:
            return TaskLeased{in.id(),
                              read_number<LeaseEpoch>(in),
                              std::string{in.text()},
                              in.instant<EngineTime>(),
                              in.instant<WallTime>(),
                              read_optional<EngineTime>(in)};
        case RecordKind::task_completed_2:
            return TaskCompleted{in.id(), read_number<LeaseEpoch>(in), Blob{std::string{in.text()}},
                                 in.instant<WallTime>(), read_optional<Duration>(in)};
        case RecordKind::attempt_failed_2:
            return AttemptFailed{in.id(),
                                 read_number<LeaseEpoch>(in),
                                 read_error(in),
                                 read_optional<EngineTime>(in),
                                 read_optional<WallTime>(in),
                                 in.instant<WallTime>(),
                                 read_optional<Duration>(in)};
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
        case RecordKind::attempt_timed_out:
            return AttemptTimedOut{in.id(), read_number<LeaseEpoch>(in), in.instant<WallTime>()};
        case RecordKind::timed_out_lease_ended:
            return TimedOutLeaseEnded{in.id(), read_number<LeaseEpoch>(in),
                                      read_optional<EngineTime>(in), read_optional<WallTime>(in),
                                      in.instant<WallTime>()};
        case RecordKind::priority_changed:
            return PriorityChanged{in.id(), static_cast<std::uint8_t>(in.number_to(priority_max))};
        case RecordKind::queue_changed:
            return QueueChanged{read_queue_rules(in)};
        case RecordKind::queue_changed_2:
            return QueueChanged{read_queue_rules_2(in)};
        case RecordKind::schedule_changed:
            return ScheduleChanged{read_schedule(in)};
        case RecordKind::schedule_removed:
            return ScheduleRemoved{std::string{in.text()}};
        case RecordKind::schedule_fired:
            return read_schedule_fired(in);
        case RecordKind::task_expired:
            return TaskExpired{in.id(), in.flag(), in.instant<WallTime>()};
        default:
            return read_task_action(in, kind);
    }
}

}  // namespace

std::size_t encoded_bytes_max(const Record& record) {
    constexpr std::size_t kind_id_epoch = 1 + id_bytes + number_max;
    constexpr std::size_t due_max = 2 * (1 + number_max);
    return std::visit(
        Overloaded{
            [](const TaskSubmitted& r) {
                constexpr std::size_t numbers = 5;  // a length, four times
                return 1 + bytes_max(r.spec) + numbers * (1 + number_max);
            },
            [](const TaskLeased& r) {
                return kind_id_epoch + 4 * number_max + 1 + r.worker.size();
            },
            [](const TaskCompleted& r) {
                return kind_id_epoch + 3 * number_max + 1 + r.result.size();
            },
            [](const AttemptFailed& r) {
                return kind_id_epoch + bytes_max(r.error) + due_max + 2 * number_max + 1;
            },
            [](const AttemptCrashed&) { return kind_id_epoch + due_max + number_max; },
            [](const AttemptReleased&) { return kind_id_epoch + number_max; },
            [](const TaskDue&) { return 1 + id_bytes; },
            [](const TaskCancelled& r) { return 1 + id_bytes + 2 * number_max + r.reason.size(); },
            [](const RevokedLeaseEnded&) { return kind_id_epoch; },
            [](const EngineResumed&) { return 1 + number_max; },
            [](const AttemptTimedOut&) { return kind_id_epoch + number_max; },
            [](const TimedOutLeaseEnded&) { return kind_id_epoch + due_max + number_max; },
            [](const PriorityChanged&) { return 1 + id_bytes + number_max; },
            [](const QueueChanged& r) { return 1 + bytes_max(r.rules); },
            [](const ScheduleChanged& r) { return 1 + bytes_max(*r.schedule); },
            [](const ScheduleRemoved& r) { return 1 + number_max + r.name.size(); },
            [](const ScheduleFired& r) {
                return 4 + 3 * number_max + r.name.size() + (r.fire ? bytes_max(*r.fire) : 0);
            },
            [](const TaskExpired&) { return 1 + id_bytes + 1 + number_max; },
            [](const TaskRedriven&) { return 1 + id_bytes + 3 * number_max + 1; },
            [](const PayloadEdited& r) { return 1 + id_bytes + 2 * number_max + r.payload.size(); },
            [](const TaskDeleted&) { return 1 + id_bytes; },
            [](const OperationStarted& r) { return 1 + bytes_max(r.operation); },
            [](const OperationAdvanced&) { return 1 + 2 * id_bytes + 1 + 2 * number_max; },
            [](const OperationEnded&) { return 1 + id_bytes + 1 + number_max; },
            [](const GroupMade& r) { return 1 + bytes_max(*r.group); },
            [](const GroupClosed&) { return 1 + id_bytes; },
            [](const WorkerHeld& r) { return 1 + bytes_max(r.hold); },
            [](const GroupEnded&) { return 1 + 2 * id_bytes + 1 + number_max; },
            []<OfTopics Topical>(const Topical& r) { return 1 + bytes_max(r); },
            [](const WorkflowStarted& r) { return 1 + bytes_max(r.workflow) + bytes_max(*r.plan); },
            [](const StepBegan& r) { return 3 + 2 * id_bytes + 5 * number_max + r.list.size(); },
            [](const StepEnded& r) {
                return 4 + id_bytes + 4 * number_max + r.result.size() +
                       (r.error ? bytes_max(*r.error) : 0);
            },
            [](const WorkflowTurned& r) { return 2 + id_bytes + number_max + bytes_max(r.error); },
            [](const WorkflowEnded& r) { return 2 + id_bytes + 2 * number_max + r.output.size(); },
            [](const WorkflowRetried&) { return 1 + id_bytes + 2 * number_max; },
            [](const SignalReceived& r) {
                return 1 + id_bytes + 2 * number_max + r.signal.name.size() +
                       r.signal.payload.size();
            },
            [](const WorkflowDeleted&) { return 1 + id_bytes; },
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
        std::visit(RecordWriter{writer}, record);
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

}  // namespace taskd::protocol
