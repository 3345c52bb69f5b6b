// What the engine remembers. Everything here follows from the records applied; the indexes (queues,
// slots, deadlines) are derived from the tasks in one place, `place` and `displace`.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <set>
#include <tuple>

#include "engine/headers.hpp"
#include "engine/topics.hpp"
#include "engine/workflows.hpp"
#include "taskd/engine/engine.hpp"

namespace taskd::engine {

struct Queue;

// One running process that takes tasks. It stays known as long as it holds leases.
struct Worker {
    std::string instance;
    std::vector<Queue*> queues;  // of the types it takes, while it is up
    std::uint32_t slots = 0;
    std::uint32_t credit = credit_unlimited;  // leases it takes before it has asked again
    bool up = false;
    bool held = false;        // by an operator: gets nothing
    std::uint64_t order = 0;  // of arrival: breaks ties, so that runs repeat
    IntrusiveList<Body, &Body::in_worker> leases;

    // Tasks it may hold as things stand.
    std::size_t capacity() const {
        if (held) return leases.size();
        return credit == credit_unlimited ? slots
                                          : std::min<std::size_t>(slots, leases.size() + credit);
    }
    bool has_free_slot() const { return up && !held && credit > 0 && leases.size() < slots; }
};

struct ByArrival {
    bool operator()(const Worker* a, const Worker* b) const { return a->order < b->order; }
};

struct LeastLoaded {
    bool operator()(const Worker* a, const Worker* b) const {
        if (a->leases.size() != b->leases.size()) return a->leases.size() < b->leases.size();
        return a->order < b->order;
    }
};

inline constexpr std::size_t priorities = 10;

// A wall time as a header keeps it while it waits for the wall clock.
inline EngineTime as_deadline(WallTime time) {
    return EngineTime{time.time_since_epoch()};
}

// A rate as the time at which its bucket would be full again; it opens a share before that.
struct Bucket {
    EngineTime full_at{};
    bool closed = false;  // until its entry in State::wakes

    EngineTime opens_at(const Rate& rate) const {
        return full_at - rate.interval() * (rate.burst - 1);
    }
};

// The tasks of one queue with one key, the empty one too. It goes with the last of them, but not
// before its bucket is full.
struct Lane {
    Queue* queue = nullptr;
    std::string key;
    std::uint32_t index = 0;  // in State::lanes, never 0
    std::uint64_t order = 0;
    std::array<Line, priorities> waiting;
    std::size_t tasks = 0;      // in memory, in any state
    std::size_t backlog = 0;    // of them queued or scheduled
    std::size_t leased = 0;     // leases held, revoked or not
    std::uint64_t turn = 0;     // the lane with the least is next
    std::uint16_t in_turn = 0;  // a bit for each priority at which it stands in Queue::turns
    Bucket bucket;
};

struct ByTurn {
    bool operator()(const Lane* a, const Lane* b) const {
        return a->turn != b->turn ? a->turn < b->turn : a->order < b->order;
    }
};

struct Queue {
    std::string type;
    QueueRules rules;
    bool ruled = false;  // somebody gave it rules, maybe the usual ones: the view knows it
    std::map<std::string, Lane, std::less<>> lanes;
    std::array<std::set<Lane*, ByTurn>, priorities> turns;  // lanes that may be leased from
    std::uint64_t turn = 0;                                 // of the lane that was last
    Bucket bucket;
    std::size_t queued = 0;
    std::size_t queued_bodiless = 0;  // of them, those whose body is away
    std::size_t running = 0;
    std::size_t scheduled = 0;
    std::size_t leased = 0;  // leases held, revoked or not
    std::size_t leased_since_look = 0;
    std::set<Worker*, LeastLoaded> free_workers;
    std::set<Worker*, ByArrival> workers;  // those that are up

    std::uint64_t served = 0;  // its newest lease, counted over all queues
    bool matchable = false;    // whether it stands in the sets of the state
    bool hungry = false;

    Lane* next_lane() const;  // highest priority, then least turn; none when nothing may be leased
    Slot next() const;
    bool is_open() const;  // not paused, and neither limit nor rate is reached
};

// Queues that share workers take turns: who was served the longest ago is next.
struct ByServed {
    bool operator()(const Queue* a, const Queue* b) const {
        return a->served != b->served ? a->served < b->served : a->type < b->type;
    }
};

struct State {
    EngineSettings settings;
    Headers headers;
    DeadlineHeap deadlines{headers};       // of leases, backoffs and limits
    DeadlineHeap wall_deadlines{headers};  // of what waits for a wall time; as_deadline()
    std::map<std::string, Queue, std::less<>> queues;
    std::vector<Lane*> lanes{nullptr};  // by index; gaps are used again
    std::vector<std::uint32_t> lane_gaps;
    std::size_t lane_keys_bytes = 0;  // of keys that are no part of their strings
    std::uint64_t lanes_made = 0;
    // When closed buckets open, and lanes that only wait for theirs may go. A queue's has no key.
    std::set<std::tuple<EngineTime, std::string, std::optional<std::string>>> wakes;
    EngineTime started_at{};  // before it nobody knows what rates were used
    EngineTime rates_at{};    // the newest time that rates were looked at
    std::set<std::string> changed_queues;
    std::map<std::string, Schedule, std::less<>> schedules;
    std::set<std::string> changed_schedules;
    std::map<std::string, Worker, std::less<>> workers;
    std::uint64_t workers_seen = 0;
    std::set<Queue*, ByServed> matchable;         // work and a free slot for it
    std::set<Queue*, ByServed> hungry;            // workers, and bodies to be read soon
    std::uint64_t serves = 0;                     // leases of all queues
    IntrusiveList<Body, &Body::in_kept> waiting;  // bodies that may leave, oldest change first
    std::size_t waiting_bytes = 0;
    std::size_t ahead_bytes = 0;                // of bodies read ahead
    IntrusiveList<Body, &Body::in_kept> ended;  // without lease, in the order they ended
    std::size_t ended_bytes = 0;
    struct Key {
        TaskId id;
        WallTime until;
        Sequence since;
    };
    std::map<std::string, Key, std::less<>> keys;  // idempotency keys; a map grows without a pause
    std::deque<std::pair<std::string, Sequence>> key_order;  // oldest use first
    bool keys_elsewhere = false;                             // the view may know more of them
    std::optional<TaskId> forgotten_max;  // greatest id that may be in the view alone
    std::vector<Body*> changed;           // null: gone meanwhile
    std::uint64_t copied_bytes = 0;       // of bodies that changed while others read them; ever
    std::map<OperationId, Operation> operations;
    std::size_t operations_running = 0;
    std::set<OperationId> changed_operations;
    std::map<GroupId, Group> groups;
    std::size_t groups_running = 0;
    std::set<GroupId> changed_groups;
    Workflows workflows;
    std::map<std::string, WorkerHold, std::less<>> holds;
    std::map<std::string, WorkerHold> changed_holds;
    Engine::Gone gone;
    std::map<TaskId, Sequence> deleted;  // and the view may still have them
    std::deque<std::pair<Sequence, TaskId>> deleted_order;
    Totals totals;
    std::vector<std::uint64_t> row_hits;
    Topics topics;

    explicit State(EngineSettings settings_in);

    const Header* find(TaskId id) const;
    Header& at(TaskId id);
    Slot slot_of(const Header& header) const { return headers.find(header.id); }
    Lane& lane_at(const Header& header) const { return *lanes[header.lane]; }
    Queue& queue_at(const Header& header) const { return *lane_at(header).queue; }
    Lane& lane_of(Queue& queue, const std::string& key);
    void close_at_start(Bucket& bucket, const Rate& rate, const std::string& type,
                        const std::optional<std::string>& key);
    void drop_lane_if_idle(Lane& lane);
    void take_turn(Lane& lane);  // it was leased from
    void use_rate(Bucket& bucket, const Rate& rate, const std::string& type,
                  const std::optional<std::string>& key, EngineTime at);
    void refresh(Lane& lane);
    Queue& queue_of(const std::string& type);
    // One that is nothing but a name: a worker may ask for any. Nothing is counted by queue alone.
    void drop_queue_if_idle(Queue& queue);
    Worker& worker_of(const std::string& instance);
    const WorkerHold* hold_of(std::string_view instance) const;

    Header& add(const TaskHead& head);                        // in no index yet
    void attach(Header& header, std::shared_ptr<Task> task);  // gives it its body
    void move(Header& header, Task& task, TaskEvent event);   // by the state table, counted
    void touch(Body& body, Sequence sequence);

    void use_key(const KeyUse& use, Sequence sequence);
    // Takes a task with its body out of every index, and puts it back where it now belongs.
    void displace(Header& header);
    void place(Header& header);
    // The part of it that needs no body: counts, line and deadline.
    void displace_header(Header& header, Slot slot);
    void place_header(Header& header, Slot slot);

    void remove(Header& header);  // from every index and from memory

    // The body of a task that waits, coming and going.
    void body_came(Header& header, std::shared_ptr<Task> task, bool ahead);
    void body_goes(Header& header);

    void refresh(Queue& queue);
    static void stand_in(std::set<Queue*, ByServed>& set, Queue& queue, bool& stands, bool wanted);
    void take_free(Worker& worker);  // before its load changes
    void give_free(Worker& worker);  // after
    void drop_worker_if_idle(Worker& worker);

  private:
    void keep(Body& body);
    void release(Body& body);
};

void apply_schedule(State& state, Sequence sequence, const ScheduleChanged& record);
void apply_schedule(State& state, Sequence sequence, const ScheduleRemoved& record);
void apply_schedule(State& state, Sequence sequence, const ScheduleFired& record);

// Decisions, one function a command. They read the state and change nothing.
struct Context {
    const State& state;
    const Now& now;
    Random& random;
};
Decision decide_submit(const Context& context, const Submit& command);
Decision decide_cancel(const Context& context, const Cancel& command);
Decision decide_complete(const Context& context, const Complete& command);
Decision decide_fail(const Context& context, const Fail& command);
Decision decide_release(const Context& context, const Release& command);
Decision decide_confirm(const Context& context, const ConfirmRevoked& command);
Decision decide_renew(const Context& context, const Renew& command);
Decision decide_report(const Context& context, const Report& command);
Decision decide_worker_up(const Context& context, const WorkerUp& command);
Decision decide_worker_gone(const Context& context, const WorkerGone& command);
Decision decide_tick(const Context& context);
Decision decide_match(const Context& context);
Decision decide_look(const Context& context);
Decision decide_priority(const Context& context, const SetPriority& command);
Decision decide_queue(const Context& context, const ChangeQueue& command);
Decision decide_redrive(const Context& context, const Redrive& command);
Decision decide_edit(const Context& context, const EditPayload& command);
Decision decide_worker(const Context& context, const ChangeWorker& command);
Decision decide_make_group(const Context& context, const MakeGroup& command);
Decision decide_close_group(const Context& context, const CloseGroup& command);
// Adds what follows when the last task of a group ends with these records.
void finish_groups(const Context& context, Decision& decision);
Decision decide_start_operation(const Context& context, const StartOperation& command);
Decision decide_stop_operation(const Context& context, const StopOperation& command);
Decision decide_step_operation(const Context& context, const StepOperation& command);
Decision decide_drop(const Context& context, const DropTasks& command);
Decision decide_set_schedule(const Context& context, const SetSchedule& command);
Decision decide_remove_schedule(const Context& context, const RemoveSchedule& command);
Decision decide_pause_schedule(const Context& context, const PauseSchedule& command);
Decision decide_fire(const Context& context, const FireSchedule& command);
Decision decide_publish(const Context& context, const Publish& command);
Decision decide_set_topic(const Context& context, const SetTopic& command);
Decision decide_remove_topic(const Context& context, const RemoveTopic& command);
Decision decide_trim(const Context& context, const TrimTopic& command);
Decision decide_set_subscription(const Context& context, const SetSubscription& command);
Decision decide_remove_subscription(const Context& context, const RemoveSubscription& command);
Decision decide_ask(const Context& context, const AskDeliveries& command);
Decision decide_end(const Context& context, const EndDeliveries& command);
Decision decide_renew_deliveries(const Context& context, const RenewDeliveries& command);
Decision decide_dead_letters(const Context& context, const ChangeDeadLetters& command);
// Deliveries that were not acknowledged in time.
void deliveries_due(const Context& context, Decision& decision);
Decision decide_start_workflow(const Context& context, const StartWorkflow& command);
Decision decide_cancel_workflow(const Context& context, const CancelWorkflow& command);
Decision decide_retry_workflow(const Context& context, const RetryWorkflow& command);
Decision decide_delete_workflow(const Context& context, const DeleteWorkflow& command);
Decision decide_signal(const Context& context, const SendSignal& command);
Decision decide_answer(const Context& context, const AnswerStep& command);
Decision decide_advance(const Context& context, const Advance& command);
// What is due in workflows, at most so much.
void workflows_due(const Context& context, std::size_t most, Decision& decision);
Decision decide_resume(const Context& context);
Decision decide_forget(const Context& context, const Forget& command);

}  // namespace taskd::engine
