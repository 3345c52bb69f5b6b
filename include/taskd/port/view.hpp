// Port: the view, the queryable state built from the journal. It stores whole rows as they stood at
// one sequence and never runs ahead of what is synced.
//
// Threads: every call on one lane.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/model/group.hpp"
#include "taskd/model/operation.hpp"
#include "taskd/model/queue_rules.hpp"
#include "taskd/model/schedule.hpp"
#include "taskd/model/task_head.hpp"
#include "taskd/model/workflow.hpp"
#include "taskd/port/topic_rows.hpp"

namespace taskd::port {

// How far the view has come.
struct ViewMark {
    Sequence sequence;
    EngineTime engine;
    Totals totals;

    friend bool operator==(const ViewMark&, const ViewMark&) = default;
};

// Every task changed since the mark before, as it stood at `mark`.
struct ViewChange {
    ViewMark mark;
    std::vector<std::shared_ptr<const Task>> tasks;
    std::vector<QueueRules> queues;
    std::vector<std::pair<std::string, std::optional<Schedule>>> schedules;  // none: removed
    WallTime at{};  // keys whose time was over then, and whose task has ended, may go
    std::vector<Operation> operations = {};
    std::vector<TaskId> gone_tasks = {};  // go before `tasks` are stored
    std::vector<OperationId> gone_operations = {};
    std::vector<Group> groups = {};
    std::vector<GroupId> gone_groups = {};
    std::vector<WorkerHold> holds = {};  // without a pause: gone
    TopicChanges topics = {};
    std::vector<WorkflowChange> workflows = {};
    std::vector<WorkflowId> gone_workflows = {};  // go before `workflows` are stored
};

// Which of the workflows that have ended may go, the oldest first.
struct OldWorkflows {
    WallTime before;          // those that ended before
    WallTime crowded_before;  // and those beyond `kept` of them that ended before this
    std::size_t kept;
    std::size_t limit;
};

class View : public TopicRows {
  public:
    virtual ~View() = default;
    virtual Result<ViewMark> mark() = 0;
    // One transaction, durable when it returns.
    virtual Result<void> store(const ViewChange& change) = 0;
    // Rows in the order asked; unknown ids are left out.
    virtual Result<std::vector<Task>> find(std::span<const TaskId> ids) = 0;
    virtual Result<TaskPage> list(const TaskQuery& query) = 0;
    // Tasks whose id's text form starts with `prefix` (hex digits and dashes) or ends with `suffix`
    // among the newest 100,000; at most two are returned.
    virtual Result<std::vector<TaskId>> match(std::string_view part) = 0;
    // Tasks that have not ended or whose lease is still held, in `queued_as` order.
    virtual Result<void> each_live(const std::function<void(const TaskHead&)>& take) = 0;
    // The rules of queues, by type.
    virtual Result<void> each_queue(const std::function<void(const QueueRules&)>& take) = 0;
    virtual Result<void> each_operation(const std::function<void(const Operation&)>& take) = 0;
    virtual Result<void> each_group(const std::function<void(const Group&)>& take) = 0;
    // Schedules, by name.
    virtual Result<void> each_schedule(const std::function<void(const Schedule&)>& take) = 0;
    virtual Result<void> each_hold(const std::function<void(const WorkerHold&)>& take) = 0;
    // Workflows that have not ended, each whole.
    virtual Result<void> each_workflow(const std::function<void(const WholeWorkflow&)>& take) = 0;
    // Nothing when there is none of this id.
    virtual Result<std::shared_ptr<const WholeWorkflow>> find_workflow(WorkflowId id) = 0;
    // Newest first; those among limits::search_rows_max rows.
    virtual Result<std::vector<Workflow>> list_workflows(const WorkflowQuery& query) = 0;
    virtual Result<std::vector<WorkflowId>> workflows_to_drop(const OldWorkflows& asked) = 0;
    // Idempotency keys in use, oldest first; all of them, or those asked for.
    virtual Result<void> each_key(const std::function<void(const KeyUse&)>& take) = 0;
    virtual Result<std::vector<KeyUse>> find_keys(std::span<const std::string> keys) = 0;
    // The greatest id of an ended task, none when there is none: older ids may be in the view
    // alone.
    virtual Result<std::optional<TaskId>> newest_ended() = 0;
};

}  // namespace taskd::port
