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

namespace {

struct Array {
    Random random{1};
    Engine engine{EngineSettings{}};
    std::vector<TaskSpec> tasks;

    TaskSpec& add(std::string key = {}) {
        tasks.push_back(make_task(random, now.wall));
        tasks.back().idempotency_key = std::move(key);
        return tasks.back();
    }
    Decision decide() {
        Decision decision =
            engine.decide(now, Submit{.tasks = tasks, .known = {}, .known_keys = {}}, random);
        if (!decision.refused)
            for (const Record& record : decision.records)
                engine.apply(Sequence{++applied}, record);
        return decision;
    }
    std::uint64_t applied = 0;
};

using Existing = std::vector<std::pair<std::size_t, TaskId>>;

}  // namespace

TEST_CASE("a task that stands twice in one request is one task") {
    Array array;
    array.add();
    array.tasks.push_back(array.add());
    array.tasks.push_back(array.tasks[0]);
    const Decision decision = array.decide();
    CHECK_FALSE(decision.refused);
    CHECK(decision.records.size() == 2);
    CHECK(decision.existing.empty());
    CHECK(array.decide().records.empty());  // and the whole request said again is the same
}

TEST_CASE("an id that stands twice in one request with another content is a conflict") {
    Array array;
    array.add();
    array.tasks.push_back(array.add());
    array.tasks.back().payload = Blob{"2"};
    const Decision decision = array.decide();
    REQUIRE(decision.refused);
    CHECK(decision.refused->code == ErrorCode::id_conflict);
    CHECK(decision.index == 2);
}

TEST_CASE("a key that stands twice in one request is one task, or a conflict") {
    Array array;
    const TaskId first = array.add("order-7").id;
    array.add("order-8");
    array.add("order-7");
    SECTION("with the same content") {
        const Decision decision = array.decide();
        CHECK_FALSE(decision.refused);
        CHECK(decision.records.size() == 2);
        CHECK(decision.existing == Existing{{2, first}});
    }
    SECTION("with another content") {
        array.tasks.back().priority = 9;
        const Decision decision = array.decide();
        REQUIRE(decision.refused);
        CHECK(decision.refused->code == ErrorCode::key_conflict);
        CHECK(decision.index == 2);
    }
    SECTION("whose task is there already") {
        array.decide();
        array.tasks.erase(array.tasks.begin());
        array.tasks.push_back(array.add("order-7"));  // under an id that stands twice as well
        const Decision decision = array.decide();
        CHECK_FALSE(decision.refused);
        CHECK(decision.records.empty());
        CHECK(decision.existing == Existing{{1, first}, {2, first}, {3, first}});
    }
}

TEST_CASE("a key that stands twice is looked at once it is known what was done before") {
    Array array;
    Task done;
    done.spec = array.add("order-7");
    done.state = TaskState::succeeded;
    array.add("order-7").payload = Blob{"2"};
    array.engine.restore(Totals{}, done.spec.id);
    const Decision asks = array.decide();
    CHECK(asks_for(asks, done.spec.id));
    CHECK_FALSE(asks.refused);
    const Decision again = array.engine.decide(
        now, Submit{.tasks = array.tasks, .fetched = true, .known = {done}, .known_keys = {}},
        array.random);
    CHECK_FALSE(again.refused);
    CHECK(again.records.size() == 1);
}
