// What can be asked of the engine, and what it answers. Values only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "taskd/base/error.hpp"
#include "taskd/model/progress.hpp"
#include "taskd/model/record.hpp"
#include "taskd/model/workflow.hpp"

namespace taskd::engine {

// Which lease a worker speaks of.
struct LeaseRef {
    TaskId id;
    LeaseEpoch epoch;

    friend bool operator==(const LeaseRef&, const LeaseRef&) = default;
};

// All or none. An id that is there with the same content is answered as the first time; with other
// content it is id_conflict.
struct Submit {
    std::vector<TaskSpec> tasks;
    // Set when the command comes again: what the view alone knows of the ids asked for.
    bool fetched = false;
    std::vector<Task> known;
    std::vector<KeyUse> known_keys;
    std::optional<GroupId> group_made = {};  // in the same turn
};

// task_not_found when it is not in memory: the caller asks the view first.
struct Cancel {
    TaskId id;
    std::string reason;
};

// The three ways a worker ends a lease. stale_lease when the epoch is not the newest or no longer
// counts; saying again what is already recorded is not an error.
struct Complete {
    LeaseRef lease;
    Blob result;
    std::optional<Duration> took = {};  // as the worker measured it
};
struct Fail {
    LeaseRef lease;
    TaskError error;
    std::optional<Duration> took = {};
    std::optional<Duration> retry_after = {};  // not sooner, whatever the backoff is
};
struct Release {
    LeaseRef lease;
};

// The worker has stopped a cancelled task.
struct ConfirmRevoked {
    LeaseRef lease;
};

// The worker still works on these.
struct Renew {
    std::string worker;
    std::vector<LeaseRef> leases;
};

// How far it has come with one of them, which it also still works on.
struct Report {
    std::string worker;  // empty: whoever holds the lease
    LeaseRef lease;
    Progress progress;
};

// A worker is there and takes up to `slots` tasks of these types at a time, all types together; one
// that asks for tasks takes no more than `credit` before it has asked again.
inline constexpr std::uint32_t credit_unlimited = UINT32_MAX;
struct WorkerUp {
    std::string instance;
    std::vector<std::string> types;
    std::uint32_t slots = 1;
    std::uint32_t credit = credit_unlimited;
};

// No new leases for this worker; those it has run on until they are ended or run out.
struct WorkerGone {
    std::string instance;
};

// A waiting task gets another place in line. task_finished when it has ended, task_running.
struct SetPriority {
    TaskId id;
    std::uint8_t priority = 5;
};

// What an operator does to a queue. `key` narrows pause and resume to one key; `rules` are those
// asked for, of which pauses are left as they are.
struct ChangeQueue {
    enum class What { rules, pause, resume, drain, schema };  // schema: of `rules` that alone
    std::string type;
    What what = What::rules;
    std::optional<std::string> key = {};
    std::string by = {};
    std::string reason = {};
    QueueRules rules = {};
};

// A dead or expired task begins anew; task_not_dead for any other. `fetched` is set when the
// command comes again: what the view has of the task is in memory then, and what it alone knows of
// the key.
struct Redrive {
    TaskId id;
    bool fetched = false;
    std::vector<KeyUse> known_keys = {};
};

// Another payload for a dead or expired task.
struct EditPayload {
    TaskId id;
    Blob payload;
    bool fetched = false;
};

// Makes a group and submits its first tasks, all or none; closed unless `open`. A group that is
// there with the same content is no error, as tasks are. too_many_groups.
struct MakeGroup {
    Group group;
    bool open = false;
    Submit submit = {};
};
struct CloseGroup {
    GroupId id;
};

// What an operator does to one worker.
struct ChangeWorker {
    enum class What { pause, drain, resume };
    std::string instance;
    What what = What::pause;
    std::string by = {};
    std::string reason = {};
};

// Begins an operation; the same one again is no error. too_many_operations.
struct StartOperation {
    Operation operation;
};
struct StopOperation {
    OperationId id;
};

// Does a part of a running operation: on those of these tasks that are still as they were when they
// were found, operation_turn_tasks at most.
struct StepOperation {
    struct Target {
        TaskId id;
        Sequence changed_as;
    };
    OperationId id;
    std::vector<Target> targets;
    std::uint64_t passed_over = 0;      // by the caller already
    std::optional<TaskId> cursor = {};  // when nothing up to it is left
    bool last = false;                  // nor behind it
    bool fetched = false;
    std::vector<KeyUse> known_keys = {};
};

// Ended tasks that are kept no longer: those of them that are still as they were found go.
struct DropTasks {
    std::vector<StepOperation::Target> targets;
};

// Makes a schedule or changes what it asks for; what has passed by then is settled.
struct SetSchedule {
    ScheduleSpec spec;
};
// Its tasks stay. schedule_not_found.
struct RemoveSchedule {
    std::string name;
};
// Times that pass while it is paused are left out.
struct PauseSchedule {
    std::string name;
    bool resume = false;
    std::string by = {};
    std::string reason = {};
};
// Times of a schedule that may have their turn; the first that does has it, and the command
// comes again for the rest. Once each: what is settled is passed over.
struct FireSchedule {
    enum class Why {
        due,
        by_hand,  // now; schedule_overlap when the task before is in the way
        backfill,
    };
    std::string name;
    Why why = Why::due;
    Sequence changed_as;          // due: the schedule as it was when the times were worked out
    std::vector<WallTime> times;  // in order
    std::uint64_t older = 0;      // more of them before, too many to name
    TaskId id = {};               // by_hand: of the task
    Submit asked = {};            // what the view knows, as for a submit; no tasks
};

// A workflow of this id that is there with the same content is no error. `plan` and its index are
// made before, away from the engine. `fresh`: the id was made for it just now.
struct StartWorkflow {
    WorkflowId id;
    Blob inputs = {};
    Blob env = {};
    std::shared_ptr<const PlanIndex> index;
    bool fresh = false;
    bool fetched = false;
    std::shared_ptr<const WholeWorkflow> known = {};
};
// workflow_not_found when it is not in memory: the caller asks the view first.
struct CancelWorkflow {
    WorkflowId id;
    std::string reason;
};
// From the steps that did not succeed; workflow_running, and workflow_finished when all did.
struct RetryWorkflow {
    WorkflowId id;
    bool fetched = false;  // what the view has of it is in memory
};
struct DeleteWorkflow {
    WorkflowId id;
    bool fetched = false;
    std::shared_ptr<const WholeWorkflow> known = {};
};
// Ends the step that waits for it, or is kept for the first that will.
struct SendSignal {
    WorkflowId id;
    Signal signal;
};
// step_not_found, step_not_waiting.
struct AnswerStep {
    WorkflowId id;
    std::string step;
    bool approved = false;
    Blob result;  // what is known of the answer, a JSON object
    std::string comment;
};
// The next that is to be begun, cancelled or ended in the workflow that was served the longest ago.
// `told` is what the view said of results that its steps refer to; a result without a value is
// gone.
using ToldResults = std::map<TaskId, std::optional<Blob>>;
struct Advance {
    std::shared_ptr<const ToldResults> told = {};
};

struct Tick {};    // does what is due
struct Match {};   // leases at most one queued task to a worker with a free slot
struct Resume {};  // once, after recovery
// Drops from memory what the view covers and what is beyond the budget: ended tasks, and the
// bodies of those that wait.
struct Forget {
    Sequence covered;
};
// Asks for the bodies of tasks whose turn comes soon (Decision::fetch).
struct Look {};

// All or none: too_many_topics. An event whose id stands for another one already is not published
// again, and answered as that one.
struct Publish {
    std::vector<TopicEvent> events;
};

// Makes a topic or changes what it keeps: too_many_topics. With a `change` only that, of a topic
// that is there: topic_not_found.
struct SetTopic {
    std::string topic;
    TopicRules rules;
    std::optional<TopicRulesChange> change = {};
};
struct RemoveTopic {  // topic_not_found
    std::string topic;
};
// Events up to here go, of those that are there.
struct TrimTopic {
    std::string topic;
    EventSequence through;
    std::uint64_t total_bytes = 0;  // of the event `through`
};

// Makes a group or makes it another: too_many_subscriptions. `found` are the places that its start
// at a time has in topics, as far as the view was asked.
struct SetSubscription {
    SubscriptionSpec spec;
    std::map<std::string, EventSequence> found = {};
};
struct RemoveSubscription {  // subscription_not_found
    std::string group;
};

// Leases what the group may have now (Decision::topics); nothing when there is nothing.
struct AskDeliveries {
    std::string group;
    std::string consumer;
    std::size_t max = 1;
    // When the command comes again: what the view has of the events asked for.
    bool fetched = false;
    std::vector<std::shared_ptr<const TopicEvent>> known_events = {};
};

// How a consumer ends deliveries; each is taken or refused by itself (Decision::topics). Saying
// again that a settled one is acknowledged is no error.
struct EndDeliveries {
    struct Item {
        DeliveryKey event;
        LeaseEpoch epoch;
        DeliveryEnd end = DeliveryEnd::acknowledged;
        TaskError error = {};
        std::optional<Duration> retry_after = {};
    };
    std::string group;
    std::vector<Item> items;
};
struct RenewDeliveries {
    struct Item {
        DeliveryKey event;
        LeaseEpoch epoch;
    };
    std::string group;
    std::vector<Item> items;
};

// Dead letters of a group begin anew or go; those named, or so many of the first.
struct ChangeDeadLetters {
    std::string group;
    bool drop = false;
    std::vector<DeliveryKey> events = {};
    std::size_t first = 0;
    bool fetched = false;
    std::vector<std::shared_ptr<const TopicEvent>> known_events = {};
};

using CommandKind =
    std::variant<Submit, Cancel, Complete, Fail, Release, ConfirmRevoked, Renew, Report, WorkerUp,
                 WorkerGone, Tick, Match, Resume, Forget, Look, SetPriority, ChangeQueue, Redrive,
                 EditPayload, StartOperation, StopOperation, StepOperation, MakeGroup, CloseGroup,
                 ChangeWorker, SetSchedule, RemoveSchedule, PauseSchedule, FireSchedule, DropTasks,
                 StartWorkflow, CancelWorkflow, RetryWorkflow, DeleteWorkflow, SendSignal,
                 AnswerStep, Advance, Publish, SetTopic, RemoveTopic, TrimTopic, SetSubscription,
                 RemoveSubscription, AskDeliveries, EndDeliveries, RenewDeliveries,
                 ChangeDeadLetters>;
// Classes of their own, as Record: copied and moved in one place (command.cpp).
struct Command : CommandKind {
    template <class Kind>
        requires(!std::is_same_v<Kind, Command>)
    Command(Kind kind) : CommandKind(std::in_place_type<Kind>, std::move(kind)) {}
    Command();
    Command(const Command& other);
    Command(Command&& other) noexcept;
    Command& operator=(const Command& other);
    Command& operator=(Command&& other) noexcept;
    ~Command();
};

// Where a command is told what the view alone knows of what it asked for; none for most.
Submit* asked_of(Command& command);

// Notes: changes of what a restart may forget. Applied like records, never written.
struct LeaseRenewed {
    LeaseRef lease;
    EngineTime until;
};
struct ProgressNoted {
    LeaseRef lease;
    Progress progress;
};
struct WorkerNoted {
    std::string instance;
    std::vector<std::string> types;
    std::uint32_t slots = 1;
    std::uint32_t credit = credit_unlimited;
};
struct WorkerForgotten {
    std::string instance;
};
struct TaskForgotten {
    TaskId id;
};
// The body of a task that waits came from the view, or is left to it; or the whole of an ended
// task came back.
struct TaskLoaded {
    std::shared_ptr<Task> task;
    bool ahead = false;  // its turn comes soon
};
struct TaskUnloaded {
    TaskId id;
};
// The end of a task was durable and told this long after it was decided.
struct EndTold {
    TaskId id;
    Duration took;
};
// An idempotency key leaves memory; `elsewhere` when the view must be asked for it from now on.
struct KeyForgotten {
    std::string key;
    bool elsewhere = false;
};
// A lease took its share of a rate; the time has come for the next; rates begin anew. Of the
// queue and of the key's own.
struct RateTaken {
    std::string type;
    std::string key;
    EngineTime at;
};
struct RateOpened {
    std::string type;
    std::optional<std::string> key;  // none: of the queue
    EngineTime wake;                 // when it was to open
    EngineTime at;
};
struct RatesReset {
    std::string type;
    EngineTime at;
};
// The view has done the oldest deletion too.
struct DeletionViewed {};
// A workflow waits for the view, or no longer; had its turn; is in the view; came back from it.
struct WorkflowAway {
    WorkflowId id;
    bool away = false;
};
struct WorkflowServed {
    WorkflowId id;
};
struct WorkflowFirst {  // its turn is next
    WorkflowId id;
};
struct WorkflowForgotten {
    WorkflowId id;
};
struct WorkflowLoaded {
    std::shared_ptr<const WholeWorkflow> whole;
};
// Nothing is missing near the head of this queue.
struct LookedAhead {
    std::string type;
};
// The consumer still works on a delivery.
struct DeliveryRenewed {
    std::string group;
    DeliveryKey event;
    EngineTime until;
};
// The oldest event in memory leaves it: the view has it.
struct EventForgotten {};
using NoteKind =
    std::variant<LeaseRenewed, ProgressNoted, WorkerNoted, WorkerForgotten, TaskForgotten,
                 TaskLoaded, TaskUnloaded, EndTold, KeyForgotten, RateTaken, RateOpened, RatesReset,
                 LookedAhead, DeletionViewed, WorkflowAway, WorkflowServed, WorkflowFirst,
                 WorkflowForgotten, WorkflowLoaded, DeliveryRenewed, EventForgotten>;
struct Note : NoteKind {
    template <class Kind>
        requires(!std::is_same_v<Kind, Note>)
    Note(Kind kind) : NoteKind(std::in_place_type<Kind>, std::move(kind)) {}
    Note();
    Note(const Note& other);
    Note(Note&& other) noexcept;
    Note& operator=(const Note& other);
    Note& operator=(Note&& other) noexcept;
    ~Note();
};

// Outputs leave only after everything decided before them is synced.
struct SendLease {
    std::string worker;
    LeaseRef lease;
};
struct SendRevoke {
    std::string worker;
    LeaseRef lease;
};
struct TaskEnded {
    TaskId id;
    EngineTime at;
};
struct WorkflowOver {
    WorkflowId id;
};
using OutputKind = std::variant<SendLease, SendRevoke, TaskEnded, WorkflowOver>;
struct Output : OutputKind {
    template <class Kind>
        requires(!std::is_same_v<Kind, Output>)
    Output(Kind kind) : OutputKind(std::in_place_type<Kind>, std::move(kind)) {}
    Output();
    Output(const Output& other);
    Output(Output&& other) noexcept;
    Output& operator=(const Output& other);
    Output& operator=(Output&& other) noexcept;
    ~Output();
};

// What is answered to commands about topics.
struct TopicAnswer {
    struct Published {
        EventSequence sequence;
        bool again = false;  // it was there already
    };
    struct Leased {
        std::shared_ptr<const TopicEvent> event;
        LeaseEpoch epoch;
        std::uint32_t attempt = 1;
    };
    std::vector<Published> published;
    std::vector<Leased> leased;
    std::vector<Gap> gaps;                      // what the group has lost, told now
    std::vector<std::optional<Error>> refused;  // of deliveries that were spoken of, each
    std::vector<EventRange> fetch;              // not decided yet: ask the view, come again
};

struct Decision {
    std::vector<Record> records;
    std::vector<Note> notes;
    std::vector<Output> outputs;
    std::optional<Error> refused;      // then nothing else is set
    std::optional<std::size_t> index;  // which task of a submit was refused
    std::vector<Task> known;           // of a submit: tasks there already that only the view has
    // Not decided yet: ask the view for these, note those that are in memory without their body
    // as loaded, and come again (a Look need not).
    std::vector<TaskId> fetch;
    std::vector<std::string> fetch_keys;       // of a submit: idempotency keys to ask for as well
    std::optional<WorkflowId> fetch_workflow;  // the same of one that is not in memory
    // Of an Advance that fetches: whose steps wait for it.
    std::optional<WorkflowId> advanced;
    // The same: tasks whose results are wanted, and nothing else of them.
    std::vector<TaskId> fetch_results;
    // Of a submit: which of its tasks are another one, submitted before under the same key, or
    // earlier in the same request.
    std::vector<std::pair<std::size_t, TaskId>> existing;
    TopicAnswer topics;

    // Something is to be asked first.
    bool asks() const { return !fetch.empty() || !fetch_keys.empty() || !topics.fetch.empty(); }

    Decision();
    Decision(const Decision& other);
    Decision(Decision&& other) noexcept;
    Decision& operator=(const Decision& other);
    Decision& operator=(Decision&& other) noexcept;
    ~Decision();
};

}  // namespace taskd::engine

extern template class std::vector<taskd::engine::Note>;
extern template class std::vector<taskd::engine::Output>;
