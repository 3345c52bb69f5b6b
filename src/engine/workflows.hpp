// Workflows that live: their steps, and what of it follows from the plan. Changed by records alone.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <vector>

#include "taskd/model/record.hpp"
#include "taskd/model/templates.hpp"

namespace taskd::engine {

// A step that runs for each item of a list, once it has begun.
struct Expansion {
    std::vector<std::string> elements;  // JSON
    std::uint32_t next = 0;             // items before it have begun
    std::uint32_t active = 0;
    std::uint32_t ended = 0;
    std::uint32_t failed = 0;  // the step's error is the first one's
};

struct LiveWorkflow {
    Workflow head;
    std::shared_ptr<const PlanIndex> index;
    std::vector<Step> steps;
    std::vector<std::uint32_t> open;  // of each step: those before it that have not ended
    std::deque<StepIndex> ready;      // may begin, in the order in which they came to it
    std::set<StepIndex> active;
    std::set<StepIndex> told;  // of these, workflows that go to their end as fast as it can
    std::map<StepIndex, Expansion> expansions;  // of active steps
    std::uint32_t tasks = 0;                    // under way, of steps and items
    std::optional<TaskError> verdict;           // it has to fail
    Sequence ended_as;
    bool away = false;                  // waits for what the view has
    std::uint64_t turn = 0;             // who was served the longest ago is next
    bool stored = false;                // the view has its plan
    std::vector<std::uint8_t> changed;  // of each step
    std::vector<StepIndex> changed_steps;

    const StepPlan& plan(StepIndex step) const { return index->step(step); }
    bool has_room() const {
        const std::uint32_t most = index->plan().tasks_max;
        return most == 0 || tasks < most;
    }
    // Unlike that of tries before, and of a workflow that had this id before it was deleted.
    std::uint32_t this_try() const {
        return static_cast<std::uint32_t>(head.made_at.time_since_epoch().count()) + head.retries;
    }
    // Of an item, or of the one task of a step.
    TaskId task_id(StepIndex step, std::uint32_t item) const {
        const bool begun = steps[step].state != StepState::pending;
        return step_task_id(head.id, step, begun ? steps[step].tries : this_try(), item);
    }
    // Whether it is cancelled with the workflow, once that goes to its end.
    bool falls(StepIndex step) const {
        return head.state == WorkflowState::cancelling ||
               (head.state == WorkflowState::failing && !index->rescues(step));
    }
    bool has_work() const;
    // The active steps that are to be cancelled before the workflow can end; none: all are told.
    std::vector<StepIndex> to_cancel(std::size_t most) const;
};

struct Workflows {
    using Turn = std::pair<std::uint64_t, WorkflowId>;

    std::map<WorkflowId, LiveWorkflow> all;  // those that have ended until the view has them
    std::size_t running = 0;
    std::size_t steps = 0;  // of those that run
    std::set<Turn> work;    // those with something to begin, to cancel or to end
    std::uint64_t turns = 0;
    // When a step has slept or waited enough; whole_workflow for the workflow's own time.
    std::set<std::tuple<EngineTime, WorkflowId, StepIndex>> deadlines;
    std::deque<std::pair<Sequence, WorkflowId>> ended;  // oldest first
    std::set<WorkflowId> changed;
    // Steps that wait for an event, by its topic.
    std::map<std::string, std::set<std::pair<WorkflowId, StepIndex>>, std::less<>> listeners;

    LiveWorkflow* find(WorkflowId id);
    const LiveWorkflow* find(WorkflowId id) const;
};
inline constexpr StepIndex whole_workflow = UINT32_MAX;

struct State;

void apply_workflow(State& state, Sequence sequence, const WorkflowStarted& record);
void apply_workflow(State& state, Sequence sequence, const StepBegan& record);
void apply_workflow(State& state, Sequence sequence, const StepEnded& record);
void apply_workflow(State& state, Sequence sequence, const WorkflowTurned& record);
void apply_workflow(State& state, Sequence sequence, const WorkflowEnded& record);
void apply_workflow(State& state, Sequence sequence, const WorkflowRetried& record);
void apply_workflow(State& state, Sequence sequence, const SignalReceived& record);
void apply_workflow(State& state, Sequence sequence, const WorkflowDeleted& record);
// A task of a step was submitted, or has ended.
void step_task_began(State& state, const TaskSpec& spec, WallTime at);
void step_task_ended(State& state, const Task& task, WallTime at);

// An event was published: whoever waits for one of its topic has it.
void workflow_event(State& state, const TopicEvent& event);

// From the view's rows.
void restore_workflow(State& state, const WholeWorkflow& whole);
void set_workflow_away(State& state, WorkflowId id, bool away);
void serve_workflow(State& state, WorkflowId id, bool first);
void forget_workflow(State& state, WorkflowId id);

}  // namespace taskd::engine
