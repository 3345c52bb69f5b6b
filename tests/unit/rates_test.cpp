// Rates over a restart.
#include "catch.hpp"
#include "taskd/engine/engine.hpp"

using namespace taskd;
using namespace taskd::engine;
using namespace std::chrono_literals;

TEST_CASE("a rate that was lifted before a restart holds nothing after it") {
    Random random{1};
    const Now now{WallTime{24h * 365 * 50}, EngineTime{1h}};
    Engine engine{EngineSettings{}};
    QueueRules slow{.type = "email"};
    slow.rate.count = slow.key_rate.count = 1;
    engine.restore(slow);

    Task task;
    task.spec.id = TaskId::make(now.wall, random);
    task.spec.type = "email";
    task.spec.key = "acme";
    task.submitted_at = now.wall;
    task.queued_as = task.changed_as = Sequence{1};
    engine.restore(std::make_shared<Task>(task));

    // As a journal has it: a start under the rate, its end, another start.
    engine.apply(Sequence{2}, EngineResumed{now.engine + 30s});
    CHECK(engine.explain(now, task).rule == "no_worker");
    engine.apply(WorkerNoted{"w1", {"email"}, 1, credit_unlimited});
    CHECK(engine.explain(now, task).rule == "queue_rate");
    engine.apply(Sequence{3}, QueueChanged{QueueRules{.type = "email"}});
    engine.apply(Sequence{4}, EngineResumed{now.engine + 30s});
    CHECK(engine.can_match());
    CHECK(engine.explain(now, task).rule != "queue_rate");
    CHECK(engine.explain(now, task).rule != "key_rate");
}
