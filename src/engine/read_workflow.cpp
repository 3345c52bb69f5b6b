// What can be read of workflows: how they stand, what they wait for, what has changed.
#include <algorithm>

#include "engine/state.hpp"

namespace taskd::engine {
namespace {

std::string joined(const std::vector<std::string_view>& names, std::size_t more) {
    std::string text;
    for (const std::string_view name : names) {
        if (!text.empty()) text += ", ";
        text += name;
    }
    if (more > 0) text += " and " + std::to_string(more) + " more";
    return text;
}

// Why one step has not ended.
class StepExplainer {
  public:
    StepExplainer(const Now& now, const LiveWorkflow& workflow) : now_{now}, w_{workflow} {}

    StepWait explain(StepIndex step) const {
        const StepPlan& plan = w_.plan(step);
        StepWait wait{plan.name, {}, {}, {}, std::nullopt, std::nullopt};
        if (w_.steps[step].state == StepState::pending)
            waits_to_begin(step, wait);
        else
            waits_to_end(step, wait);
        return wait;
    }

  private:
    void waits_to_begin(StepIndex step, StepWait& wait) const {
        constexpr std::size_t named = 5;
        std::vector<std::string_view> names;
        std::size_t more = 0;
        for (const StepEdge& edge : w_.plan(step).after) {
            if (has_ended(w_.steps[edge.from].state)) continue;
            if (names.size() < named)
                names.push_back(w_.plan(edge.from).name);
            else
                ++more;
        }
        if (!names.empty()) {
            wait.rule = "depends_on";
            wait.text = "it waits for " + joined(names, more);
            wait.release = "the end of these steps";
        } else if (w_.plan(step).compensates) {
            wait.rule = "compensates";
            wait.text = "it begins only if the step it compensates fails";
        } else if (!w_.has_room()) {
            wait.rule = "tasks_max";
            wait.text = "the workflow has " + std::to_string(w_.tasks) + " tasks under way";
            wait.release = "the end of one of them";
        } else {
            wait.rule = "turn";
            wait.text = "it is about to begin";
        }
    }

    void waits_to_end(StepIndex step, StepWait& wait) const {
        const StepPlan& plan = w_.plan(step);
        const Step& row = w_.steps[step];
        if (row.until) wait.until = now_.wall + (*row.until - now_.engine);
        wait.rule = to_text(plan.kind);
        switch (plan.kind) {
            case StepKind::task:
                return of_tasks(step, wait);
            case StepKind::sleep:
                wait.text = "it sleeps";
                wait.release = "its time";
                return;
            case StepKind::signal:
                wait.text = "it waits for the signal " + plan.awaits;
                wait.release =
                    "taskd workflow signal " + w_.head.id.to_string() + " " + plan.awaits;
                return;
            case StepKind::event:
                wait.text = "it waits for an event of " + plan.awaits;
                wait.release = "the next one that is published";
                return;
            case StepKind::approval:
                wait.text = "it waits for an approval: " + plan.question;
                wait.release = "taskd workflow approve " + w_.head.id.to_string() + " " + plan.name;
                return;
            case StepKind::workflow:
                wait.text = "the workflow " + row.child->to_string() + " has not ended";
                wait.release = "its end";
                return;
            case StepKind::join:
                return;
        }
    }

    void of_tasks(StepIndex step, StepWait& wait) const {
        const auto expansion = w_.expansions.find(step);
        if (expansion == w_.expansions.end()) {
            wait.task = w_.task_id(step, 0);
            wait.text = "its task has not ended";
            wait.release = "the end of task " + wait.task->to_string();
            return;
        }
        const Expansion& items = expansion->second;
        wait.text = std::to_string(items.ended) + " of " + std::to_string(items.elements.size()) +
                    " items have ended, " + std::to_string(items.active) + " are under way";
        wait.release = "the end of its items";
        const auto& states = w_.steps[step].items;
        const auto first = std::ranges::find(states, ItemState::active);
        if (first != states.end())
            wait.task = w_.task_id(step, static_cast<std::uint32_t>(first - states.begin()));
    }

    const Now& now_;
    const LiveWorkflow& w_;
};

}  // namespace

std::optional<WorkflowId> Engine::next_to_advance() const {
    const auto& work = state_->workflows.work;
    return work.empty() ? std::nullopt : std::optional{work.begin()->second};
}

std::size_t Engine::workflows_running() const {
    return state_->workflows.running;
}

const Workflow* Engine::find_workflow(WorkflowId id) const {
    const LiveWorkflow* found = state_->workflows.find(id);
    return found == nullptr ? nullptr : &found->head;
}

std::optional<WholeWorkflow> Engine::whole_workflow(WorkflowId id, StepIndex first,
                                                    std::size_t count) const {
    const LiveWorkflow* found = state_->workflows.find(id);
    if (found == nullptr) return std::nullopt;
    WholeWorkflow whole{found->head, found->index->shared(), {}, first};
    if (first < found->steps.size()) {
        const auto begin = found->steps.begin() + first;
        whole.steps.assign(begin, begin + static_cast<std::ptrdiff_t>(
                                              std::min(count, found->steps.size() - first)));
    }
    close_steps(whole);
    return whole;
}

void Engine::each_workflow(const std::function<void(const Workflow&)>& take) const {
    for (const auto& [id, workflow] : state_->workflows.all)
        take(workflow.head);
}

std::vector<StepWait> Engine::explain_workflow(const Now& now, WorkflowId id,
                                               std::size_t most) const {
    std::vector<StepWait> waits;
    const LiveWorkflow* found = state_->workflows.find(id);
    if (found == nullptr || has_ended(found->head.state)) return waits;
    const StepExplainer explainer{now, *found};
    // What is under way first: the rest waits for it.
    for (const StepIndex step : found->active)
        if (waits.size() < most) waits.push_back(explainer.explain(step));
    for (StepIndex i = 0; i < found->steps.size() && waits.size() < most; ++i)
        if (found->steps[i].state == StepState::pending) waits.push_back(explainer.explain(i));
    return waits;
}

std::vector<WorkflowChange> Engine::take_changed_workflows() {
    std::vector<WorkflowChange> changes;
    for (const WorkflowId& id : std::exchange(state_->workflows.changed, {})) {
        LiveWorkflow& workflow = state_->workflows.all.at(id);
        WorkflowChange& change = changes.emplace_back();
        change.workflow = workflow.head;
        if (!std::exchange(workflow.stored, true)) change.plan = workflow.index->shared();
        for (const StepIndex step : std::exchange(workflow.changed_steps, {})) {
            workflow.changed[step] = 0;
            change.steps.emplace_back(step, workflow.steps[step]);
        }
    }
    return changes;
}

}  // namespace taskd::engine
