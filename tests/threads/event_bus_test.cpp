// The event bus with real threads: one order for all, mailboxes of one's own, ends with the owner.
#include "taskd/runtime/event_bus.hpp"

#include <atomic>
#include <latch>
#include <mutex>
#include <thread>

#include "catch.hpp"
#include "manual_clock.hpp"
#include "memory_log.hpp"
#include "taskd/runtime/bus_log.hpp"
#include "thread_loop.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;
using runtime::BusCounts;
using runtime::EventBus;

namespace {

constexpr Duration patience = 20s;

struct World {
    support::ManualClock clock;
    ThreadLoop loop;
    EventBus bus{clock};

    EventBus::Post here() {
        return [this](std::function<void()> job) { loop.post(std::move(job)); };
    }
    EventBus::Subscription listen(std::string_view pattern, EventBus::Handler handler,
                                  runtime::SubscriberSettings settings = {}) {
        auto made = bus.subscribe(pattern, here(), std::move(handler), settings);
        REQUIRE(made);
        return std::move(*made);
    }
    bool wait(const std::function<bool()>& done) { return loop.run_until(done, patience); }
};

std::string number_of(const bus::Delivery& delivery) {
    return std::string{delivery.event->field("number")};
}

}  // namespace

TEST_CASE("each subscriber is told what its pattern takes", "[bus]") {
    World world;
    std::string all;
    std::string exact;
    const auto note = [](std::string& where) {
        return [&where](const bus::Delivery& each) { where += each.event->topic + " "; };
    };
    const auto first = world.listen("**", note(all));
    const auto second = world.listen("a.b", note(exact));
    for (const char* topic : {"a.b", "a.c", "a.b"})
        world.bus.publish(topic, {{"number", "1"}});
    world.bus.publish("end", {});
    REQUIRE(world.wait([&] { return all.ends_with("end "); }));
    CHECK(all == "a.b a.c a.b end ");
    REQUIRE(world.wait([&] { return exact == "a.b a.b "; }));
    const BusCounts counts = world.bus.counts();
    CHECK(counts.published == 4);
    CHECK(counts.delivered == 6);
    CHECK(counts.lost == 0);
    CHECK(counts.subscribers == 2);
}

TEST_CASE("an event keeps its fields and its time, and goes to those who came before", "[bus]") {
    World world;
    world.bus.publish("a", {{"number", "0"}});
    std::vector<bus::Event> seen;
    const auto subscription =
        world.listen("a", [&](const bus::Delivery& each) { seen.push_back(*each.event); });
    world.bus.publish("a", {{"number", "1"}, {"who", "me"}});
    REQUIRE(world.wait([&] { return !seen.empty(); }));
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].field("number") == "1");
    CHECK(seen[0].field("who") == "me");
    CHECK(seen[0].field("nothing").empty());
    CHECK(seen[0].at == world.clock.wall());
    CHECK(world.bus.counts().published == 2);
}

TEST_CASE("all see the events of all publishers in one order", "[bus][threads]") {
    World world;
    std::string first;
    std::string second;
    std::size_t count = 0;
    const runtime::SubscriberSettings roomy{.capacity = 10'000};
    const auto one = world.listen(
        "*", [&](const bus::Delivery& each) { first += number_of(each) + " "; }, roomy);
    const auto two = world.listen(
        "(a|b)",
        [&](const bus::Delivery& each) {
            second += number_of(each) + " ";
            ++count;
        },
        roomy);
    {
        std::vector<std::jthread> publishers;
        for (const char* topic : {"a", "b"})
            publishers.emplace_back([&world, topic] {
                for (int i = 0; i < 1'000; ++i)
                    world.bus.publish(topic, {{"number", topic + std::to_string(i)}});
            });
    }
    REQUIRE(world.wait([&] { return count == 2'000 && first.size() == second.size(); }));
    CHECK(first == second);
    for (const char* last : {"a999 ", "b999 "})
        CHECK(first.find(last) != std::string::npos);
}

TEST_CASE("one that is slow loses its own events, and nobody waits for it", "[bus][threads]") {
    World world;
    std::latch gate{1};
    std::atomic<std::uint64_t> seen = 0;
    std::atomic<std::uint64_t> missed = 0;
    ThreadLoop other;
    std::jthread thread;
    const auto slow = world.bus.subscribe(
        "a", [&](std::function<void()> job) { other.post(std::move(job)); },
        [&](const bus::Delivery& each) {
            gate.wait();
            missed += each.lost_before;
            ++seen;
        },
        {.capacity = 4});
    REQUIRE(slow);
    std::size_t quick = 0;
    const auto fast = world.listen("a", [&](const bus::Delivery&) { ++quick; });
    thread = std::jthread{[&] { other.run(); }};
    constexpr std::size_t published = 500;
    for (std::size_t i = 0; i < published; ++i)
        world.bus.publish("a", {});
    CHECK(world.wait([&] { return quick == published; }));
    CHECK(seen == 0);
    CHECK(slow->lost() > 0);
    gate.count_down();
    while (seen + missed < published)
        std::this_thread::yield();
    CHECK(world.bus.counts().lost == missed);
    CHECK(seen + missed == published);
    other.stop();
}

TEST_CASE("a subscription ends with its owner", "[bus]") {
    World world;
    std::size_t gone = 0;
    std::size_t kept = 0;
    auto owner = std::make_unique<EventBus::Subscription>(
        world.listen("a", [&](const bus::Delivery&) { ++gone; }));
    const auto other = world.listen("a", [&](const bus::Delivery&) { ++kept; });
    world.bus.publish("a", {});
    REQUIRE(world.wait([&] { return gone == 1 && kept == 1; }));
    world.bus.publish("a", {});
    owner.reset();  // what was published before is not told any more
    world.bus.publish("a", {});
    REQUIRE(world.wait([&] { return kept == 3; }));
    CHECK(gone == 1);
    CHECK(world.bus.counts().subscribers == 1);
}

TEST_CASE("a subscription may end within its own handler", "[bus]") {
    World world;
    std::size_t seen = 0;
    EventBus::Subscription once;
    once = world.listen("a", [&](const bus::Delivery&) {
        ++seen;
        once.end();
    });
    std::size_t all = 0;
    const auto other = world.listen("a", [&](const bus::Delivery&) { ++all; });
    for (int i = 0; i < 3; ++i)
        world.bus.publish("a", {});
    REQUIRE(world.wait([&] { return all == 3; }));
    CHECK(seen == 1);
}

TEST_CASE("an end on another thread waits for the handler that runs", "[bus][threads]") {
    World world;
    ThreadLoop other;
    std::latch begun{1};
    std::latch gate{1};
    std::atomic<bool> over = false;
    auto subscription = world.bus.subscribe(
        "a", [&](std::function<void()> job) { other.post(std::move(job)); },
        [&](const bus::Delivery&) {
            begun.count_down();
            gate.wait();
            over = true;
        });
    REQUIRE(subscription);
    std::jthread thread{[&] { other.run(); }};
    world.bus.publish("a", {});
    begun.wait();
    std::jthread opener{[&] { gate.count_down(); }};
    subscription->end();
    CHECK(over);
    other.stop();
}

TEST_CASE("a subscription may outlive its bus", "[bus]") {
    World world;
    std::optional<EventBus> bus{std::in_place, world.clock};
    auto made = bus->subscribe("a", world.here(), [](const bus::Delivery&) {});
    REQUIRE(made);
    bus.reset();
    made->end();
    CHECK(made->lost() == 0);
}

TEST_CASE("who publishes far ahead of delivery loses events and is never held up", "[bus]") {
    World world;
    std::latch held{1};
    std::latch gate{1};
    std::atomic<bool> first = true;
    const auto subscription = world.bus.subscribe(
        "a",
        [&](const std::function<void()>&) {
            if (!first.exchange(false)) return;
            held.count_down();
            gate.wait();
        },
        [](const bus::Delivery&) {});
    REQUIRE(subscription);
    world.bus.publish("a", {});
    held.wait();  // the bus's thread stands still
    for (std::size_t i = 0; i < limits::bus_inbox_max + 10; ++i)
        world.bus.publish("a", {});
    CHECK(world.bus.counts().lost_at_door == 10);
    gate.count_down();
}

TEST_CASE("a bad pattern and too many subscribers are refused by name", "[bus]") {
    World world;
    const auto bad = world.bus.subscribe("a..b", world.here(), [](const bus::Delivery&) {});
    REQUIRE_FALSE(bad);
    CHECK(bad.error().code == ErrorCode::invalid_field);
    std::vector<EventBus::Subscription> many;
    for (std::size_t i = 0; i < limits::bus_subscribers_max; ++i) {
        auto made = world.bus.subscribe("a", world.here(), [](const bus::Delivery&) {});
        REQUIRE(made);
        many.push_back(std::move(*made));
    }
    const auto more = world.bus.subscribe("a", world.here(), [](const bus::Delivery&) {});
    REQUIRE_FALSE(more);
    CHECK(more.error().code == ErrorCode::too_many_subscribers);
    many.pop_back();
    CHECK(world.bus.subscribe("a", world.here(), [](const bus::Delivery&) {}));
}

TEST_CASE("log records are told as events, and what a listener logs is not", "[bus][log]") {
    World world;
    MemoryLog inner{port::LogLevel::info};
    runtime::BusLog log{inner, world.bus};
    std::vector<bus::Event> seen;
    const auto subscription = world.listen("log.(info|warn|debug)", [&](const bus::Delivery& each) {
        seen.push_back(*each.event);
        log.warn("heard", {{"what", each.event->topic}});
    });
    log.info("hello", {{"to", "you"}});
    log.debug("not kept");
    log.error("not asked for");
    log.warn(std::string(limits::bus_log_text_max + 1, 'x'));
    REQUIRE(world.wait([&] { return seen.size() == 2; }));
    CHECK(seen[0].topic == "log.info");
    CHECK(seen[0].fields == std::vector<bus::EventField>{{"msg", "hello"}, {"to", "you"}});
    CHECK(seen[1].topic == "log.warn");
    CHECK(seen[1].field("msg").size() == limits::bus_log_text_max);
    CHECK(inner.entries.size() == 5);
    CHECK(world.bus.counts().published == 3);
}
