// Counts of an engine against the rows it came up from: the same when all is well, and named when
// one of the two has something the other has not.
#include "taskd/service/recount.hpp"
#include "catch.hpp"
#include "random_model.hpp"
#include "taskd/service/rebuild.hpp"
#include "taskd/sim/memory_view.hpp"

using namespace taskd;
using namespace taskd::support;

namespace {

struct RecountWorld {
    Task put(std::string type, TaskState state, bool leased = false) {
        Task task = random_task(random);
        task.spec.id = TaskId::make(WallTime{std::chrono::milliseconds{++time}}, random);
        task.spec.type = std::move(type);
        task.spec.idempotency_key.clear();
        task.spec.group.reset();
        task.state = state;
        task.queued_as = Sequence{static_cast<std::uint64_t>(time)};
        task.lease.reset();
        if (leased) task.lease = Lease{task.epoch, "w", {}, false, {}};
        if (is_terminal(state)) ++mark.totals.kept;
        store({task});
        return task;
    }
    void store(std::vector<Task> tasks, std::vector<TaskId> gone = {}) {
        mark.sequence = mark.sequence.next();
        port::ViewChange change{mark, sim::as_rows(std::move(tasks))};
        change.gone_tasks = std::move(gone);
        REQUIRE(view.store(change));
    }
    void come_up() {
        const auto rebuilt = service::rebuild(
            engine, view, [](Sequence, const service::TakeBatch&) { return Result<void>{}; });
        REQUIRE(rebuilt.has_value());
    }
    service::Recount count() { return service::recount(engine, view).value(); }

    sim::MemoryTable table;
    sim::MemoryView view{table};
    engine::Engine engine{{}};
    port::ViewMark mark;
    Random random{4};
    std::int64_t time = 1'000'000;
};

using Faults = std::vector<std::string>;

}  // namespace

TEST_CASE("an engine that came up from its rows counts as they do") {
    RecountWorld world;
    for (int i = 0; i < 3; ++i)
        world.put("a", TaskState::queued);
    world.put("a", TaskState::scheduled);
    world.put("b", TaskState::running, true);
    world.put("b", TaskState::cancelled, true);  // revoked, and not let go yet
    world.put("c", TaskState::succeeded);
    for (int i = 0; i < 1'500; ++i)
        world.put("d", TaskState::dead);
    world.come_up();
    const auto found = world.count();
    CHECK(found.faults == Faults{});
    CHECK(found.live == 5);
    CHECK(found.ended == 1'502);
    REQUIRE(found.queues.size() == 2);
    CHECK(found.queues[0].type == "a");
    CHECK(found.queues[0].queued == 3);
    CHECK(found.queues[0].scheduled == 1);
    CHECK(found.queues[1].running == 1);
    CHECK(found.queues[1].leases == 2);
}

TEST_CASE("what differs between counts and rows is named") {
    RecountWorld world;
    const Task waits = world.put("a", TaskState::queued);
    const Task held = world.put("b", TaskState::running, true);
    const Task ended = world.put("b", TaskState::succeeded);
    world.come_up();
    world.store({}, {waits.spec.id});
    CHECK(world.count().faults == Faults{"queued tasks of queue a: 1 are counted, there are 0"});
    world.store({waits}, {ended.spec.id});
    CHECK(world.count().faults == Faults{"ended tasks: 1 are counted, there are 0"});
    Task freed = held;
    freed.lease.reset();
    world.store({freed, ended});
    CHECK(world.count().faults == Faults{"leases of queue b: 1 are counted, there are 0"});
    world.put("never", TaskState::scheduled);
    world.store({held});
    CHECK(world.count().faults ==
          Faults{"scheduled tasks of queue never: 0 are counted, there are 1"});
}
