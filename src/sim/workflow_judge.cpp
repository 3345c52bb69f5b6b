#include "sim/workflow_judge.hpp"

#include <algorithm>

namespace taskd::sim {

WorkflowJudge::Seen* WorkflowJudge::find(WorkflowId id, const char* record) {
    const auto found = seen_.find(id);
    if (found != seen_.end()) return &found->second;
    blame_("a workflow begins before anything else is said of it: " + std::string{record});
    return nullptr;
}

void WorkflowJudge::take(const WorkflowStarted& record) {
    Seen seen;
    seen.plan = record.plan;
    seen.steps.resize(record.plan->steps.size());
    seen.items.resize(record.plan->steps.size());
    seen.parent = record.workflow.parent;
    if (!seen_.emplace(record.workflow.id, std::move(seen)).second)
        blame_("a workflow begins once: " + record.workflow.id.to_string());
}

// Whatever must have ended before it has, and as it must have.
void WorkflowJudge::may_begin(WorkflowId id, const Seen& seen, StepIndex step) {
    const StepPlan& plan = seen.plan->steps[step];
    const std::string name = plan.name + " of " + id.to_string();
    if (seen.steps[step] != Fate::pending) blame_("a step begins once: " + name);
    if (has_ended(seen.state) || seen.state == WorkflowState::cancelling)
        blame_("nothing begins in a workflow that ends: " + name);
    for (const StepEdge& edge : plan.after) {
        const Fate before = seen.steps[edge.from];
        const bool over = before != Fate::pending && before != Fate::active;
        const bool good = before == Fate::good || before == Fate::passed;
        if (!over) blame_("a step waits for those before it: " + name);
        if (over && !good && edge.on_failure != OnFailure::go_on)
            blame_("what depends on a failure does not begin: " + name);
    }
    if (!plan.compensates) return;
    const bool wanted = std::ranges::any_of(seen.plan->steps, [&](const StepPlan& each) {
        const auto place = static_cast<std::size_t>(&each - seen.plan->steps.data());
        return each.compensated_by == step && seen.steps[place] == Fate::failed;
    });
    if (!wanted) blame_("nothing is compensated that did not fail: " + name);
}

void WorkflowJudge::set(Seen& seen, StepIndex step, Fate fate) {
    seen.steps[step] = fate;
    if (fate == Fate::failed || fate == Fate::fallen) fall(seen, step);
}

// What follows a failure by an edge that says so is skipped, all the way down.
void WorkflowJudge::fall(Seen& seen, StepIndex first) {
    std::vector<StepIndex> fallen{first};
    while (!fallen.empty()) {
        const StepIndex from = fallen.back();
        fallen.pop_back();
        for (StepIndex i = 0; i < seen.steps.size(); ++i) {
            if (seen.steps[i] != Fate::pending) continue;
            for (const StepEdge& edge : seen.plan->steps[i].after) {
                const bool skips =
                    edge.on_failure == OnFailure::skip ||
                    (edge.on_failure == OnFailure::fail && seen.steps[from] == Fate::fallen);
                if (edge.from != from || !skips) continue;
                seen.steps[i] = Fate::fallen;
                fallen.push_back(i);
                break;
            }
        }
    }
}

void WorkflowJudge::task_began(const TaskSpec& spec) {
    Seen* seen = find(spec.step->workflow, "a step's task");
    if (seen == nullptr) return;
    const StepIndex step = spec.step->step;
    const StepPlan& plan = seen->plan->steps[step];
    if (plan.for_each.empty()) {
        may_begin(spec.step->workflow, *seen, step);
        seen->steps[step] = Fate::active;
    } else if (seen->steps[step] != Fate::active) {
        blame_("items begin while their step is under way: " + plan.name);
    }
    if (!seen->items[step].insert(spec.step->item).second)
        blame_("an item has one task at a time: " + plan.name);
    ++seen->tasks;
    const std::uint32_t most = seen->plan->tasks_max;
    if (most > 0 && seen->tasks > most) blame_("max_parallel_tasks is kept");
    if (plan.in_flight > 0 && seen->items[step].size() > plan.in_flight)
        blame_("in_flight is kept: " + plan.name);
}

void WorkflowJudge::task_ended(const StepOf& of, TaskState state) {
    Seen* seen = find(of.workflow, "the end of a step's task");
    if (seen == nullptr || seen->items[of.step].erase(of.item) == 0) return;
    --seen->tasks;
    const StepPlan& plan = seen->plan->steps[of.step];
    const bool good = state == TaskState::succeeded;
    if (plan.for_each.empty()) return set(*seen, of.step, good ? Fate::good : Fate::failed);
    item_ended(*seen, of.step, good);
}

void WorkflowJudge::item_ended(Seen& seen, StepIndex step, bool good) {
    Seen::List& list = seen.lists[step];
    ++list.ended;
    list.failed += good ? 0 : 1;
    end_list(seen, step);
}

// With its last item; or when one has failed and none is under way any more.
void WorkflowJudge::end_list(Seen& seen, StepIndex step) {
    const Seen::List& list = seen.lists[step];
    const bool stops = list.failed > 0 && seen.items[step].empty() &&
                       seen.plan->steps[step].on_failure != OnFailure::go_on;
    if (list.ended == list.items || stops)
        set(seen, step, list.failed == 0 ? Fate::good : Fate::failed);
}

void WorkflowJudge::take(const StepBegan& record) {
    Seen* seen = find(record.id, "step_began");
    if (seen == nullptr) return;
    may_begin(record.id, *seen, record.step);
    seen->steps[record.step] = Fate::active;
    if (record.list.empty()) return;
    seen->lists[record.step] = {record.items, 0, 0};
    end_list(*seen, record.step);
}

void WorkflowJudge::take(const StepEnded& record) {
    Seen* seen = find(record.id, "step_ended");
    if (seen == nullptr) return;
    if (record.item) return item_ended(*seen, record.step, false);
    const Fate before = seen->steps[record.step];
    if (before != Fate::pending && before != Fate::active)
        blame_("a step ends once: " + seen->plan->steps[record.step].name);
    const bool passed = record.state == StepState::skipped;
    const bool good = record.state == StepState::succeeded;
    set(*seen, record.step, good ? Fate::good : passed ? Fate::passed : Fate::failed);
}

void WorkflowJudge::event(const std::string& topic) {
    for (auto& [id, seen] : seen_)
        for (StepIndex i = 0; i < seen.steps.size(); ++i) {
            const StepPlan& plan = seen.plan->steps[i];
            const bool waits = plan.kind == StepKind::event && seen.steps[i] == Fate::active;
            if (waits && plan.awaits == topic) set(seen, i, Fate::good);
        }
}

void WorkflowJudge::take(const WorkflowTurned& record) {
    Seen* seen = find(record.id, "workflow_turned");
    if (seen == nullptr) return;
    if (has_ended(seen->state)) blame_("what has ended does not turn");
    seen->state = record.state;
}

void WorkflowJudge::take(const WorkflowEnded& record) {
    Seen* seen = find(record.id, "workflow_ended");
    if (seen == nullptr) return;
    const std::string name = record.id.to_string();
    if (has_ended(seen->state)) blame_("a workflow ends once: " + name);
    if (seen->tasks > 0) blame_("a workflow ends after its tasks: " + name);
    const bool turned = seen->state != WorkflowState::running;
    if (turned == (record.state == WorkflowState::succeeded))
        blame_("a workflow succeeds unless it failed or was cancelled: " + name);
    seen->state = record.state;
    if (!seen->parent) return;
    if (Seen* parent = find(seen->parent->workflow, "the end of an inner workflow"))
        set(*parent, seen->parent->step,
            record.state == WorkflowState::succeeded ? Fate::good : Fate::failed);
}

void WorkflowJudge::take(const WorkflowRetried& record) {
    Seen* seen = find(record.id, "workflow_retried");
    if (seen == nullptr) return;
    if (!has_ended(seen->state) || seen->state == WorkflowState::succeeded)
        blame_("what did not succeed is tried again, and nothing else");
    seen->state = WorkflowState::running;
    const PlanIndex index{seen->plan};
    for (StepIndex i = 0; i < seen->steps.size(); ++i)
        if (seen->steps[i] != Fate::good || index.rescues(i)) seen->steps[i] = Fate::pending;
}

void WorkflowJudge::take(const SignalReceived& record) {
    find(record.id, "signal_received");
}

void WorkflowJudge::take(const WorkflowDeleted& record) {
    // Asked for twice before the view had told of it: both may find it there.
    if (deleted_.contains(record.id) && !seen_.contains(record.id)) return;
    Seen* seen = find(record.id, "workflow_deleted");
    if (seen == nullptr) return;
    if (!has_ended(seen->state)) blame_("what has not ended is not deleted");
    seen_.erase(record.id);
    deleted_.insert(record.id);
}

std::vector<WorkflowId> WorkflowJudge::running() const {
    std::vector<WorkflowId> found;
    for (const auto& [id, seen] : seen_)
        if (!has_ended(seen.state)) found.push_back(id);
    return found;
}

std::size_t WorkflowJudge::ended(WorkflowState state) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(seen_, [&](const auto& each) { return each.second.state == state; }));
}

std::optional<WorkflowState> WorkflowJudge::state_of(WorkflowId id) const {
    const auto found = seen_.find(id);
    if (found == seen_.end()) return std::nullopt;
    return found->second.state;
}

}  // namespace taskd::sim
