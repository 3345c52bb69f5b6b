// What a submit asks the view before it takes a task for new.
#include <algorithm>

#include "catch.hpp"
#include "taskd/engine/engine.hpp"

using namespace taskd;
using namespace taskd::engine;
using namespace std::chrono_literals;

namespace {

const Now now{WallTime{24h * 365 * 50}, EngineTime{1h}};

TaskSpec make_task(Random& random, WallTime at) {
    TaskSpec spec;
    spec.id = TaskId::make(at, random);
    spec.type = "email";
    spec.payload = Blob{"1"};
    spec.idempotency_key = "order-7";
    return spec;
}

bool asks_for(const Decision& decision, const TaskId& id) {
    return std::ranges::find(decision.fetch, id) != decision.fetch.end();
}

}  // namespace

TEST_CASE("an id that may be forgotten is asked for together with its key") {
    Random random{1};
    const TaskSpec old = make_task(random, now.wall - 2h);
    const TaskSpec holder = make_task(random, now.wall - 1h);
    Engine engine{EngineSettings{}};

    SECTION("whose holder is forgotten too") {
        engine.restore(KeyUse{"order-7", holder.id, now.wall + 1h});
        CHECK(engine.find(holder.id) == nullptr);
    }
    SECTION("whose holder is there with another content") {
        Task task;
        task.spec = holder;
        task.spec.payload = Blob{"2"};
        task.submitted_at = now.wall - 1h;
        task.queued_as = task.changed_as = Sequence{1};
        engine.restore(KeyUse{"order-7", holder.id, now.wall + 1h});
        engine.restore(std::make_shared<Task>(task));
        CHECK(engine.find(holder.id) != nullptr);
    }
    engine.restore(Totals{}, holder.id);

    // It was done long ago, and its key is another one's by now: both are found out at once, and
    // nothing is refused or taken before.
    const Decision decision =
        engine.decide(now, Submit{.tasks = {old}, .known = {}, .known_keys = {}}, random);
    CHECK(asks_for(decision, old.id));
    CHECK_FALSE(decision.refused);
    CHECK(decision.records.empty());

    Task done;
    done.spec = old;
    done.state = TaskState::succeeded;
    const Decision again = engine.decide(
        now, Submit{.tasks = {old}, .fetched = true, .known = {done}, .known_keys = {}}, random);
    CHECK(again.records.empty());
    REQUIRE(again.known.size() == 1);
    CHECK(again.known.front().spec.id == old.id);
}
