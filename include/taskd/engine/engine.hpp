// The engine: the state of all tasks and the rules for it. `decide` reads memory only and changes
// nothing; `apply` is the only thing that changes state; recovery is `restore` and `apply` alone.
// Pure: no clock, no chance of its own, no I/O. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "taskd/base/random.hpp"
#include "taskd/engine/command.hpp"
#include "taskd/model/task_head.hpp"
#include "taskd/model/templates.hpp"
#include "taskd/model/topic_changes.hpp"

namespace taskd::engine {

struct EngineSettings {
    Duration lease_duration = limits::lease_duration_default;
    std::size_t ended_in_memory_max = limits::ended_in_memory_max;
    std::size_t ended_bytes_max = 32 * limits::mebibyte;
    // Bodies of tasks that wait; the rest of them is in the view.
    std::size_t waiting_bytes_max = limits::waiting_bytes_max;
    std::size_t keys_in_memory_max = limits::idempotency_keys_in_memory;
    // Events of topics that the view has too.
    std::size_t events_bytes_max = limits::events_bytes_in_memory;
    // Outlives the engine. Whoever has none starts no workflows.
    const Templates* templates = nullptr;
};

// What a workflow waits for, one of its steps each.
struct StepWait {
    std::string step;
    std::string_view rule;  // depends_on, task, sleep, signal, event, approval, workflow, tasks_max
    std::string text;       // what it waits for, for people
    std::string release;    // what would let it go on
    std::optional<WallTime> until;
    std::optional<TaskId> task;  // whose own explanation says more
};

// Which rule holds a task, and what would release it.
struct Explanation {
    std::string_view rule;  // of rule_table()
    std::string text;       // what holds it, for people
    std::string release;    // what would let it go on; empty when it has ended
    std::optional<WallTime> until;

    // Where its time went, as far as it is known: queued, between_attempts, dispatched (to the
    // worker and back), running, committing.
    struct Phase {
        std::string_view name;
        Duration took;
    };
    std::vector<Phase> spent;
};

// Every rule that can hold a task, in the order in which they are looked at.
struct HoldingRule {
    std::string_view name;
    std::string_view text;
};
std::span<const HoldingRule> rule_table();

struct QueueFigures {
    std::string type;
    std::size_t queued = 0;
    std::size_t running = 0;
    std::size_t scheduled = 0;
    std::size_t workers = 0;
    std::size_t slots = 0;
    std::size_t slots_used = 0;
    std::size_t leased = 0;  // leases, those of cancelled tasks too
    std::size_t keys = 0;    // with tasks in memory, the empty one too
    // When the longest waiting one was submitted; of the first thousand keys.
    std::optional<WallTime> oldest_queued_at;  // when the longest waiting one was submitted
};

// What a lease a worker speaks of is worth.
enum class LeaseStanding { held, revoked, lost };

struct State;  // in src/engine/state.hpp

class Engine {
  public:
    explicit Engine(EngineSettings settings);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    Decision decide(const Now& now, const Command& command, Random& random) const;
    void apply(Sequence sequence, const Record& record);
    void apply(const Note& note);

    // Recovery from the view: heads in queued_as order, leased tasks whole, then the sums and the
    // newest ended id there.
    void expect(std::size_t tasks);         // about so many heads, before anything
    void restore(const QueueRules& rules);  // before the heads
    void restore(const Operation& operation);
    void restore(const Group& group);
    void restore(const WorkerHold& hold);
    void restore(const Schedule& schedule);
    void restore(const WholeWorkflow& workflow);  // one that has not ended
    void restore(const TaskHead& head);
    void restore(std::shared_ptr<Task> task);
    void restore(const KeyUse& use);  // oldest first
    void restore(const Totals& totals, std::optional<TaskId> newest_ended);

    // When the next Tick has something to do.
    std::optional<EngineTime> next_deadline(const Now& now) const;
    // Then the wall clock is to be looked at now and again: it may be set.
    bool waits_for_wall_time() const;
    // Whether a Match would lease something, and whether a Look would ask for something.
    bool can_match() const;
    bool can_look() const;

    // The task while it is in memory with its body; until the next apply. A task without its body
    // only waits, and its row in the view is as it is.
    const Task* find(TaskId id) const;
    // The same, and as it is now for as long as it is held: a change then makes a copy.
    std::shared_ptr<const Task> hold(TaskId id) const;
    std::optional<TaskState> state_of(TaskId id) const;
    bool is_bodiless(TaskId id) const;
    bool is_deleted(TaskId id) const;  // and the view may still have it
    // The task a record changes, when it has to be loaded before it is applied: its body, or all of
    // it, as far as the view has it.
    std::optional<TaskId> body_needed(const Record& record) const;
    // What its worker said last, while the attempt runs.
    const Progress* progress_of(TaskId id) const;
    LeaseStanding standing(const LeaseRef& lease) const;
    // The first rule that holds the task; for an ended one, where its time went. The task as it is
    // now, from here or from the view. `room`: whether a lease could be written down.
    Explanation explain(const Now& now, const Task& task, bool room = true) const;
    std::vector<LeaseRef> leases_of(const std::string& worker) const;  // not revoked ones
    std::size_t held_by(const std::string& worker) const;

    const Totals& totals() const;
    std::vector<QueueFigures> queues() const;
    QueueFigures figures_of(const std::string& type) const;
    std::vector<std::string> queue_types() const;
    // As they are, or as they are without a word: no limits.
    QueueRules rules_of(const std::string& type) const;
    // The schema of its payloads; empty: any will do.
    Blob schema_of(const std::string& type) const;
    const std::map<OperationId, Operation>& operations() const;
    const std::map<GroupId, Group>& groups() const;
    const std::map<std::string, WorkerHold, std::less<>>& holds() const;  // by instance
    // Of this worker, by its name or by the part of it that stays when it is started anew: what is
    // before "-" and 8 hex digits.
    const WorkerHold* hold_of(std::string_view instance) const;
    // Whether an Advance would do something.
    bool can_advance() const { return next_to_advance().has_value(); }
    std::optional<WorkflowId> next_to_advance() const;
    std::size_t workflows_running() const;
    const Workflow* find_workflow(WorkflowId id) const;  // in memory, until the next apply
    // With so many of its steps from one on: a copy of all takes its time when they are many.
    std::optional<WholeWorkflow> whole_workflow(WorkflowId id, StepIndex first = 0,
                                                std::size_t count = SIZE_MAX) const;
    void each_workflow(const std::function<void(const Workflow&)>& take) const;  // by id
    // What the steps of one that lives wait for, the first `most` of them.
    std::vector<StepWait> explain_workflow(const Now& now, WorkflowId id, std::size_t most) const;
    const Schedule* schedule(const std::string& name) const;  // until the next apply
    void each_schedule(const std::function<void(const Schedule&)>& take) const;  // by name
    // Queues that have a task and a worker for it with nothing between them, found out anew; of the
    // first thousand keys of each.
    std::vector<std::string> idle_with_work() const;
    // Counts that differ from what the leases and tasks in memory say; always empty.
    std::vector<std::string> faults() const;
    std::size_t tasks_in_memory() const;
    // About what is known of them takes beside their bodies: it stays until they end, so it grows
    // with the backlog.
    std::size_t backlog_bytes() const;
    std::size_t waiting_bytes() const;   // of bodies in memory that could leave it
    std::size_t ended_bytes() const;     // of tasks in memory that have ended
    std::size_t changed_tasks() const;   // since the last take_changed
    std::uint64_t copied_bytes() const;  // of tasks that changed while a change had their row; ever
    void each_task(const std::function<void(const Task&)>& take) const;  // with a body, in no order

    // The tasks changed since the last call, each once, as they now are.
    std::vector<std::shared_ptr<const Task>> take_changed();
    std::vector<QueueRules> take_changed_queues();
    std::vector<Operation> take_changed_operations();
    std::vector<Group> take_changed_groups();
    std::vector<WorkerHold> take_changed_holds();
    std::vector<WorkflowChange> take_changed_workflows();
    // What is gone since the last call.
    struct Gone {
        std::vector<TaskId> tasks;
        std::vector<OperationId> operations;
        std::vector<GroupId> groups;
        std::vector<WorkflowId> workflows;
    };
    Gone take_gone();
    // By name; none where one was removed.
    std::vector<std::pair<std::string, std::optional<Schedule>>> take_changed_schedules();

    // Topics and groups, by name; until the next apply.
    const Topic* topic(const std::string& name) const;
    void each_topic(const std::function<void(const Topic&)>& take) const;
    std::size_t topics() const;
    const Subscription* subscription(const std::string& group) const;
    void each_subscription(const std::function<void(const Subscription&)>& take) const;
    const std::map<DeliveryKey, DeadLetter>& dead_letters(const std::string& group) const;
    std::vector<std::string> groups_of(const std::string& topic) const;
    // Events of the group's topics that it has not settled.
    std::uint64_t lag_of(const Subscription& subscription) const;
    // Whether asking for deliveries is likely to find some, and when the next retry is due.
    bool may_deliver(const Now& now, const std::string& group) const;
    std::optional<EngineTime> next_retry(const std::string& group) const;
    // Of events that the view may not have yet.
    std::shared_ptr<const TopicEvent> event(const std::string& topic, EventSequence place) const;
    std::size_t event_bytes() const;  // in memory

    void restore(const Topic& topic);  // before groups
    void restore(const Subscription& subscription);
    void restore(const std::string& group, const DeliveryKey& event, const DeadLetter& letter);
    void restore(const std::string& event_id, const DeliveryKey& event);  // oldest first

    // Since the last call.
    TopicChanges take_changed_topics();

    // How often each row of state_table() was used, in its order.
    const std::vector<std::uint64_t>& row_hits() const;

  private:
    std::unique_ptr<State> state_;
};

}  // namespace taskd::engine
