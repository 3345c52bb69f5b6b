// A task as everyone sees it: the engine keeps it while it lives, the view stores it whole, the API
// shows it. Values only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "taskd/base/boxed.hpp"
#include "taskd/base/bytes.hpp"
#include "taskd/base/ids.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/base/time.hpp"
#include "taskd/model/search.hpp"
#include "taskd/model/task_state.hpp"

namespace taskd {

using GroupId = TaskId;  // of the same form, and of a name space of its own
using WorkflowId = TaskId;

// Why an attempt did not succeed, as the worker or the engine said it.
struct TaskError {
    std::string code;  // a name of the error table, or the worker's own
    std::string message;
    bool permanent = false;  // not to be tried again

    friend bool operator==(const TaskError&, const TaskError&) = default;
};

enum class BackoffKind : std::uint8_t { fixed = 0, linear = 1, exponential = 2 };  // on disk
std::string_view to_text(BackoffKind kind);
std::optional<BackoffKind> parse_backoff_kind(std::string_view text);

// Wait before attempt n + 1: initial, n times initial, or initial doubled n - 1 times; capped, then
// up to `jitter` percent more by chance.
struct Backoff {
    Duration initial = limits::backoff_initial_default;
    Duration max = limits::backoff_max_default;
    BackoffKind kind = BackoffKind::exponential;
    std::uint8_t jitter = limits::backoff_jitter_default;  // 0 to 100

    friend bool operator==(const Backoff&, const Backoff&) = default;
};

// Which time of which schedule a task is for.
struct PlannedFor {
    std::string schedule;
    WallTime at;

    friend bool operator==(const PlannedFor&, const PlannedFor&) = default;
};

// Which step of which workflow a task is.
struct StepOf {
    WorkflowId workflow;
    std::uint32_t step = 0;  // its place in the plan
    std::uint32_t item = 0;  // of a step that runs for each item of a list
    std::string name;        // of the step

    friend bool operator==(const StepOf&, const StepOf&) = default;
};

// What the submitter asked for; the payload alone may change, while the task is dead.
struct TaskSpec {
    TaskId id;
    std::string type;
    Blob payload;               // one JSON value, as it came
    std::uint8_t priority = 5;  // 0 to 9, 9 first
    std::uint32_t attempts_max = limits::attempts_max_default;
    std::uint32_t crashes_max = limits::crashes_max_default;
    Backoff backoff;
    std::string key;              // may be empty: whose task it is, within its queue
    std::string idempotency_key;  // may be empty: the submit is done once under this name
    std::map<std::string, std::string> labels;  // to find it by
    std::optional<GroupId> group;               // it is a member of
    std::vector<std::string> no_retry;          // codes of errors that are not to be tried again
    Duration delay{0};                          // not before this long after the submit
    std::optional<WallTime> run_at;             // not before; excludes delay
    std::optional<WallTime> expires_at;  // not begun by then: expired; overrides queue_timeout
    Duration queue_timeout =
        limits::queue_timeout_default;           // from when it may begin to when it did
    Duration timeout = limits::timeout_default;  // of one attempt
    Duration total_timeout = limits::total_timeout_default;  // from when it may begin to its end
    Boxed<PlannedFor> planned_for;                           // of a schedule's tasks
    Boxed<StepOf> step;                                      // of a workflow's tasks

    friend bool operator==(const TaskSpec&, const TaskSpec&) = default;
};

enum class AttemptOutcome : std::uint8_t {
    running = 0,
    succeeded = 1,
    failed = 2,
    crashed = 3,   // the lease ran out without a word
    released = 4,  // the worker gave it back untouched
    cancelled = 5,
    timed_out = 6,  // took longer than it may
    expired = 7,    // the task's whole time was over
};
std::string_view to_text(AttemptOutcome outcome);

// One lease's try.
struct Attempt {
    std::uint32_t number = 0;  // from 1
    LeaseEpoch epoch;
    std::string worker;  // instance name
    WallTime started_at;
    std::optional<WallTime> ended_at;
    AttemptOutcome outcome = AttemptOutcome::running;
    Boxed<TaskError> error;
    std::optional<Duration> took;  // of the work itself, as the worker measured it

    friend bool operator==(const Attempt&, const Attempt&) = default;
};

// The right of one worker to run a task for a while. It outlives a cancelled task, and an attempt
// that took too long (revoked), until the worker confirms or it runs out, because until then the
// worker's slot is taken.
struct Lease {
    LeaseEpoch epoch;
    std::string worker;
    EngineTime until;
    bool revoked = false;
    std::optional<EngineTime> timeout_at;  // when the attempt has taken too long

    friend bool operator==(const Lease&, const Lease&) = default;
};

struct Task {
    TaskSpec spec;
    TaskState state = TaskState::queued;
    std::uint8_t priority = 5;  // as submitted, or as changed since
    WallTime submitted_at;
    std::optional<WallTime> ended_at;
    std::optional<EngineTime> due_at;   // scheduled: when it is queued again
    std::optional<WallTime> due_shown;  // the same for people
    bool due_by_wall = false;  // scheduled: due_shown is what counts, and there is no due_at
    std::optional<EngineTime> expires;  // not begun by then: expired
    std::optional<EngineTime> ends_by;  // not ended by then: expired
    Sequence queued_as;                 // record that queued it last: its place within its priority
    Sequence changed_as;                // record that changed it last
    LeaseEpoch epoch;                   // the newest one
    std::optional<Lease> lease;
    std::uint32_t failures = 0;
    std::uint32_t crashes = 0;
    std::uint32_t attempts_made = 0;
    std::uint32_t redrives = 0;         // since then failures and crashes are counted anew
    std::optional<WallTime> edited_at;  // when its payload was last changed
    std::vector<Attempt> attempts;      // the newest limits::attempts_shown_max
    Blob result;                        // one JSON value once succeeded
    Boxed<TaskError> error;             // of the last attempt that did not succeed, or why it ended

    friend bool operator==(const Task&, const Task&) = default;
};

// Sums since the store was made; part of the durable state.
struct Totals {
    std::uint64_t submitted = 0;
    std::uint64_t succeeded = 0;
    std::uint64_t dead = 0;
    std::uint64_t cancelled = 0;
    std::uint64_t failures = 0;
    std::uint64_t crashes = 0;
    std::uint64_t leases = 0;
    std::uint64_t expired = 0;
    std::uint64_t kept = 0;  // ended tasks that are still there

    friend bool operator==(const Totals&, const Totals&) = default;
};

// An idempotency key in use: by the task, until then and while the task lives.
struct KeyUse {
    std::string key;
    TaskId id;
    WallTime until;

    friend bool operator==(const KeyUse&, const KeyUse&) = default;
};
inline KeyUse key_use_of(const TaskSpec& spec, WallTime submitted_at) {
    return {spec.idempotency_key, spec.id, submitted_at + limits::idempotency_window};
}

// A question for many tasks, answered in id order (oldest first).
struct TaskQuery {
    std::string type;  // empty: any
    std::optional<TaskState> state;
    std::size_t limit = limits::page_tasks_default;
    std::optional<TaskId> after = {};                // the last id of the page before
    Search search = {};                              // all of it must hold too
    WallTime now = {};                               // for ages
    std::size_t rows_max = limits::search_rows_max;  // looked at; then the page ends
    bool count_only = false;                         // no tasks, and no limit of them
    bool bare = false;                               // without payloads and results
};

// A page of a search may be short of its limit, or empty, before the end.
struct TaskPage {
    std::vector<Task> tasks;
    std::optional<TaskId> next;  // give it as `after`; none at the end
    std::size_t count = 0;       // tasks found, of `tasks` or in their place
};

}  // namespace taskd
