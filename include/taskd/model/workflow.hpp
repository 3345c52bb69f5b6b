// What has come of a workflow: its state and that of each of its steps. Values only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/model/workflow_plan.hpp"

namespace taskd {

enum class WorkflowState : std::uint8_t {  // on disk
    running = 0,
    failing = 1,     // nothing new begins; what runs is being cancelled, compensations run
    cancelling = 2,  // nothing new begins; what runs is being cancelled
    succeeded = 3,
    failed = 4,
    cancelled = 5,
};
std::string_view to_text(WorkflowState state);
std::optional<WorkflowState> parse_workflow_state(std::string_view text);
inline bool has_ended(WorkflowState state) {
    return state >= WorkflowState::succeeded;
}

enum class StepState : std::uint8_t {  // on disk
    pending = 0,                       // waits for other steps
    active = 1,                        // has begun
    succeeded = 2,
    failed = 3,
    skipped = 4,    // its condition did not hold; with an error: a step before it did not succeed
    cancelled = 5,  // with its workflow
};
std::string_view to_text(StepState state);
inline bool has_ended(StepState state) {
    return state >= StepState::succeeded;
}

enum class ItemState : std::uint8_t {
    pending = 0,
    active = 1,
    succeeded = 2,
    failed = 3
};  // on disk

struct Step {
    StepState state = StepState::pending;
    std::uint32_t tries = 0;  // tells the tasks of this try from those of others
    std::optional<WallTime> began_at;
    std::optional<WallTime> ended_at;
    std::optional<EngineTime> until;  // sleeps, or is waited for, until then
    Blob list;                        // of for_each: the items, a JSON array
    std::vector<ItemState> items;     // of for_each, once it has begun
    std::optional<WorkflowId> child;  // of a workflow
    Blob result;                      // of a step without tasks; one with has it in them
    std::uint64_t result_bytes = 0;   // of its results, wherever they are
    std::optional<TaskError> error;   // when it did not succeed

    friend bool operator==(const Step&, const Step&) = default;
};

// The step of another workflow that a workflow is.
struct ParentStep {
    WorkflowId workflow;
    StepIndex step = 0;

    friend bool operator==(const ParentStep&, const ParentStep&) = default;
};

struct Signal {
    std::string name;
    Blob payload;  // JSON

    friend bool operator==(const Signal&, const Signal&) = default;
};

struct Workflow {
    WorkflowId id;
    std::string name;
    Blob inputs;  // a JSON object
    Blob env;     // what it may read of the environment, a JSON object
    std::optional<ParentStep> parent;
    std::uint32_t depth = 0;  // workflows it stands in
    WorkflowState state = WorkflowState::running;
    WallTime made_at;
    std::optional<WallTime> ended_at;
    EngineTime ends_by;              // then it fails
    std::uint32_t retries = 0;       // how often it was tried again
    std::optional<TaskError> error;  // why it fails or was cancelled
    Blob output;                     // JSON, once it has succeeded
    std::vector<Signal> signals;     // that came before a step waited for them, oldest first
    std::uint32_t steps = 0;         // of its plan; of them those that have ended
    std::uint32_t succeeded = 0;
    std::uint32_t failed = 0;
    std::uint32_t skipped = 0;
    std::uint32_t cancelled = 0;
    std::uint32_t active = 0;

    friend bool operator==(const Workflow&, const Workflow&) = default;
};

// A workflow with all there is to it, as the view has it.
struct WholeWorkflow {
    Workflow workflow;
    std::shared_ptr<const WorkflowPlan> plan;
    std::vector<Step> steps;
    StepIndex first = 0;  // of the plan's steps, when not all of them are here
};

// Once it has ended, what had not begun is skipped or cancelled, though no record says so.
void close_steps(WholeWorkflow& whole);

// What has changed of a workflow since the view was last written.
struct WorkflowChange {
    Workflow workflow;
    std::shared_ptr<const WorkflowPlan> plan;  // none: the view has it
    std::vector<std::pair<StepIndex, Step>> steps;
};

// A question for workflows, answered newest first.
struct WorkflowQuery {
    std::optional<WorkflowState> state = {};
    std::string name = {};  // empty: any
    std::size_t limit = limits::page_tasks_default;
    std::optional<WorkflowId> before = {};  // the last id of the page before
    std::optional<WallTime> ended_before = {};
    bool inner = false;  // those that stand in others too
};
bool matches(const WorkflowQuery& query, const Workflow& workflow);

// The task of a step, or of one of its items: always the same, so that what is begun twice is one
// task.
TaskId step_task_id(WorkflowId workflow, StepIndex step, std::uint32_t tries, std::uint32_t item);

}  // namespace taskd
