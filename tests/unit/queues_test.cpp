// Which queues there are: those with rules, tasks or workers.
#include "catch.hpp"
#include "dispatcher_world.hpp"
#include "taskd/engine/engine.hpp"

using namespace taskd;
using namespace taskd::engine;
using namespace std::chrono_literals;

namespace {

using Names = std::vector<std::string>;

struct Stage {
    void run(const Command& command) {
        settle(engine.decide(now, command, random));
        while (engine.can_match())
            settle(engine.decide(now, Match{}, random));
    }
    TaskId submit(const std::string& type) {
        TaskSpec spec;
        spec.id = TaskId::make(now.wall, random);
        spec.type = type;
        spec.payload = Blob{"null"};
        run(Submit{{spec}});
        return spec.id;
    }
    // As if the view had all that has ended.
    void forget() { run(Forget{sequence}); }
    void settle(const Decision& decision) {
        for (const Record& record : decision.records)
            engine.apply(sequence = sequence.next(), record);
        for (const Note& note : decision.notes)
            engine.apply(note);
        engine.take_changed();
    }

    Engine engine{EngineSettings{.lease_duration = 30s, .ended_in_memory_max = 0}};
    Random random{1};
    Now now{WallTime{1'700'000'000s}, EngineTime{}};
    Sequence sequence;
};

}  // namespace

TEST_CASE("a queue that is nothing but a name goes with its last worker") {
    Stage stage;
    stage.run(WorkerUp{"w1", {"a", "b"}, 1, 1});
    stage.run(WorkerUp{"w2", {"b"}, 1, 1});
    CHECK(stage.engine.queue_types() == Names{"a", "b"});
    stage.run(WorkerUp{"w1", {"c"}, 1, 1});  // it asks for others
    CHECK(stage.engine.queue_types() == Names{"b", "c"});
    stage.run(WorkerGone{"w2"});
    stage.run(WorkerGone{"w1"});
    CHECK(stage.engine.queue_types().empty());
    CHECK_FALSE(stage.engine.can_match());
    stage.submit("a");
    CHECK_FALSE(stage.engine.can_match());
    stage.run(WorkerUp{"w1", {"a"}, 1, 1});
    CHECK(stage.engine.figures_of("a").running == 1);
}

TEST_CASE("a queue with rules stays, and one with tasks until they have left memory") {
    Stage stage;
    stage.run(ChangeQueue{.type = "ruled", .rules = {.concurrency = 1}});
    stage.run(ChangeQueue{.type = "usual", .what = ChangeQueue::What::pause});
    stage.run(ChangeQueue{.type = "usual", .what = ChangeQueue::What::resume});
    stage.run(WorkerUp{"w1", {"busy", "ruled", "usual"}, 1, 1});
    const TaskId id = stage.submit("busy");
    stage.run(WorkerGone{"w1"});
    CHECK(stage.engine.queue_types() == Names{"busy", "ruled", "usual"});
    CHECK(stage.engine.take_changed_queues().size() == 2);
    stage.run(Complete{{id, LeaseEpoch{1}}, Blob{"1"}});
    CHECK(stage.engine.queue_types() == Names{"busy", "ruled", "usual"});
    stage.forget();
    CHECK(stage.engine.queue_types() == Names{"ruled", "usual"});
    CHECK(stage.engine.totals().succeeded == 1);
    CHECK(stage.engine.faults().empty());
}

TEST_CASE("asking for ever new types leaves no queues behind") {
    test::DispatcherWorld world;
    for (int i = 0; i < 50; ++i)
        REQUIRE(world
                    .ask("POST", "/v1/leases",
                         R"({"types":["made-up-)" + std::to_string(i) + R"("],"worker":"w"})")
                    ->status == 200);
    CHECK(world.service->core().engine().queue_types().size() == 1);
    world.world.run_for(1h);  // it has fallen silent
    CHECK(world.ask("GET", "/v1/queues")->body == R"({"queues":[]})");
}
