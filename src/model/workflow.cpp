#include "taskd/model/workflow.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "taskd/base/random.hpp"

namespace taskd {
namespace {

constexpr std::array<std::string_view, 6> workflow_states{"running",   "failing", "cancelling",
                                                          "succeeded", "failed",  "cancelled"};
constexpr std::array<std::string_view, 6> step_states{"pending", "active",  "succeeded",
                                                      "failed",  "skipped", "cancelled"};

std::uint64_t mix(std::uint64_t seed, std::uint64_t value) {
    return Random{seed ^ value}.next();
}

}  // namespace

std::string_view to_text(WorkflowState state) {
    return workflow_states[static_cast<std::size_t>(state)];
}

std::optional<WorkflowState> parse_workflow_state(std::string_view text) {
    const auto found = std::ranges::find(workflow_states, text);
    if (found == workflow_states.end()) return std::nullopt;
    return static_cast<WorkflowState>(found - workflow_states.begin());
}

std::string_view to_text(StepState state) {
    return step_states[static_cast<std::size_t>(state)];
}

bool matches(const WorkflowQuery& query, const Workflow& workflow) {
    if (query.state && workflow.state != *query.state) return false;
    if (!query.name.empty() && workflow.name != query.name) return false;
    if (query.before && !(workflow.id < *query.before)) return false;
    const auto& ended = workflow.ended_at;
    if (query.ended_before && (!ended || *ended >= *query.ended_before)) return false;
    return query.inner || !workflow.parent;
}

void close_steps(WholeWorkflow& whole) {
    const Workflow& workflow = whole.workflow;
    if (!has_ended(workflow.state)) return;
    for (Step& step : whole.steps) {
        if (step.state != StepState::pending) continue;
        step.state =
            workflow.state == WorkflowState::succeeded ? StepState::skipped : StepState::cancelled;
        step.ended_at = workflow.ended_at;
    }
}

TaskId step_task_id(WorkflowId workflow, StepIndex step, std::uint32_t tries, std::uint32_t item) {
    std::uint64_t seed = mix(0x77666c6f77, std::hash<TaskId>{}(workflow));
    seed = mix(seed, (std::uint64_t{step} << 32) | tries);
    Random random{mix(seed, item)};
    return TaskId::make(workflow.made_at(), random);
}

}  // namespace taskd
