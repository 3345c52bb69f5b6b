// What steps hand on: results that memory has forgotten, large ones, lists of them; and inner
// workflows that are called off while they fail.
#include "catch.hpp"
#include "taskd/base/limits.hpp"
#include "workflow_driver.hpp"

using namespace taskd;
using test::PlanText;
using test::WorkflowDriver;

namespace {

const std::string field = R"({"x":1,"y":2})";

std::string long_text(std::size_t bytes) {
    return "\"" + std::string(bytes, 'x') + "\"";
}

void check_judge(const WorkflowDriver& driver) {
    for (const std::string& broken : driver.judge().broken())
        FAIL_CHECK(broken);
}

// Memory has forgotten what had ended before.
void forget(WorkflowDriver& driver) {
    driver.view();
    driver.restart();
}

PlanText each_of(const std::string& list, const std::string& payload) {
    PlanText text;
    text.task("each", {}, payload);
    text.last().for_each = Blob{list};
    return text;
}

}  // namespace

TEST_CASE("a step may need several results that memory has forgotten", "[workflow]") {
    WorkflowDriver driver;
    PlanText text;
    text.task("a").task("b").task("gate");
    text.task("c", {"a", "b", "gate"}, R"({"x":"${a.x}","y":"${b.y}"})");
    text.task("d", {"gate"}, R"("${a.x}")").task("e", {"gate"}, R"("${b.y}")");
    text.task("f", {"a", "b", "gate"}, R"("${b.y}")");
    text.last().when = "${a.x} == 1 and ${b.y} == 2";
    text.plan().output = Blob{R"(["${a.x}", "${b.y}"])"};
    const auto id = driver.start(text.make());
    driver.complete("a", field);
    driver.complete("b", field);
    forget(driver);
    driver.complete("gate", "1");
    CHECK(driver.held("c").payload == R"({"x":1,"y":2})");
    CHECK(driver.held("d").payload == "1");
    CHECK(driver.held("e").payload == "2");
    CHECK(driver.held("f").payload == "2");
    for (const auto& held : driver.held())
        driver.complete(held, "null");
    CHECK(driver.state(id) == WorkflowState::succeeded);
    CHECK(driver.output(id) == "[1, 2]");
    check_judge(driver);
}

TEST_CASE("the same with more results than one can be told at a time", "[workflow]") {
    WorkflowDriver driver;
    PlanText text;
    std::vector<std::string> before{"gate"};
    std::string condition;
    text.task("gate");
    for (int i = 0; i < 5; ++i) {
        const std::string name = "s" + std::to_string(i);
        text.task(name);
        before.push_back(name);
        // Each is looked at only when the one before it is known.
        condition += (i > 0 ? " and " : "") + std::string{"${"} + name + ".x} < 2";
    }
    text.task("last", before, R"("${s0.x}")");
    text.last().when = condition;
    driver.start(text.make());
    for (int i = 0; i < 5; ++i)
        driver.complete("s" + std::to_string(i), field);
    forget(driver);
    driver.complete("gate", "1");
    CHECK(driver.held("last").payload == "1");
    check_judge(driver);
}

TEST_CASE("a result is counted once, however often a step refers to it", "[workflow]") {
    WorkflowDriver driver;
    PlanText text;
    std::string payload = "[";
    for (int i = 0; i < 100; ++i)
        payload += R"("${a.x}",)";
    text.task("a").task("b", {"a"}, payload + "0]");
    driver.start(text.make());
    driver.complete("a", R"({"x":1,"y":)" + long_text(1'000'000) + "}");
    CHECK(driver.held("b").payload.size() < 300);
    check_judge(driver);
}

TEST_CASE("how a step ended is known without its result", "[workflow]") {
    WorkflowDriver driver;
    PlanText text;
    text.task("a").task("gate").task("b", {"a", "gate"}, R"("${a.@state}")");
    driver.start(text.make());
    const auto held = driver.held("a");
    driver.complete("a", "1");
    driver.view();
    driver.lose(held.lease.id);
    driver.restart();
    driver.complete("gate", "1");
    CHECK(driver.held("b").payload == R"("succeeded")");
    check_judge(driver);
}

TEST_CASE("large payloads and inputs of many steps take several turns", "[workflow]") {
    WorkflowDriver driver;
    PlanText text;
    text.task("big");
    text.task("each", {"big"}, R"("${big}")");
    text.last().for_each = Blob{R"("${inputs.list}")"};
    PlanText inner;
    inner.task("work", {}, R"("${inputs.x}")");
    for (int i = 0; i < 30; ++i) {
        StepPlan step;
        step.name = "inner" + std::to_string(i);
        step.kind = StepKind::workflow;
        step.child = inner.make();
        step.inputs = Blob{R"({"x":"${big}"})"};
        text.step(step, {"big"});
    }
    std::string list = "[0";
    for (int i = 1; i < 40; ++i)
        list += "," + std::to_string(i);
    const auto id = driver.start(text.make(), R"({"list":)" + list + "]}");
    driver.complete("big", long_text(900'000));  // no record is refused by the journal
    CHECK(driver.held().size() == 70);
    for (const auto& held : driver.held())
        driver.complete(held, "1");
    CHECK(driver.state(id) == WorkflowState::succeeded);
    check_judge(driver);
}

TEST_CASE("the first error of a list is the same after a restart", "[workflow]") {
    WorkflowDriver driver;
    PlanText text = each_of("[1,2]", R"("${item}")");
    text.last().on_failure = OnFailure::go_on;
    const auto id = driver.start(text.make());
    driver.fail(driver.held()[0], "broken");
    forget(driver);
    driver.complete(driver.held()[0], "1");
    const auto error = driver.whole(id).steps[0].error;
    REQUIRE(error);
    CHECK(error->code == "broken");
    CHECK(error->message == "1 of 2 items did not succeed, first: it broke");
    check_judge(driver);
}

TEST_CASE("of a long list that is cancelled only so many bodies are read at a time", "[workflow]") {
    WorkflowDriver driver{1, 10, {.waiting_bytes_max = 100}};
    const std::size_t count = 3 * limits::workflow_turn_tasks;
    std::string list = "[0";
    for (std::size_t i = 1; i < count; ++i)
        list += "," + std::to_string(i);
    const auto id = driver.start(each_of(list + "]", R"("${item}")").make());
    driver.view();
    driver.restart();
    driver.run(engine::CancelWorkflow{id, "enough"});
    CHECK(driver.bodies_asked() > 0);
    CHECK(driver.bodies_asked() <= limits::workflow_turn_tasks);
    for (const auto& held : driver.held())
        driver.run(engine::Fail{held.lease, {"stopped", "as asked", true}});
    CHECK(driver.state(id) == WorkflowState::cancelled);
    check_judge(driver);
}

TEST_CASE("an inner workflow that undoes what failed ends when the outer one is cancelled",
          "[workflow]") {
    const bool restarts = GENERATE(false, true);
    WorkflowDriver driver;
    PlanText inner;
    inner.task("book").task("undo");
    inner.plan().steps[0].compensated_by = 1;
    inner.plan().steps[1].compensates = true;
    StepPlan step;
    step.name = "inner";
    step.kind = StepKind::workflow;
    step.child = inner.make();
    step.inputs = Blob{"{}"};
    PlanText text;
    text.step(step).task("beside");
    const auto id = driver.start(text.make());
    const auto child = *driver.whole(id).steps[0].child;
    driver.fail("book");
    REQUIRE(driver.state(child) == WorkflowState::failing);
    // What fails beside it lets it go on with that; who cancels it all does not.
    driver.fail("beside");
    REQUIRE(driver.state(id) == WorkflowState::failing);
    CHECK(driver.state(child) == WorkflowState::failing);
    if (restarts) forget(driver);
    driver.run(engine::CancelWorkflow{id, "enough"});
    CHECK(driver.state(child) == WorkflowState::cancelled);
    CHECK(driver.state(id) == WorkflowState::cancelled);
    CHECK(driver.held().empty());
    check_judge(driver);
}

TEST_CASE("no more steps run than memory is to hold", "[workflow]") {
    PlanText text;
    text.step({.name = "wait", .kind = StepKind::signal, .awaits = "go"});
    for (std::size_t i = 1; i < limits::workflow_steps_max; ++i)
        text.step({.name = "s" + std::to_string(i), .kind = StepKind::join}, {"wait"});
    const auto index = std::make_shared<const PlanIndex>(text.make());
    const protocol::JsonTemplates templates;
    engine::Engine engine{{.templates = &templates}};
    const Now now{WallTime{std::chrono::seconds{1'700'000'000}}, EngineTime{}};
    Random random{1};
    Sequence applied;
    std::vector<WorkflowId> ids;
    const auto run = [&](const engine::Command& command) {
        const engine::Decision decision = engine.decide(now, command, random);
        for (const Record& record : decision.records)
            engine.apply(applied = applied.next(), record);
        return decision.refused ? decision.refused->to_string() : "";
    };
    const auto start = [&] {
        ids.push_back(TaskId::make(now.wall, random));
        engine::StartWorkflow command{.id = ids.back(), .inputs = Blob{"{}"}, .index = index};
        command.fresh = true;
        return run(command);
    };
    for (std::size_t i = 0; i < limits::workflow_steps_running_max; i += index->size())
        CHECK(start().empty());
    CHECK_THAT(start(), Catch::Matchers::StartsWith("too_many_workflows") &&
                            Catch::Matchers::Contains("with 1000000 steps"));
    CHECK(run(engine::CancelWorkflow{ids.front(), "enough"}).empty());
    for (int turn = 0; turn < 10; ++turn)
        run(engine::Advance{});
    CHECK(start().empty());
}
