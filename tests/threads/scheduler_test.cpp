// Jobs on several threads: each runs as often as it was submitted, thieves help, and nobody
// starves.
#include "taskd/lua/scheduler.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "catch.hpp"

using namespace taskd;
using namespace taskd::lua;
using namespace std::chrono_literals;

namespace {

class Count final : public Job {
  public:
    explicit Count(std::function<void()> does) : does_{std::move(does)} {}
    void run() override { does_(); }

  private:
    std::function<void()> does_;
};

// Waits until it was told so often.
class Gate {
  public:
    void tell() {
        const std::lock_guard lock{mutex_};
        ++told_;
        changed_.notify_all();
    }
    bool wait_for(std::uint64_t count) {
        std::unique_lock lock{mutex_};
        return changed_.wait_for(lock, 60s, [&] { return told_ >= count; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::uint64_t told_ = 0;
};

}  // namespace

TEST_CASE("each job runs once for each submit, from outside and from within") {
    Gate gate;
    Scheduler scheduler{4};
    constexpr std::uint64_t roots = 200;
    constexpr std::uint64_t children = 50;
    for (std::uint64_t root = 0; root < roots; ++root)
        scheduler.submit(std::make_shared<Count>([&] {
            for (std::uint64_t child = 0; child < children; ++child)
                scheduler.submit(std::make_shared<Count>([&] { gate.tell(); }));
            gate.tell();
        }));
    CHECK(gate.wait_for(roots * (children + 1)));
    CHECK(scheduler.counts().ran == roots * (children + 1));
}

TEST_CASE("what one thread piles up others take") {
    Gate gate;
    std::atomic<int> elsewhere = 0;
    Scheduler scheduler{3};
    scheduler.submit(std::make_shared<Count>([&] {
        const auto here = std::this_thread::get_id();
        for (int child = 0; child < 300; ++child)
            scheduler.submit(std::make_shared<Count>([&, here] {
                if (std::this_thread::get_id() != here) ++elsewhere;
                gate.tell();
            }));
        // Stays busy until the others have done it all: its own thread never gets to them.
        CHECK(gate.wait_for(300));
        gate.tell();
    }));
    CHECK(gate.wait_for(301));
    CHECK(elsewhere == 300);
    CHECK(scheduler.counts().stolen >= 2);
}

TEST_CASE("jobs that put themselves in again starve nobody") {
    Gate gate;
    std::atomic<bool> over = false;
    Scheduler scheduler{1};
    std::shared_ptr<Job> again;
    again = std::make_shared<Count>([&] {
        if (!over) scheduler.submit(again);
    });
    scheduler.submit(again);
    for (int other = 0; other < 100; ++other)
        scheduler.submit(std::make_shared<Count>([&] { gate.tell(); }));
    CHECK(gate.wait_for(100));
    over = true;
}

TEST_CASE("a job that waits in its thread's own queue is not starved by two that wake each other") {
    Gate gate;
    bool ran = false;
    int turns = 0;
    Scheduler scheduler{1};
    std::shared_ptr<Job> first;
    std::shared_ptr<Job> second;
    const auto wake = [&](std::shared_ptr<Job>& other) {
        if (ran || ++turns == 10'000) return gate.tell();
        scheduler.submit(other);
    };
    first = std::make_shared<Count>([&] { wake(second); });
    second = std::make_shared<Count>([&] { wake(first); });
    scheduler.submit(std::make_shared<Count>([&] {
        scheduler.submit(std::make_shared<Count>([&] { ran = true; }));
        scheduler.submit(first);
    }));
    CHECK(gate.wait_for(1));
    CHECK(ran);
    CHECK(turns < 100);
}

TEST_CASE("a scheduler without work sleeps, and ends with work left") {
    Gate gate;
    {
        Scheduler scheduler{2};
        for (int round = 0; round < 200; ++round) {
            scheduler.submit(std::make_shared<Count>([&] { gate.tell(); }));
            REQUIRE(gate.wait_for(static_cast<std::uint64_t>(round) + 1));
        }
        for (int tries = 0; scheduler.counts().slept < 2 && tries < 6'000; ++tries)
            std::this_thread::sleep_for(10ms);
        CHECK(scheduler.counts().slept >= 2);
        for (int left = 0; left < 1'000; ++left)
            scheduler.submit_last(std::make_shared<Count>([] {}));
    }
    SUCCEED("it ended");
}

TEST_CASE("alarms ring in their order, once, unless they are cleared") {
    Gate gate;
    std::mutex mutex;
    std::vector<int> rung;
    const auto ring = [&](int number) {
        return [&, number] {
            const std::lock_guard lock{mutex};
            rung.push_back(number);
            gate.tell();
        };
    };
    Alarms alarms;
    alarms.set(450ms, ring(3));
    alarms.set(150ms, ring(1));
    const auto cleared = alarms.set(300ms, ring(2));
    CHECK(alarms.clear(cleared));
    CHECK_FALSE(alarms.clear(cleared));
    alarms.set(600ms, ring(4));
    CHECK(gate.wait_for(3));
    const std::lock_guard lock{mutex};
    CHECK(rung == std::vector{1, 3, 4});
    CHECK(alarms.count() == 0);
    alarms.set(1h, ring(5));
}
