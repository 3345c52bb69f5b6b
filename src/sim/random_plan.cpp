#include "sim/random_plan.hpp"

#include <algorithm>

namespace taskd::sim {
namespace {

constexpr Duration second = std::chrono::seconds{1};

class RandomPlan {
  public:
    RandomPlan(Random& random, const std::vector<std::string>& types)
        : random_{random}, types_{types} {}

    std::shared_ptr<const WorkflowPlan> make(unsigned depth = 0) {
        WorkflowPlan plan;
        plan.name = "random";
        plan.tasks_max = random_.chance(1, 3) ? 1 + below(3) : 0;
        const std::uint32_t count = 1 + below(depth == 0 ? 20 : 4);
        for (StepIndex i = 0; i < count; ++i)
            plan.steps.push_back(step(i, plan, depth));
        for (StepIndex i = 1; i < count; ++i)
            if (random_.chance(1, 8)) compensate(plan, i);
        return std::make_shared<const WorkflowPlan>(std::move(plan));
    }

  private:
    std::uint32_t below(std::uint64_t bound) {
        return static_cast<std::uint32_t>(random_.below(bound));
    }

    StepPlan step(StepIndex place, const WorkflowPlan& plan, unsigned depth) {
        StepPlan step;
        step.name = "s" + std::to_string(place);
        step.kind = kind(depth);
        step.task.type = types_[random_.below(types_.size())];
        step.task.attempts_max = 1 + below(2);
        step.task.backoff = {second, second, BackoffKind::fixed, 0};
        step.task.payload = Blob{"null"};
        for (StepIndex before = 0; before < place; ++before)
            if (random_.chance(2, place + 2))
                step.after.push_back({before, static_cast<OnFailure>(below(3))});
        if (!step.after.empty()) {
            const std::string& name = plan.steps[step.after.front().from].name;
            if (random_.chance(1, 2)) step.task.payload = Blob{"{\"x\":\"${" + name + "}\"}"};
            if (random_.chance(1, 10)) step.task.payload = Blob{"\"${" + name + ".none.at}\""};
            if (random_.chance(1, 8)) step.when = "${" + name + ".@state} == 'succeeded'";
        }
        if (step.kind == StepKind::task && random_.chance(1, 5)) {
            step.for_each = Blob{random_.chance(1, 6) ? "[]" : "[1,2,3,4,5]"};
            step.in_flight = below(3);
        }
        if (step.kind == StepKind::workflow) {
            step.child = make(depth + 1);
            step.inputs = Blob{"{}"};
        }
        if (step.kind != StepKind::task) step.task = {};
        if (random_.chance(1, 3)) step.on_failure = OnFailure::go_on;
        step.awaits = step.kind == StepKind::event ? "b.c" : "go";
        step.wait = second * (1 + below(20));
        return step;
    }

    StepKind kind(unsigned depth) {
        constexpr StepKind kinds[] = {StepKind::task,     StepKind::task,   StepKind::task,
                                      StepKind::task,     StepKind::join,   StepKind::sleep,
                                      StepKind::approval, StepKind::signal, StepKind::event,
                                      StepKind::workflow};
        return kinds[below(std::size(kinds) - (depth < 2 ? 0 : 1))];
    }

    // Step `place` becomes what one before it is compensated by.
    void compensate(WorkflowPlan& plan, StepIndex place) {
        StepPlan& failing = plan.steps[below(place)];
        StepPlan& undo = plan.steps[place];
        const bool followed = std::ranges::any_of(plan.steps, [&](const StepPlan& each) {
            return std::ranges::find(each.after, place, &StepEdge::from) != each.after.end();
        });
        if (failing.compensated_by || failing.compensates || followed) return;
        failing.compensated_by = place;
        undo.compensates = true;
        undo.after.clear();
        undo.when.clear();
        if (undo.kind == StepKind::task) undo.task.payload = Blob{"null"};
    }

    Random& random_;
    const std::vector<std::string>& types_;
};

}  // namespace

std::shared_ptr<const WorkflowPlan> random_plan(Random& random,
                                                const std::vector<std::string>& types) {
    return RandomPlan{random, types}.make();
}

}  // namespace taskd::sim
