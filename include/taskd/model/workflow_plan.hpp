// What a workflow is to do: steps, and which of them wait for which. It never changes once it is
// made; what has come of it is in workflow.hpp. Values only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "taskd/model/task.hpp"

namespace taskd {

// A step by its place in the plan, from 0.
using StepIndex = std::uint32_t;

enum class StepKind : std::uint8_t {  // on disk
    task = 0,
    sleep = 1,     // ends by itself after `wait`
    signal = 2,    // ends when somebody sends the signal `awaits`; its result is what was sent
    approval = 3,  // ends when somebody approves or rejects it
    workflow = 4,  // a workflow of its own; its result is that one's output
    event = 5,     // ends with the first event of the topic `awaits` after it began
    join = 6,      // nothing to do: holds others together
};
std::string_view to_text(StepKind kind);

// What happens to the one at the end of an edge when the step at its start did not succeed.
enum class OnFailure : std::uint8_t {  // on disk
    fail = 0,                          // nothing more: the whole workflow fails
    skip = 1,                          // it is skipped, and so on along its own edges
    go_on = 2,                         // it begins all the same
};
std::string_view to_text(OnFailure policy);
std::optional<OnFailure> parse_on_failure(std::string_view text);

struct StepEdge {
    StepIndex from = 0;
    OnFailure on_failure = OnFailure::fail;

    friend bool operator==(const StepEdge&, const StepEdge&) = default;
};

struct WorkflowPlan;

// Texts with references ("${step.field}", see templates.hpp) are kept as they were written; they
// are filled in when the step begins.
struct StepPlan {
    std::string name;  // unique in the plan; is_step_name
    StepKind kind = StepKind::task;
    std::vector<StepEdge> after;  // each step once, all of them before this one in no order
    std::string when;             // a condition; empty: always. False: the step is skipped
    Blob for_each;  // JSON that becomes a list: once for each item; empty: once. Tasks alone
    std::uint32_t in_flight = 0;  // of for_each: at most so many at a time; 0: no limit
    TaskSpec task;                // of a task: without an id, the payload with references
    Duration wait{0};    // sleep: how long. Signal, approval, event: how long at most; 0: no limit
    std::string awaits;  // signal: its name; event: its topic
    std::string question;                       // approval: what is to be approved
    Blob inputs;                                // workflow: its inputs, an object with references
    std::shared_ptr<const WorkflowPlan> child;  // workflow
    // When nothing waits for this step: fail, or go_on. Also of edges that do not say.
    OnFailure on_failure = OnFailure::fail;
    std::optional<StepIndex> compensated_by;  // begins when this one failed, and only then
    bool compensates = false;                 // it is such a one

    friend bool operator==(const StepPlan& a, const StepPlan& b);
};

struct WorkflowPlan {
    std::string name;
    std::string description;
    std::map<std::string, std::string> labels;
    std::vector<StepPlan> steps;  // at least one
    Blob output;  // JSON with references; empty: the results of steps nothing waits for
    Duration timeout = limits::workflow_timeout_default;  // the whole of it
    std::uint32_t tasks_max = 0;  // tasks at a time, of all steps; 0: no limit

    friend bool operator==(const WorkflowPlan& a, const WorkflowPlan& b);
};

// A plan with what follows from it, made once: who waits for a step, and a step by its name.
class PlanIndex {
  public:
    explicit PlanIndex(std::shared_ptr<const WorkflowPlan> plan);

    const WorkflowPlan& plan() const { return *plan_; }
    const std::shared_ptr<const WorkflowPlan>& shared() const { return plan_; }
    const StepPlan& step(StepIndex step) const { return plan_->steps[step]; }
    std::size_t size() const { return plan_->steps.size(); }
    std::optional<StepIndex> find(std::string_view name) const;
    const std::vector<StepEdge>& followers(StepIndex step) const { return followers_[step]; }
    // Whether it compensates a step that failed, or comes after one that does: it may begin when
    // the workflow fails.
    bool rescues(StepIndex step) const { return rescues_[step] != 0; }

  private:
    std::shared_ptr<const WorkflowPlan> plan_;
    std::vector<std::vector<StepEdge>> followers_;  // `from` is the one that follows
    std::vector<std::uint8_t> rescues_;
    std::unordered_map<std::string_view, StepIndex> names_;
};

// Letters, digits, '_', '-' and '/', 1 to 128 of them, and none of the words that stand for
// something else in references: inputs, env, item, index, workflow.
bool is_step_name(std::string_view text);

}  // namespace taskd
