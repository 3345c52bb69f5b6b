// How the steps of a workflow hang together.
#include <algorithm>
#include <numeric>
#include <ranges>

#include "protocol/workflow/fields.hpp"
#include "protocol/workflow/steps.hpp"

namespace taskd::protocol::workflow {
namespace {

constexpr std::size_t circle_shown_max = 20;
constexpr StepIndex nobody = UINT32_MAX;

// Who comes before whom: edges, and what is run when a step fails.
struct Order {
    std::vector<std::vector<StepIndex>> before;
    std::vector<StepIndex> sorted;  // each behind all before it
    std::vector<StepIndex> rank;    // its place there
};

Result<void> make_edges(Scope& scope) {
    std::vector<StepIndex> waited_by(scope.drafts.size(), nobody);
    for (StepIndex i = 0; i < scope.drafts.size(); ++i) {
        StepPlan& step = scope.plan.steps[i];
        const StepDraft& draft = scope.drafts[i];
        const bool goes_on = scope.on_failure == OnFailure::go_on;
        step.on_failure = draft.on_failure.value_or(goes_on ? OnFailure::go_on : OnFailure::fail);
        step.after.reserve(draft.after.size());
        for (const EdgeDraft& edge : draft.after) {
            if (waited_by[edge.from] == i)
                return fault(edge.at->place, "'" + step.name + "' waits for '" +
                                                 scope.plan.steps[edge.from].name + "' twice");
            waited_by[edge.from] = i;
            const auto of_step = scope.drafts[edge.from].on_failure.value_or(scope.on_failure);
            step.after.push_back({edge.from, edge.on_failure.value_or(of_step)});
        }
    }
    return {};
}

// What runs when a step fails is run for that one alone.
Result<void> make_compensation(Scope& scope) {
    for (StepIndex i = 0; i < scope.drafts.size(); ++i) {
        const auto& runs = scope.drafts[i].runs;
        if (!runs) continue;
        StepPlan& other = scope.plan.steps[runs->step];
        const std::string& place = runs->at->place;
        if (runs->step == i)
            return fault(place, "'" + other.name + "' would run when it fails itself",
                         ErrorCode::step_cycle);
        if (other.compensates)
            return fault(place, "'" + other.name + "' is run already when another step fails");
        if (!other.after.empty())
            return fault(place, "'" + other.name +
                                    "' runs when a step fails, so that it waits for no other");
        other.compensates = true;
        scope.plan.steps[i].compensated_by = runs->step;
    }
    return {};
}

// The place where a step says that it comes behind another.
const std::string& place_of_edge(const Scope& scope, StepIndex step, StepIndex before) {
    for (const EdgeDraft& edge : scope.drafts[step].after)
        if (edge.from == before) return edge.at->place;
    return *scope.drafts[step].place;
}

// Among the steps that are left over when everything that can be sorted is, from one back to
// itself.
std::unexpected<Error> circle(const Scope& scope, const Order& order,
                              const std::vector<std::uint32_t>& left) {
    const auto open = [&](StepIndex step) { return left[step] > 0; };
    const auto back = [&](StepIndex step) {
        return *std::ranges::find_if(order.before[step], open);
    };
    StepIndex at = 0;
    while (!open(at))
        ++at;
    for (std::size_t i = 0; i < left.size(); ++i)
        at = back(at);  // by then it goes round
    std::vector<StepIndex> round{at};
    for (StepIndex next = back(at); next != at; next = back(next))
        round.push_back(next);
    std::ranges::rotate(round, std::ranges::min_element(round));
    std::string path = scope.plan.steps[round.front()].name;
    for (std::size_t i = 1; i <= round.size(); ++i) {
        if (i == circle_shown_max && round.size() > circle_shown_max) {
            path += " after … " + std::to_string(round.size() - i) + " more …";
            i = round.size();
        }
        path += " after " + scope.plan.steps[round[i % round.size()]].name;
    }
    const StepIndex second = round[1 % round.size()];
    return fault(place_of_edge(scope, round.front(), second), path, ErrorCode::step_cycle);
}

Result<Order> sort_steps(const Scope& scope) {
    const std::size_t count = scope.plan.steps.size();
    Order order;
    order.before.resize(count);
    std::vector<std::vector<StepIndex>> behind(count);
    std::vector<std::uint32_t> left(count, 0);
    const auto add = [&](StepIndex from, StepIndex to) {
        order.before[to].push_back(from);
        behind[from].push_back(to);
        ++left[to];
    };
    for (StepIndex i = 0; i < count; ++i) {
        for (const StepEdge& edge : scope.plan.steps[i].after)
            add(edge.from, i);
        if (const auto& other = scope.plan.steps[i].compensated_by) add(i, *other);
    }
    order.rank.resize(count);
    for (StepIndex i = 0; i < count; ++i)
        if (left[i] == 0) order.sorted.push_back(i);
    for (std::size_t at = 0; at < order.sorted.size(); ++at) {
        order.rank[order.sorted[at]] = static_cast<StepIndex>(at);
        for (const StepIndex next : behind[order.sorted[at]])
            if (--left[next] == 0) order.sorted.push_back(next);
    }
    if (order.sorted.size() < count) return circle(scope, order, left);
    return order;
}

// Answers whether one step comes before another. Most often it is seen in a forest where each step
// hangs below the first that it waits for; else what lies between is walked through.
class Before {
  public:
    Before(Scope& scope, const Order& order)
        : scope_{scope}, order_{order}, seen_(order.rank.size(), nobody) {
        const std::size_t count = order.rank.size();
        std::vector<StepIndex> size(count, 1);
        for (const StepIndex step : std::views::reverse(order.sorted))
            if (!order.before[step].empty()) size[order.before[step].front()] += size[step];
        begin_.resize(count);
        end_.resize(count);
        std::vector<StepIndex> next(count);  // where the next one below a step begins
        StepIndex roots = 0;
        for (const StepIndex step : order.sorted) {
            const bool is_root = order.before[step].empty();
            StepIndex& from = is_root ? roots : next[order.before[step].front()];
            begin_[step] = from;
            end_[step] = from + size[step];
            next[step] = from + 1;
            from += size[step];
        }
    }

    // None when to find out would take too long.
    std::optional<bool> is_before(StepIndex first, StepIndex step) {
        if (begin_[first] <= begin_[step] && begin_[step] < end_[first]) return first != step;
        return walk(first, step);
    }

  private:
    std::optional<bool> walk(StepIndex first, StepIndex step) {
        const StepIndex round = round_++;
        std::vector<StepIndex> open{step};
        while (!open.empty()) {
            const StepIndex at = open.back();
            open.pop_back();
            scope_.all.reached += 1 + order_.before[at].size();
            if (scope_.all.reached > limits::workflow_reach_max) return std::nullopt;
            for (const StepIndex each : order_.before[at]) {
                if (each == first) return true;
                if (order_.rank[each] <= order_.rank[first] || seen_[each] == round) continue;
                seen_[each] = round;
                open.push_back(each);
            }
        }
        return false;
    }

    Scope& scope_;
    const Order& order_;
    std::vector<StepIndex> seen_;
    std::vector<StepIndex> begin_;  // a step and all below it, in the forest
    std::vector<StepIndex> end_;
    StepIndex round_ = 0;
};

std::string why_not(const Scope& scope, Before& before, StepIndex used, StepIndex by,
                    bool is_known) {
    const std::string& name = scope.plan.steps[used].name;
    std::string out = "'" + scope.plan.steps[by].name + "'";
    if (before.is_before(by, used) == true)
        return out + " comes before '" + name + "', which has no result by then";
    out += is_known ? " does not wait for '" : " is too far behind '";
    return out + name + "': add '" + name + "' to its after (dependencies)";
}

Result<void> check_uses(Scope& scope, const Order& order) {
    Before before{scope, order};
    std::vector<StepIndex> direct(order.rank.size(), nobody);
    for (StepIndex i = 0; i < scope.drafts.size(); ++i) {
        if (scope.drafts[i].uses.empty()) continue;
        for (const StepIndex each : order.before[i])
            direct[each] = i;
        for (const Use& use : scope.drafts[i].uses) {
            if (direct[use.step] == i) continue;
            const auto known = before.is_before(use.step, i);
            if (known == true) {
                direct[use.step] = i;
                continue;
            }
            const std::string why = why_not(scope, before, use.step, i, known.has_value());
            return fault(use.at->place, why, ErrorCode::unresolved_reference);
        }
    }
    return {};
}

}  // namespace

Result<void> link_steps(Scope& scope) {
    if (auto made = make_edges(scope); !made) return made;
    if (auto made = make_compensation(scope); !made) return made;
    const auto order = sort_steps(scope);
    if (!order) return std::unexpected{order.error()};
    return check_uses(scope, *order);
}

}  // namespace taskd::protocol::workflow
