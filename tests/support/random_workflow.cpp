// Random workflows, plans and steps.
#include "random_model.hpp"

namespace taskd::support {
namespace {

constexpr std::uint64_t time_bound = 1ULL << 50;

template <class Instant>
Instant instant(Random& random) {
    return Instant{Duration{static_cast<std::int64_t>(random.below(time_bound))}};
}

template <class Value, class Make>
std::optional<Value> perhaps(Random& random, Make make) {
    if (random.chance(1, 2)) return std::nullopt;
    return make();
}

std::uint32_t number32(Random& random) {
    return static_cast<std::uint32_t>(random_number(random));
}

Blob blob(Random& random) {
    const std::string text = random_text(random, 20);
    return text.empty() ? Blob{} : Blob{text};
}

TaskError error(Random& random) {
    return {random_text(random, 10), random_text(random, 20), random.chance(1, 2)};
}

StepPlan random_step_plan(Random& random, std::uint32_t count, unsigned depth) {
    StepPlan step;
    step.name = random_text(random, 20);
    step.kind = static_cast<StepKind>(random.below(7));
    for (std::uint64_t n = random.below(3); n > 0; --n)
        step.after.push_back(
            {static_cast<StepIndex>(random.below(count)), static_cast<OnFailure>(random.below(3))});
    step.when = random_text(random, 10);
    step.for_each = blob(random);
    step.in_flight = number32(random);
    if (step.kind == StepKind::task) {
        step.task.id = random_id(random);
        step.task.type = random_text(random, 10);
        step.task.payload = blob(random);
    }
    step.wait = Duration{static_cast<std::int64_t>(random_number(random) >> 1)};
    step.awaits = random_text(random, 10);
    step.question = random_text(random, 10);
    step.inputs = blob(random);
    if (depth < 2 && random.chance(1, 8)) step.child = random_plan(random, depth + 1);
    step.on_failure = static_cast<OnFailure>(random.below(3));
    if (random.chance(1, 3)) step.compensated_by = static_cast<StepIndex>(random.below(count));
    step.compensates = random.chance(1, 2);
    return step;
}

}  // namespace

std::shared_ptr<const WorkflowPlan> random_plan(Random& random, unsigned depth) {
    auto plan = std::make_shared<WorkflowPlan>();
    plan->name = random_text(random, 20);
    plan->description = random_text(random, 20);
    for (std::uint64_t n = random.below(3); n > 0; --n)
        plan->labels[random_text(random, 5)] = random_text(random, 5);
    const auto count = static_cast<std::uint32_t>(1 + random.below(3));
    for (std::uint32_t i = 0; i < count; ++i)
        plan->steps.push_back(random_step_plan(random, count, depth));
    plan->output = blob(random);
    plan->timeout = Duration{static_cast<std::int64_t>(random_number(random) >> 1)};
    plan->tasks_max = number32(random);
    return plan;
}

Workflow random_workflow(Random& random) {
    Workflow workflow;
    workflow.id = random_id(random);
    workflow.name = random_text(random, 20);
    workflow.inputs = blob(random);
    workflow.env = blob(random);
    if (random.chance(1, 2)) workflow.parent = ParentStep{random_id(random), number32(random)};
    workflow.depth = number32(random);
    workflow.state = static_cast<WorkflowState>(random.below(6));
    workflow.made_at = instant<WallTime>(random);
    workflow.ended_at = perhaps<WallTime>(random, [&] { return instant<WallTime>(random); });
    workflow.ends_by = instant<EngineTime>(random);
    workflow.retries = number32(random);
    workflow.error = perhaps<TaskError>(random, [&] { return error(random); });
    workflow.output = blob(random);
    for (std::uint64_t n = random.below(3); n > 0; --n)
        workflow.signals.push_back({random_text(random, 10), blob(random)});
    for (std::uint32_t* count : {&workflow.steps, &workflow.succeeded, &workflow.failed,
                                 &workflow.skipped, &workflow.cancelled, &workflow.active})
        *count = number32(random);
    return workflow;
}

Step random_step(Random& random) {
    Step step;
    step.state = static_cast<StepState>(random.below(6));
    step.tries = number32(random);
    step.began_at = perhaps<WallTime>(random, [&] { return instant<WallTime>(random); });
    step.ended_at = perhaps<WallTime>(random, [&] { return instant<WallTime>(random); });
    step.until = perhaps<EngineTime>(random, [&] { return instant<EngineTime>(random); });
    step.list = blob(random);
    for (std::uint64_t n = random.below(5); n > 0; --n)
        step.items.push_back(static_cast<ItemState>(random.below(4)));
    step.child = perhaps<WorkflowId>(random, [&] { return random_id(random); });
    step.result = blob(random);
    step.result_bytes = random_number(random);
    step.error = perhaps<TaskError>(random, [&] { return error(random); });
    return step;
}

Record random_workflow_record(Random& random, std::size_t kind) {
    const WorkflowId id = random_id(random);
    const auto at = instant<WallTime>(random);
    switch (kind) {
        case 28:
            return WorkflowStarted{random_workflow(random), random_plan(random)};
        case 29:
            return StepBegan{
                id,
                number32(random),
                perhaps<EngineTime>(random, [&] { return instant<EngineTime>(random); }),
                perhaps<WorkflowId>(random, [&] { return random_id(random); }),
                blob(random),
                number32(random),
                at};
        case 30:
            return StepEnded{id,
                             number32(random),
                             perhaps<std::uint32_t>(random, [&] { return number32(random); }),
                             static_cast<StepState>(random.below(6)),
                             blob(random),
                             perhaps<TaskError>(random, [&] { return error(random); }),
                             at};
        case 31:
            return WorkflowTurned{id, static_cast<WorkflowState>(random.below(6)), error(random),
                                  at};
        case 32:
            return WorkflowEnded{id, static_cast<WorkflowState>(random.below(6)), blob(random), at};
        case 33:
            return WorkflowRetried{id, instant<EngineTime>(random), at};
        case 34:
            return SignalReceived{id, {random_text(random, 10), blob(random)}};
        default:
            return WorkflowDeleted{id};
    }
}

}  // namespace taskd::support
