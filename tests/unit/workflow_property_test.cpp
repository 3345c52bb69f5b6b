// Whatever a workflow looks like and whatever happens to it: it comes to its end or says what it
// waits for, keeps its order, and goes on after a restart as if there had been none.
#include "catch.hpp"
#include "sim/random_plan.hpp"
#include "workflow_driver.hpp"

using namespace taskd;
using test::WorkflowDriver;

namespace {

constexpr Duration second = std::chrono::seconds{1};

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
            if (random.chance(1, 2)) driver.publish("b.c", "{\"n\":1}");
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
    const auto plan = sim::random_plan(driver.random(), {"work"});
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
        const auto id = driver.start(sim::random_plan(driver.random(), {"work"}));
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
