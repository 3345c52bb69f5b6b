#include "taskd/model/workflow_plan.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace taskd {
namespace {

template <class Name, std::size_t count>
using Names = std::array<std::pair<Name, std::string_view>, count>;

constexpr Names<StepKind, 7> kinds{{{StepKind::task, "task"},
                                    {StepKind::sleep, "sleep"},
                                    {StepKind::signal, "signal"},
                                    {StepKind::approval, "approval"},
                                    {StepKind::workflow, "workflow"},
                                    {StepKind::event, "event"},
                                    {StepKind::join, "join"}}};
constexpr Names<OnFailure, 3> policies{
    {{OnFailure::fail, "fail"}, {OnFailure::skip, "skip"}, {OnFailure::go_on, "go_on"}}};

constexpr std::string_view reserved[] = {"inputs", "env", "item", "index", "workflow"};

bool same(const std::shared_ptr<const WorkflowPlan>& a,
          const std::shared_ptr<const WorkflowPlan>& b) {
    return a == b || (a != nullptr && b != nullptr && *a == *b);
}

}  // namespace

std::string_view to_text(StepKind kind) {
    return std::ranges::find(kinds, kind, &decltype(kinds)::value_type::first)->second;
}

std::string_view to_text(OnFailure policy) {
    return std::ranges::find(policies, policy, &decltype(policies)::value_type::first)->second;
}

std::optional<OnFailure> parse_on_failure(std::string_view text) {
    const auto found = std::ranges::find(policies, text, &decltype(policies)::value_type::second);
    if (found == policies.end()) return std::nullopt;
    return found->first;
}

bool operator==(const StepPlan& a, const StepPlan& b) {
    return a.name == b.name && a.kind == b.kind && a.after == b.after && a.when == b.when &&
           a.for_each == b.for_each && a.in_flight == b.in_flight && a.task == b.task &&
           a.wait == b.wait && a.awaits == b.awaits && a.question == b.question &&
           a.inputs == b.inputs && same(a.child, b.child) && a.on_failure == b.on_failure &&
           a.compensated_by == b.compensated_by && a.compensates == b.compensates;
}

bool operator==(const WorkflowPlan& a, const WorkflowPlan& b) {
    return a.name == b.name && a.description == b.description && a.labels == b.labels &&
           a.steps == b.steps && a.output == b.output && a.timeout == b.timeout &&
           a.tasks_max == b.tasks_max;
}

PlanIndex::PlanIndex(std::shared_ptr<const WorkflowPlan> plan) : plan_{std::move(plan)} {
    const auto& steps = plan_->steps;
    followers_.resize(steps.size());
    names_.reserve(steps.size());
    for (StepIndex i = 0; i < steps.size(); ++i) {
        names_.emplace(steps[i].name, i);
        for (const StepEdge& edge : steps[i].after)
            followers_[edge.from].push_back({i, edge.on_failure});
    }
    rescues_.resize(steps.size());
    std::vector<StepIndex> found;
    for (StepIndex i = 0; i < steps.size(); ++i)
        if (steps[i].compensates) found.push_back(i);
    while (!found.empty()) {
        const StepIndex step = found.back();
        found.pop_back();
        if (std::exchange(rescues_[step], 1) != 0) continue;
        for (const StepEdge& follower : followers_[step])
            found.push_back(follower.from);
    }
}

std::optional<StepIndex> PlanIndex::find(std::string_view name) const {
    const auto found = names_.find(name);
    if (found == names_.end()) return std::nullopt;
    return found->second;
}

bool is_step_name(std::string_view text) {
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-' || c == '/';
    };
    return !text.empty() && text.size() <= limits::step_name_bytes_max &&
           std::ranges::all_of(text, fits) &&
           std::ranges::find(reserved, text) == std::end(reserved);
}

}  // namespace taskd
