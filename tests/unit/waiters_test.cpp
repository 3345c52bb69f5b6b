// Who waits for tasks: answered once, in time, and never more than the bound.
#include "taskd/service/waiters.hpp"
#include "catch.hpp"
#include "sim_world.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

struct World {
    // What `done` is called with is the waiter's name.
    std::function<void()> note(int name) {
        return [this, name] { told.push_back(name); };
    }
    TaskId id(std::uint64_t n) {
        Random random{n};
        return TaskId::make(WallTime{1h}, random);
    }

    SimWorld world{1};
    SimHost& host = world.host("dispatcher");
    service::Waiters waiters{host.clock(), host.timers()};
    std::vector<int> told;
};

}  // namespace

TEST_CASE("a waiter is told once: at the end of its tasks or when its time is up") {
    World world;
    REQUIRE(world.waiters.wait({world.id(1)}, 1, 5s, world.note(1)));
    REQUIRE(world.waiters.wait({world.id(1), world.id(2)}, 2, 5s, world.note(2)));
    REQUIRE(world.waiters.wait({world.id(1), world.id(3)}, 1, 5s, world.note(3)));
    REQUIRE(world.waiters.wait({world.id(4)}, 1, 2s, world.note(4)));
    world.waiters.ended(world.id(1));
    CHECK(world.told == std::vector{1, 3});
    world.waiters.ended(world.id(1));  // nobody is left to be told
    world.waiters.ended(world.id(3));
    CHECK(world.told == std::vector{1, 3});
    world.world.run_for(2s);
    CHECK(world.told == std::vector{1, 3, 4});
    world.world.run_for(3s);
    CHECK(world.told == std::vector{1, 3, 4, 2});
    world.waiters.ended(world.id(2));
    CHECK(world.told.size() == 4);
}

TEST_CASE("no more wait than the bound") {
    World world;
    for (std::size_t i = 0; i < limits::waiters_max; ++i)
        REQUIRE(world.waiters.wait({world.id(i % 100)}, 1, 5s, world.note(0)));
    CHECK(world.waiters.full());
    const auto refused = world.waiters.wait({world.id(1)}, 1, 5s, world.note(1));
    CHECK(refused.error().code == ErrorCode::too_many_waiters);
    world.waiters.ended(world.id(7));
    CHECK(world.told.size() == limits::waiters_max / 100);
    CHECK(world.waiters.wait({world.id(1)}, 1, 5s, world.note(1)).has_value());
}

TEST_CASE("at the bound the time of those who have left is up") {
    World world;
    const auto gone = std::make_shared<bool>(false);
    for (std::size_t i = 0; i < limits::waiters_max; ++i)
        REQUIRE(
            world.waiters.wait({world.id(i % 100)}, 1, 5s, world.note(0), i < 10 ? gone : nullptr));
    CHECK(world.waiters.full());
    *gone = true;
    CHECK(world.waiters.full());  // all were looked at just now
    world.world.run_for(1s);
    CHECK_FALSE(world.waiters.full());
    CHECK(world.told.size() == 10);
    CHECK(world.waiters.wait({world.id(1)}, 1, 5s, world.note(1)).has_value());
}

TEST_CASE("once all are let go nobody waits again") {
    World world;
    REQUIRE(world.waiters.wait({world.id(1)}, 1, 5s, world.note(1)));
    REQUIRE(world.waiters.wait({world.id(2)}, 1, 5s, world.note(2)));
    world.waiters.let_go();
    CHECK(world.told.size() == 2);
    REQUIRE(world.waiters.wait({world.id(3)}, 1, 5s, world.note(3)));
    CHECK(world.told.back() == 3);
}

TEST_CASE("whoever is told may ask again at once") {
    World world;
    REQUIRE(world.waiters.wait({world.id(1)}, 1, 5s, [&] {
        world.note(1)();
        REQUIRE(world.waiters.wait({world.id(2)}, 1, 5s, world.note(2)));
        world.waiters.ended(world.id(2));
    }));
    world.waiters.ended(world.id(1));
    CHECK(world.told == std::vector{1, 2});
}
