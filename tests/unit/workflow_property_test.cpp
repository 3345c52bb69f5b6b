// Whatever a workflow looks like and whatever happens to it: it comes to its end or says what it
// waits for, keeps its order, and goes on after a restart as if there had been none.
#include "catch.hpp"
#include "workflow_driver.hpp"

using namespace taskd;
using test::PlanText;
using test::WorkflowDriver;

namespace {

constexpr Duration second = std::chrono::seconds{1};

class RandomPlan {
  public:
    explicit RandomPlan(Random& random) : random_{random} {}

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
        step.task.type = "work";
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
        step.awaits = "go";
        step.wait = second * (1 + below(20));
        return step;
    }

    StepKind kind(unsigned depth) {
        constexpr StepKind kinds[] = {StepKind::task,     StepKind::task,   StepKind::task,
                                      StepKind::task,     StepKind::join,   StepKind::sleep,
                                      StepKind::approval, StepKind::signal, StepKind::workflow};
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
};

// One thing that may happen.
void something(WorkflowDriver& driver, WorkflowId id) {
    Random& random = driver.random();
    const auto held = driver.held();
    switch (random.below(12)) {
        case 0:
            return driver.view();
        case 1:
            return driver.restart();
        case 2:
            return driver.pass(second * static_cast<std::int64_t>(1 + random.below(5)));
        case 3:
            driver.run(engine::SendSignal{id, {"go", Blob{"{\"n\":1}"}}});
            return;
        case 4: {
            const auto whole = driver.whole(id);
            for (const StepPlan& step : whole.plan->steps)
                if (step.kind == StepKind::approval)
                    driver.run(engine::AnswerStep{id, step.name, random.chance(3, 4), Blob{"{}"},
                                                  "because"});
            return;
        }
        case 5:
            if (random.chance(1, 30)) driver.run(engine::CancelWorkflow{id, "enough"});
            return;
        case 6:
            if (!held.empty() && random.chance(1, 2))
                driver.fail(held[random.below(held.size())], "broken", random.chance(1, 2));
            return;
        default:
            if (!held.empty()) driver.complete(held[random.below(held.size())], "{\"r\":[1]}");
    }
}

void check_waits(const WorkflowDriver& driver, WorkflowId id) {
    const Now now{WallTime{}, EngineTime{}};
    const auto waits = driver.engine().explain_workflow(now, id, 5);
    REQUIRE_FALSE(waits.empty());
    CHECK_FALSE(waits.front().text.empty());
}

void run_one(std::uint64_t seed) {
    INFO("seed " << seed);
    WorkflowDriver driver{seed};
    const auto plan = RandomPlan{driver.random()}.make();
    const auto id = driver.start(plan);
    unsigned retries = 0;
    for (int i = 0; i < 2'000; ++i) {
        if (has_ended(driver.state(id))) {
            const bool again = driver.state(id) != WorkflowState::succeeded && retries < 2;
            if (!again || driver.random().chance(1, 2)) break;
            ++retries;
            REQUIRE_FALSE(driver.run(engine::RetryWorkflow{id}).refused);
            continue;
        }
        check_waits(driver, id);
        something(driver, id);
    }
    CHECK(has_ended(driver.state(id)));
    CHECK(driver.judge().workflows().running().empty());
    CHECK(driver.engine().workflows_running() == 0);
    CHECK(driver.held().empty());
    for (const std::string& broken : driver.judge().broken())
        FAIL_CHECK(broken);
    const Workflow& end = driver.whole(id).workflow;
    CHECK(end.succeeded + end.failed + end.skipped + end.cancelled == end.steps);
    CHECK(end.active == 0);
}

}  // namespace

TEST_CASE("every workflow reaches its end, whatever happens on the way") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed)
        run_one(seed);
}

TEST_CASE("a restart changes nothing of a workflow") {
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        INFO("seed " << seed);
        WorkflowDriver driver{seed};
        const auto id = driver.start(RandomPlan{driver.random()}.make());
        for (int i = 0; i < 30 && !has_ended(driver.state(id)); ++i) {
            something(driver, id);
            const auto before = driver.whole(id);
            const auto leases = driver.held().size();
            driver.restart();
            const auto after = driver.whole(id);
            CHECK(before.workflow == after.workflow);
            CHECK(before.steps == after.steps);
            CHECK(driver.held().size() >= leases);
        }
    }
}
