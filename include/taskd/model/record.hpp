// Records: the durable changes. The engine's state is what `apply` makes of them in order; nothing
// else changes it. Numbers of kinds are on disk and are never reused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "taskd/model/group.hpp"
#include "taskd/model/operation.hpp"
#include "taskd/model/queue_rules.hpp"
#include "taskd/model/schedule.hpp"
#include "taskd/model/task.hpp"
#include "taskd/model/topic_record.hpp"
#include "taskd/model/workflow.hpp"

namespace taskd {

struct TaskSubmitted {
    TaskSpec spec;
    WallTime at;
    std::optional<WallTime> due;        // not before: it is scheduled by the wall clock
    std::optional<EngineTime> expires;  // not begun by then
    std::optional<EngineTime> ends_by;  // not ended by then
    friend bool operator==(const TaskSubmitted&, const TaskSubmitted&) = default;
};

struct TaskLeased {
    TaskId id;
    LeaseEpoch epoch;
    std::string worker;
    EngineTime until;
    WallTime at;
    std::optional<EngineTime> timeout_at;  // when the attempt has taken too long
    friend bool operator==(const TaskLeased&, const TaskLeased&) = default;
};

struct TaskCompleted {
    TaskId id;
    LeaseEpoch epoch;
    Blob result;
    WallTime at;
    std::optional<Duration> took;
    friend bool operator==(const TaskCompleted&, const TaskCompleted&) = default;
};

// The worker said that the attempt failed. Without `due_at` the task is dead.
struct AttemptFailed {
    TaskId id;
    LeaseEpoch epoch;
    TaskError error;
    std::optional<EngineTime> due_at;
    std::optional<WallTime> due_shown;
    WallTime at;
    std::optional<Duration> took;
    friend bool operator==(const AttemptFailed&, const AttemptFailed&) = default;
};

// The lease ran out. Without `due_at` the task is dead.
struct AttemptCrashed {
    TaskId id;
    LeaseEpoch epoch;
    std::optional<EngineTime> due_at;
    std::optional<WallTime> due_shown;
    WallTime at;
    friend bool operator==(const AttemptCrashed&, const AttemptCrashed&) = default;
};

struct AttemptReleased {
    TaskId id;
    LeaseEpoch epoch;
    WallTime at;
    friend bool operator==(const AttemptReleased&, const AttemptReleased&) = default;
};

struct TaskDue {
    TaskId id;
    friend bool operator==(const TaskDue&, const TaskDue&) = default;
};

struct TaskCancelled {
    TaskId id;
    std::string reason;  // may be empty
    WallTime at;
    friend bool operator==(const TaskCancelled&, const TaskCancelled&) = default;
};

// The attempt took too long. The lease is revoked; how the task goes on is said when it is over.
struct AttemptTimedOut {
    TaskId id;
    LeaseEpoch epoch;
    WallTime at;
    friend bool operator==(const AttemptTimedOut&, const AttemptTimedOut&) = default;
};

// The lease of an attempt that took too long is over. Without `due_at` the task is dead.
struct TimedOutLeaseEnded {
    TaskId id;
    LeaseEpoch epoch;
    std::optional<EngineTime> due_at;
    std::optional<WallTime> due_shown;
    WallTime at;
    friend bool operator==(const TimedOutLeaseEnded&, const TimedOutLeaseEnded&) = default;
};

// Not begun in time, or (`whole`) not ended in time. A lease is revoked.
struct TaskExpired {
    TaskId id;
    bool whole = false;
    WallTime at;
    friend bool operator==(const TaskExpired&, const TaskExpired&) = default;
};

// A task that waits has another priority; within it, it is the last.
struct PriorityChanged {
    TaskId id;
    std::uint8_t priority = 5;
    friend bool operator==(const PriorityChanged&, const PriorityChanged&) = default;
};

// The rules of a queue as they now are.
struct QueueChanged {
    QueueRules rules;
    friend bool operator==(const QueueChanged&, const QueueChanged&) = default;
};

// A schedule was made or changed: as it now is.
struct ScheduleChanged {
    Boxed<Schedule> schedule;  // always there
    friend bool operator==(const ScheduleChanged&, const ScheduleChanged&) = default;
};

struct ScheduleRemoved {
    std::string name;
    friend bool operator==(const ScheduleRemoved&, const ScheduleRemoved&) = default;
};

// A time of a schedule had its turn; the task stands in a record of its own. With `settled`, no
// time up to there comes again, and `missed` of them are not made up for.
struct ScheduleFired {
    std::string name;
    std::optional<Fire> fire;
    std::optional<WallTime> settled;
    std::uint64_t missed = 0;
    bool backfill = false;  // made up for because somebody asked
    friend bool operator==(const ScheduleFired&, const ScheduleFired&) = default;
};

// A revoked lease is over: the worker confirmed, or it ran out. Frees the worker's slot.
struct RevokedLeaseEnded {
    TaskId id;
    LeaseEpoch epoch;
    friend bool operator==(const RevokedLeaseEnded&, const RevokedLeaseEnded&) = default;
};

// The engine went on after a restart: every live lease of a task runs until `leases_until`, every
// delivery its group's ack_timeout from then on.
struct EngineResumed {
    EngineTime leases_until;
    friend bool operator==(const EngineResumed&, const EngineResumed&) = default;
};

// A dead or expired task begins anew; what was tried stays in its history.
struct TaskRedriven {
    TaskId id;
    WallTime at;
    EngineTime expires;      // not begun by then
    EngineTime ends_by;      // not ended by then
    bool holds_key = false;  // its idempotency key is its own again
    friend bool operator==(const TaskRedriven&, const TaskRedriven&) = default;
};

struct PayloadEdited {
    TaskId id;
    Blob payload;
    WallTime at;
    friend bool operator==(const PayloadEdited&, const PayloadEdited&) = default;
};

// An ended task is gone for good.
struct TaskDeleted {
    TaskId id;
    friend bool operator==(const TaskDeleted&, const TaskDeleted&) = default;
};

struct OperationStarted {
    Operation operation;
    friend bool operator==(const OperationStarted&, const OperationStarted&) = default;
};

// So many more tasks were changed and passed over, and it has come to the cursor.
struct OperationAdvanced {
    OperationId id;
    std::optional<TaskId> cursor;
    std::uint64_t changed = 0;
    std::uint64_t passed_over = 0;
    friend bool operator==(const OperationAdvanced&, const OperationAdvanced&) = default;
};

struct OperationEnded {
    OperationId id;
    bool stopped = false;
    WallTime at;
    friend bool operator==(const OperationEnded&, const OperationEnded&) = default;
};

struct GroupMade {
    Boxed<Group> group;  // always there
    friend bool operator==(const GroupMade&, const GroupMade&) = default;
};

// No more tasks come into it.
struct GroupClosed {
    GroupId id;
    friend bool operator==(const GroupClosed&, const GroupClosed&) = default;
};

// All its tasks have ended; the completion task is submitted in the same batch.
struct GroupEnded {
    GroupId id;
    std::optional<TaskId> completed_by;
    WallTime at;
    friend bool operator==(const GroupEnded&, const GroupEnded&) = default;
};

// A worker is held, or no longer.
struct WorkerHeld {
    WorkerHold hold;
    friend bool operator==(const WorkerHeld&, const WorkerHeld&) = default;
};

// As it stood when it began. The index is made from the plan by whoever has none.
struct WorkflowStarted {
    Workflow workflow;
    std::shared_ptr<const WorkflowPlan> plan;
    std::shared_ptr<const PlanIndex> index = {};  // not written

    friend bool operator==(const WorkflowStarted& a, const WorkflowStarted& b) {
        return a.workflow == b.workflow &&
               (a.plan == b.plan || (a.plan && b.plan && *a.plan == *b.plan));
    }
};

// A step that has no task of its own yet, or never has: it sleeps, waits, is a workflow, or runs
// for each item of a list. Tasks of steps say by themselves that their step has begun.
struct StepBegan {
    WorkflowId id;
    StepIndex step = 0;
    std::optional<EngineTime> until;
    std::optional<WorkflowId> child;
    Blob list;                // of for_each
    std::uint32_t items = 0;  // in it
    WallTime at;
    friend bool operator==(const StepBegan&, const StepBegan&) = default;
};

// A step that ended otherwise than with its task; or one item of it that could not begin.
struct StepEnded {
    WorkflowId id;
    StepIndex step = 0;
    std::optional<std::uint32_t> item;
    StepState state = StepState::succeeded;
    Blob result;
    std::optional<TaskError> error;
    WallTime at;
    friend bool operator==(const StepEnded&, const StepEnded&) = default;
};

// It goes on to its end: failing or cancelling.
struct WorkflowTurned {
    WorkflowId id;
    WorkflowState state = WorkflowState::failing;
    TaskError error;
    WallTime at;
    friend bool operator==(const WorkflowTurned&, const WorkflowTurned&) = default;
};

struct WorkflowEnded {
    WorkflowId id;
    WorkflowState state = WorkflowState::succeeded;
    Blob output;
    WallTime at;
    friend bool operator==(const WorkflowEnded&, const WorkflowEnded&) = default;
};

// One that did not succeed goes on: what succeeded stays, all else is as if it had not begun.
struct WorkflowRetried {
    WorkflowId id;
    EngineTime ends_by;
    WallTime at;
    friend bool operator==(const WorkflowRetried&, const WorkflowRetried&) = default;
};

// Before a step waited for it.
struct SignalReceived {
    WorkflowId id;
    Signal signal;
    friend bool operator==(const SignalReceived&, const SignalReceived&) = default;
};

// One that has ended is gone for good; its tasks are not.
struct WorkflowDeleted {
    WorkflowId id;
    friend bool operator==(const WorkflowDeleted&, const WorkflowDeleted&) = default;
};

using RecordKind = std::variant<
    TaskSubmitted, TaskLeased, TaskCompleted, AttemptFailed, AttemptCrashed, AttemptReleased,
    TaskDue, TaskCancelled, RevokedLeaseEnded, EngineResumed, AttemptTimedOut, TimedOutLeaseEnded,
    TaskExpired, PriorityChanged, QueueChanged, TaskRedriven, PayloadEdited, TaskDeleted,
    OperationStarted, OperationAdvanced, OperationEnded, GroupMade, GroupClosed, GroupEnded,
    ScheduleChanged, ScheduleRemoved, ScheduleFired, WorkerHeld, WorkflowStarted, StepBegan,
    StepEnded, WorkflowTurned, WorkflowEnded, WorkflowRetried, SignalReceived, WorkflowDeleted,
    TopicChanged, TopicRemoved, TopicTrimmed, EventPublished, SubscriptionChanged,
    SubscriptionRemoved, DeliveriesLeased, DeliveriesEnded, DeadLettersChanged, GapsTold>;

// One of the kinds. A class of its own, so that its copies and moves are compiled once and not in
// every file that has a record in its hands.
struct Record : RecordKind {
    template <class Kind>
        requires(!std::is_same_v<Kind, Record>)
    Record(Kind kind) : RecordKind(std::in_place_type<Kind>, std::move(kind)) {}
    Record();
    Record(const Record& other);
    Record(Record&& other) noexcept;
    Record& operator=(const Record& other);
    Record& operator=(Record&& other) noexcept;
    ~Record();
};

// The task a record is about; none when it is about more than one.
std::optional<TaskId> task_of(const Record& record);
// The workflow that a record is about and that was there before it.
std::optional<WorkflowId> workflow_of(const Record& record);

// What the journal commits at once: all of it or nothing. Sequences are first, first+1, ...
struct RecordBatch {
    Sequence first;     // of records[0]
    EngineTime engine;  // engine time when it was closed; engine time resumes from the last one
    std::vector<Record> records;

    Sequence last() const { return Sequence{first.value + records.size() - 1}; }
    friend bool operator==(const RecordBatch&, const RecordBatch&) = default;
};

}  // namespace taskd

extern template class std::vector<taskd::Record>;
