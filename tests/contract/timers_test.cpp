// What every Timers, Background and Clock promises.
#include <atomic>
#include <memory>
#include <vector>

#include "catch.hpp"
#include "contract_worlds.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

TEMPLATE_TEST_CASE("timers fire in order of their instants and never early", "[timers]", RealWorld,
                   TwinWorld) {
    TestType world;
    std::vector<int> fired;
    const auto start = world.clock().steady();
    auto late = world.timers().make();
    auto soon = world.timers().make();
    auto past = world.timers().make();
    late->set(start + 30ms, [&] {
        CHECK(world.clock().steady() >= start + 30ms);
        fired.push_back(3);
    });
    soon->set(start + 10ms, [&] {
        CHECK(world.clock().steady() >= start + 10ms);
        fired.push_back(2);
    });
    past->set(start - 1s, [&] { fired.push_back(1); });
    CHECK(fired.empty());
    REQUIRE(world.run_until([&] { return fired.size() == 3; }));
    CHECK(fired == std::vector{1, 2, 3});
}

TEMPLATE_TEST_CASE("a timer set again fires once, at the newer instant", "[timers]", RealWorld,
                   TwinWorld) {
    TestType world;
    std::vector<int> fired;
    auto timer = world.timers().make();
    auto end = world.timers().make();
    const auto start = world.clock().steady();
    timer->set(start + 1ms, [&] { fired.push_back(1); });
    timer->set(start + 5ms, [&] { fired.push_back(2); });
    end->set(start + 20ms, [&] { fired.push_back(9); });
    REQUIRE(world.run_until([&] { return !fired.empty() && fired.back() == 9; }));
    CHECK(fired == std::vector{2, 9});
}

TEMPLATE_TEST_CASE("a cleared or destroyed timer never fires, even when it was due", "[timers]",
                   RealWorld, TwinWorld) {
    TestType world;
    bool fired = false;
    bool end = false;
    const auto start = world.clock().steady();
    auto killer = world.timers().make();
    auto cleared = world.timers().make();
    auto destroyed = world.timers().make();
    // All three are due in the same turn; the first to run takes the others away.
    killer->set(start - 3ms, [&] {
        cleared->clear();
        destroyed.reset();
    });
    cleared->set(start - 2ms, [&] { fired = true; });
    destroyed->set(start - 1ms, [&] { fired = true; });
    auto last = world.timers().make();
    last->set(start + 10ms, [&] { end = true; });
    REQUIRE(world.run_until([&] { return end; }));
    CHECK_FALSE(fired);
}

TEMPLATE_TEST_CASE("a timer may set, clear or destroy itself in its callback", "[timers]",
                   RealWorld, TwinWorld) {
    TestType world;
    int fired = 0;
    auto timer = world.timers().make();
    const auto start = world.clock().steady();
    std::function<void()> again = [&] {
        if (++fired == 3) return timer.reset();
        timer->clear();
        timer->set(start + fired * 1ms, again);
    };
    timer->set(start, again);
    REQUIRE(world.run_until([&] { return fired == 3; }));
    CHECK(timer == nullptr);
}

TEMPLATE_TEST_CASE("posted jobs run in order, after the turn that posted them", "[timers]",
                   RealWorld, TwinWorld) {
    TestType world;
    std::vector<int> ran;
    world.timers().post([&] {
        world.timers().post([&] { ran.push_back(3); });
        ran.push_back(1);
    });
    world.timers().post([&] { ran.push_back(2); });
    CHECK(ran.empty());
    REQUIRE(world.run_until([&] { return ran.size() == 3; }));
    CHECK(ran == std::vector{1, 2, 3});
}

TEMPLATE_TEST_CASE("a lane runs jobs one after the other and tells in order", "[background]",
                   RealWorld, TwinWorld) {
    TestType world;
    auto lane = world.make_lane();
    std::atomic<int> running = 0;
    std::atomic<int> together = 0;
    std::vector<int> jobs;
    std::vector<int> thens;
    for (int i = 0; i < 100; ++i)
        lane->run(
            [&, i] {
                if (++running > 1) ++together;
                jobs.push_back(i);
                --running;
            },
            [&, i] { thens.push_back(i); });
    CHECK(thens.empty());
    lane->run([] {}, nullptr);
    REQUIRE(world.run_until([&] { return thens.size() == 100; }));
    std::vector<int> expected(100);
    for (int i = 0; i < 100; ++i)
        expected[static_cast<std::size_t>(i)] = i;
    CHECK(jobs == expected);
    CHECK(thens == expected);
    CHECK(together == 0);
}

TEMPLATE_TEST_CASE("a lane that is destroyed finishes its jobs and tells nobody", "[background]",
                   RealWorld, TwinWorld) {
    TestType world;
    auto lane = world.make_lane();
    std::atomic<int> jobs = 0;
    int thens = 0;
    for (int i = 0; i < 10; ++i)
        lane->run([&] { ++jobs; }, [&] { ++thens; });
    lane.reset();
    CHECK(jobs == 10);
    bool end = false;
    auto timer = world.timers().make();
    timer->set(world.clock().steady() + 10ms, [&] { end = true; });
    REQUIRE(world.run_until([&] { return end; }));
    CHECK(thens == 0);
}

TEMPLATE_TEST_CASE("a lane may be destroyed by the last of its own answers", "[background]",
                   RealWorld, TwinWorld) {
    TestType world;
    auto lane = world.make_lane();
    int thens = 0;
    for (int i = 0; i < 5; ++i)
        lane->run([] {},
                  [&] {
                      if (++thens == 3) lane.reset();
                  });
    bool end = false;
    REQUIRE(world.run_until([&] { return lane == nullptr; }));
    world.timers().post([&] { end = true; });
    REQUIRE(world.run_until([&] { return end; }));
    CHECK(thens == 3);
}

TEMPLATE_TEST_CASE("clocks: steady never goes back, wall is a date", "[clock]", RealWorld,
                   TwinWorld) {
    TestType world;
    auto before = world.clock().steady();
    for (int i = 0; i < 1000; ++i) {
        const auto now = world.clock().steady();
        CHECK(now >= before);
        before = now;
    }
    CHECK(to_rfc3339(world.clock().wall()) > "2025-01-01");
    CHECK(to_rfc3339(world.clock().wall()) < "2100-01-01");
}
