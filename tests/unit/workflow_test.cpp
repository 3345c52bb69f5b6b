// Workflows in the engine: order, data between steps, failures, lists, waiting, ends.
#include "catch.hpp"
#include "workflow_driver.hpp"

using namespace taskd;
using test::PlanText;
using test::WorkflowDriver;

namespace {

StepPlan sleeping(const std::string& name, Duration time) {
    StepPlan step;
    step.name = name;
    step.kind = StepKind::sleep;
    step.wait = time;
    return step;
}

StepPlan waiting(const std::string& name, const std::string& signal, Duration most = {}) {
    StepPlan step;
    step.name = name;
    step.kind = StepKind::signal;
    step.awaits = signal;
    step.wait = most;
    return step;
}

PlanText each_item(const std::string& list, const std::string& payload) {
    PlanText text;
    text.task("each", {}, payload);
    text.last().for_each = Blob{list};
    return text;
}

std::vector<std::string> names(const WorkflowDriver& driver) {
    std::vector<std::string> found;
    for (const auto& held : driver.held())
        found.push_back(held.step);
    return found;
}

void check_judge(const WorkflowDriver& driver) {
    for (const std::string& broken : driver.judge().broken())
        FAIL_CHECK(broken);
}

}  // namespace

TEST_CASE("a step begins once those before it have succeeded, with what they said") {
    WorkflowDriver driver;
    const auto id = driver.start(PlanText{}
                                     .task("a", {}, R"({"n":"${inputs.n}"})")
                                     .task("b", {"a"}, R"({"x":"${a.x}","text":"is ${a.x[0]}"})")
                                     .task("c", {"a", "b"}, R"(["${a}","${b.result}"])")
                                     .make(),
                                 R"({"n":7})");
    REQUIRE(names(driver) == std::vector<std::string>{"a"});
    CHECK(driver.held("a").payload == R"({"n":7})");
    driver.complete("a", R"({"x":[1,2]})");
    REQUIRE(names(driver) == std::vector<std::string>{"b"});
    CHECK(driver.held("b").payload == R"({"x":[1,2],"text":"is 1"})");
    driver.complete("b", "true");
    CHECK(driver.held("c").payload == R"([{"x":[1,2]},true])");
    driver.complete("c", "\"done\"");
    CHECK(driver.state(id) == WorkflowState::succeeded);
    CHECK(driver.output(id) == "\"done\"");
    check_judge(driver);
}

TEST_CASE("the end of a step and the task of the next are one turn") {
    WorkflowDriver driver;
    const auto id = driver.start(PlanText{}.task("a").task("b", {"a"}).make());
    driver.complete("a", "1");
    CHECK(driver.step(id, "b") == "active");
    CHECK(names(driver) == std::vector<std::string>{"b"});
}

TEST_CASE("a failed step fails its workflow, and what runs beside it is cancelled") {
    WorkflowDriver driver;
    const auto id = driver.start(PlanText{}.task("a").task("b").task("c", {"a"}).make());
    driver.fail("a");
    CHECK(driver.state(id) == WorkflowState::failed);
    CHECK(driver.step(id, "a") == "failed");
    CHECK(driver.step(id, "b") == "cancelled");
    CHECK(driver.step(id, "c") == "cancelled");
    CHECK(driver.whole(id).workflow.error->code == "step_failed");
    check_judge(driver);
}

TEST_CASE("an edge may skip what depends on a failure, or go on all the same") {
    WorkflowDriver driver;
    PlanText text;
    text.task("a").task("skipped", {"a"}).task("after", {"skipped"}).task("goes", {"a"});
    text.plan().steps[1].after[0].on_failure = OnFailure::skip;
    text.plan().steps[3].after[0].on_failure = OnFailure::go_on;
    text.plan().steps[3].task.payload = Blob{R"(["${a.@state}","${a.@error.code}","${a}"])"};
    const auto id = driver.start(text.make());
    driver.fail("a");
    CHECK(driver.step(id, "skipped") == "skipped");
    CHECK(driver.step(id, "after") == "skipped");
    CHECK(driver.held("goes").payload == R"(["failed","broken",null])");
    driver.complete("goes", "1");
    CHECK(driver.state(id) == WorkflowState::succeeded);
    check_judge(driver);
}

TEST_CASE("a compensation runs when its step failed, and before the workflow has ended") {
    WorkflowDriver driver;
    PlanText text;
    text.task("book").task("undo", {}, R"("${book.@error.code}")").task("tell", {"undo"});
    text.plan().steps[0].compensated_by = 1;
    text.plan().steps[1].compensates = true;
    const auto id = driver.start(text.make());
    CHECK(names(driver) == std::vector<std::string>{"book"});
    driver.fail("book");
    CHECK(driver.state(id) == WorkflowState::failing);
    CHECK(driver.held("undo").payload == "\"broken\"");
    driver.complete("undo", "1");
    driver.complete("tell", "1");
    CHECK(driver.state(id) == WorkflowState::failed);
    check_judge(driver);
}

TEST_CASE("what failed again after it was tried again is compensated again") {
    WorkflowDriver driver;
    PlanText text;
    text.task("book").task("undo");
    text.plan().steps[0].compensated_by = 1;
    text.plan().steps[1].compensates = true;
    const auto id = driver.start(text.make());
    driver.fail("book");
    driver.complete("undo", "1");
    REQUIRE(driver.state(id) == WorkflowState::failed);
    REQUIRE_FALSE(driver.run(engine::RetryWorkflow{id}).refused);
    CHECK(driver.whole(id).workflow.succeeded == 0);
    driver.fail("book");
    CHECK(names(driver) == std::vector<std::string>{"undo"});
    driver.complete("undo", "1");
    CHECK(driver.state(id) == WorkflowState::failed);
    check_judge(driver);
}

TEST_CASE("a compensation that is not needed is skipped") {
    WorkflowDriver driver;
    PlanText text;
    text.task("book").task("undo");
    text.plan().steps[0].compensated_by = 1;
    text.plan().steps[1].compensates = true;
    const auto id = driver.start(text.make());
    driver.complete("book", "1");
    CHECK(driver.state(id) == WorkflowState::succeeded);
    CHECK(driver.step(id, "undo") == "skipped");
    CHECK(driver.whole(id).workflow.skipped == 1);
}

TEST_CASE("a condition that does not hold skips its step, and what follows goes on") {
    WorkflowDriver driver;
    PlanText text;
    text.task("a").task("b", {"a"}).task("c", {"b"}, R"("${b}")");
    text.plan().steps[1].when = "${a.n} > 10";
    const auto id = driver.start(text.make());
    driver.complete("a", R"({"n":3})");
    CHECK(driver.step(id, "b") == "skipped");
    CHECK(driver.held("c").payload == "null");
    driver.complete("c", "1");
    CHECK(driver.state(id) == WorkflowState::succeeded);
    check_judge(driver);
}

TEST_CASE("a reference that names nothing fails its step, and never goes to a worker") {
    WorkflowDriver driver;
    const auto id = driver.start(PlanText{}.task("a").task("b", {"a"}, R"("${a.nothing}")").make());
    driver.complete("a", R"({"x":1})");
    CHECK(driver.held().empty());
    CHECK(driver.state(id) == WorkflowState::failed);
    CHECK(driver.whole(id).steps[1].error->code == "unresolved_reference");
    check_judge(driver);
}

TEST_CASE("a step runs for each item of a list, so many at a time") {
    WorkflowDriver driver;
    PlanText text = each_item(R"("${inputs.list}")", R"({"item":"${item}","index":"${index}"})");
    text.last().in_flight = 2;
    text.task("sum", {"each"}, R"(["${each}","${each[1].y}"])");
    const auto id = driver.start(text.make(), R"({"list":[10,"x",{"z":1}]})");
    REQUIRE(driver.held().size() == 2);
    CHECK(driver.held()[0].payload == R"({"item":10,"index":0})");
    driver.complete(driver.held()[0], R"({"y":0})");
    REQUIRE(driver.held().size() == 2);
    for (const auto& held : driver.held())
        driver.complete(held, R"({"y":)" + std::to_string(held.item) + "}");
    CHECK(driver.held("sum").payload == R"([[{"y":0},{"y":1},{"y":2}],1])");
    driver.complete("sum", "3");
    CHECK(driver.state(id) == WorkflowState::succeeded);
    check_judge(driver);
}

TEST_CASE("an empty list is done at once, and what is no list fails its step") {
    WorkflowDriver driver;
    PlanText text = each_item(R"("${inputs.list}")", "null");
    text.task("after", {"each"}, R"("${each}")");
    driver.start(text.make(), R"({"list":[]})");
    CHECK(driver.held("after").payload == "[]");
    const auto id = driver.start(text.make(), R"({"list":5})");
    CHECK(driver.whole(id).steps[0].error->code == "not_a_list");
    CHECK(driver.state(id) == WorkflowState::failed);
    check_judge(driver);
}

TEST_CASE("an item that fails stops the list, unless its step goes on") {
    const bool goes_on = GENERATE(false, true);
    WorkflowDriver driver;
    PlanText text = each_item("[1,2,3,4]", R"("${item}")");
    text.last().in_flight = 2;
    if (goes_on) text.last().on_failure = OnFailure::go_on;
    const auto id = driver.start(text.make());
    driver.fail(driver.held()[0], "broken");
    while (!driver.held().empty())
        driver.complete(driver.held()[0], "1");
    const auto items = driver.whole(id).steps[0].items;
    CHECK(items[3] == (goes_on ? ItemState::succeeded : ItemState::pending));
    CHECK(driver.step(id, "each") == "failed");
    CHECK(driver.state(id) == (goes_on ? WorkflowState::succeeded : WorkflowState::failed));
    check_judge(driver);
}

TEST_CASE("no more tasks than the workflow may have at a time") {
    WorkflowDriver driver;
    PlanText text;
    text.task("a").task("b").task("c").task("d", {"a"});
    text.plan().tasks_max = 1;
    const auto id = driver.start(text.make());
    while (!driver.held().empty()) {
        CHECK(driver.held().size() == 1);
        driver.complete(driver.held()[0], "1");
    }
    CHECK(driver.state(id) == WorkflowState::succeeded);
    check_judge(driver);
}

TEST_CASE("steps sleep, and wait for signals that come before or after") {
    WorkflowDriver driver;
    PlanText text;
    text.step(sleeping("nap", std::chrono::seconds{10}));
    text.step(waiting("first", "go"));
    text.step(waiting("second", "go"), {"nap"});
    text.plan().output = Blob{R"(["${first}","${second}"])"};
    const auto id = driver.start(text.make());
    driver.run(engine::SendSignal{id, {"go", Blob{"1"}}});
    CHECK(driver.step(id, "first") == "succeeded");
    driver.run(engine::SendSignal{id, {"go", Blob{"2"}}});
    CHECK(driver.whole(id).workflow.signals.size() == 1);
    driver.view();
    driver.restart();
    driver.pass(std::chrono::seconds{9});
    CHECK(driver.step(id, "nap") == "active");
    driver.pass(std::chrono::seconds{1});
    CHECK(driver.state(id) == WorkflowState::succeeded);
    CHECK(driver.output(id) == "[1,2]");
    CHECK(driver.whole(id).workflow.signals.empty());
    check_judge(driver);
}

TEST_CASE("who waits longer than it may fails") {
    WorkflowDriver driver;
    PlanText text;
    text.step(waiting("signal", "go", std::chrono::seconds{5}));
    const auto id = driver.start(text.make());
    driver.pass(std::chrono::seconds{5});
    CHECK(driver.whole(id).steps[0].error->code == "not_answered");
    CHECK(driver.state(id) == WorkflowState::failed);
    const auto late = driver.run(engine::SendSignal{id, {"go", Blob{"1"}}});
    CHECK(late.refused->code == ErrorCode::workflow_finished);
}

TEST_CASE("a step waits for an event of a topic, the first after it began") {
    WorkflowDriver driver;
    PlanText text;
    StepPlan step;
    step.name = "paid";
    step.kind = StepKind::event;
    step.awaits = "order.paid";
    text.step(step).task("after", {"paid"}, R"(["${paid.data.sum}","${paid.key}"])");
    const auto plan = text.make();
    driver.publish("order.paid", R"({"sum":1})");
    const auto id = driver.start(plan);
    driver.publish("order.other", R"({"sum":2})");
    CHECK(driver.step(id, "paid") == "active");
    driver.view();
    driver.restart();
    driver.publish("order.paid", R"({"sum":3})");
    CHECK(driver.held("after").payload == R"([3,"k"])");
    driver.complete("after", "1");
    CHECK(driver.state(id) == WorkflowState::succeeded);
    const auto other = driver.start(plan);
    driver.publish("order.paid", "not JSON");
    CHECK(driver.whole(other).steps[0].result.view().ends_with(R"("data":null})"));
    check_judge(driver);
}

TEST_CASE("an approval is given or refused once") {
    WorkflowDriver driver;
    PlanText text;
    StepPlan step;
    step.name = "ok";
    step.kind = StepKind::approval;
    text.step(step).task("after", {"ok"}, R"("${ok.by}")");
    const auto plan = text.make();
    const auto id = driver.start(plan);
    const auto answer = [&](WorkflowId of, const std::string& name, bool approved) {
        return driver.run(engine::AnswerStep{of, name, approved, Blob{R"({"by":"ann"})"}, "no"});
    };
    CHECK(answer(id, "what", true).refused->code == ErrorCode::step_not_found);
    CHECK_FALSE(answer(id, "ok", true).refused);
    CHECK(answer(id, "ok", true).refused->code == ErrorCode::step_not_waiting);
    CHECK(driver.held("after").payload == "\"ann\"");
    const auto other = driver.start(plan);
    answer(other, "ok", false);
    CHECK(driver.state(other) == WorkflowState::failed);
    CHECK(driver.whole(other).steps[0].error->code == "rejected");
    CHECK(driver.whole(other).steps[0].error->message == "no");
}

TEST_CASE("a workflow in a workflow hands on its output, and falls with the outer one") {
    WorkflowDriver driver;
    PlanText inner;
    inner.task("work", {}, R"("${inputs.x}")");
    PlanText text;
    StepPlan step;
    step.name = "inner";
    step.kind = StepKind::workflow;
    step.child = inner.make();
    step.inputs = Blob{R"({"x":"${inputs.y}"})"};
    text.step(step).task("after", {"inner"}, R"("${inner}")");
    const auto plan = text.make();
    const auto id = driver.start(plan, R"({"y":5})");
    CHECK(driver.held("work").payload == "5");
    driver.complete("work", "6");
    CHECK(driver.held("after").payload == "6");
    driver.complete("after", "7");
    CHECK(driver.state(id) == WorkflowState::succeeded);

    const auto cancelled = driver.start(plan, R"({"y":5})");
    driver.view();
    driver.restart();
    const auto child = *driver.whole(cancelled).steps[0].child;
    driver.run(engine::CancelWorkflow{cancelled, "enough"});
    CHECK(driver.state(child) == WorkflowState::cancelled);
    CHECK(driver.state(cancelled) == WorkflowState::cancelled);
    CHECK(driver.held().empty());

    const auto failed = driver.start(plan, R"({"y":5})");
    driver.fail("work");
    CHECK(driver.state(failed) == WorkflowState::failed);
    check_judge(driver);
}

TEST_CASE("the whole of a workflow has its time") {
    WorkflowDriver driver;
    PlanText text;
    text.task("a");
    text.plan().timeout = std::chrono::minutes{1};
    const auto id = driver.start(text.make());
    driver.pass(std::chrono::minutes{1});
    CHECK(driver.state(id) == WorkflowState::failed);
    CHECK(driver.whole(id).workflow.error->code == "deadline_exceeded");
    CHECK(driver.step(id, "a") == "cancelled");
}

TEST_CASE("a workflow is tried again from where it failed") {
    const bool from_view = GENERATE(false, true);
    WorkflowDriver driver;
    const auto id =
        driver.start(PlanText{}.task("a").task("b", {"a"}, R"("${a}")").task("c", {"b"}).make());
    CHECK(driver.run(engine::RetryWorkflow{id}).refused->code == ErrorCode::workflow_running);
    driver.complete("a", "11");
    driver.fail("b");
    REQUIRE(driver.state(id) == WorkflowState::failed);
    if (from_view) driver.view();
    CHECK_FALSE(driver.run(engine::RetryWorkflow{id}).refused);
    if (from_view) driver.restart();
    CHECK(driver.held("b").payload == "11");
    driver.complete("b", "2");
    driver.complete("c", "3");
    CHECK(driver.state(id) == WorkflowState::succeeded);
    CHECK(driver.whole(id).workflow.retries == 1);
    CHECK(driver.run(engine::RetryWorkflow{id}).refused->code == ErrorCode::workflow_finished);
    check_judge(driver);
}

TEST_CASE("a workflow of the same id is the same, or in the way") {
    const bool from_view = GENERATE(false, true);
    WorkflowDriver driver;
    const auto plan = PlanText{}.task("a").make();
    const auto id = driver.start(plan);
    driver.complete("a", "1");
    if (from_view) driver.view();
    engine::StartWorkflow again{
        .id = id, .inputs = Blob{"{}"}, .index = std::make_shared<const PlanIndex>(plan)};
    const auto same = driver.run(again);
    CHECK_FALSE(same.refused);
    CHECK(same.records.empty());
    again.inputs = Blob{R"({"other":1})"};
    CHECK(driver.run(again).refused->code == ErrorCode::id_conflict);
    CHECK_FALSE(driver.run(engine::DeleteWorkflow{id}).refused);
}

TEST_CASE("tasks of steps are left to their workflow") {
    WorkflowDriver driver;
    PlanText text;
    text.task("a").task("b", {"a"});
    text.plan().steps[1].after[0].on_failure = OnFailure::go_on;
    driver.start(text.make());
    const auto held = driver.held("a");
    driver.fail("a");
    CHECK(driver.run(engine::Redrive{held.lease.id}).refused->code == ErrorCode::is_step);
    engine::DropTasks drop;
    drop.targets.push_back({held.lease.id, driver.engine().find(held.lease.id)->changed_as});
    CHECK(driver.run(drop).records.empty());
}

TEST_CASE("what a step waits for can be told") {
    WorkflowDriver driver;
    PlanText text;
    text.task("a").task("b", {"a"}).step(waiting("s", "go"));
    const auto id = driver.start(text.make());
    const Now now{WallTime{}, EngineTime{}};
    const auto waits = driver.engine().explain_workflow(now, id, 10);
    REQUIRE(waits.size() == 3);
    CHECK(waits[0].rule == "task");
    CHECK(waits[0].task.has_value());
    CHECK(waits[1].rule == "signal");
    CHECK(waits[2].step == "b");
    CHECK(waits[2].rule == "depends_on");
    CHECK(waits[2].text == "it waits for a");
}

TEST_CASE("a result that was deleted fails the step that needs it, by name") {
    WorkflowDriver driver;
    const auto id =
        driver.start(PlanText{}.task("a").task("b").task("c", {"a", "b"}, R"("${a}")").make());
    const auto held = driver.held("a");
    driver.complete("a", "1");
    driver.view();
    // Nobody but a damaged store does this: the rules do not let it go.
    driver.lose(held.lease.id);
    driver.complete("b", "1");
    CHECK(driver.state(id) == WorkflowState::failed);
    CHECK(driver.whole(id).steps[2].error->code == "result_gone");
}
