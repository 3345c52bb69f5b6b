// Single entries are watched over the bus.
#include "taskd/runtime/finder.hpp"

#include "catch.hpp"
#include "manual_clock.hpp"
#include "memory_history.hpp"
#include "thread_loop.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;
using runtime::EventBus;

namespace {

Entry entry(const std::string& id, const std::string& text) {
    Entry made{id, "note", {}};
    made.body.kind = ValueKind::map;
    made.body.fields.push_back({"text", Value::of_text(text)});
    return made;
}

}  // namespace

TEST_CASE("whoever watches an entry is told of its changes, and of no other's", "[registry]") {
    support::ManualClock clock;
    ThreadLoop loop;
    EventBus bus{clock};
    MemoryHistory history;
    auto registry = std::move(*runtime::Registry::open(history, clock, bus));
    runtime::Finder finder{*registry, bus};
    std::string diary;
    auto watched = finder.watch(
        "a:b", [&](std::function<void()> job) { loop.post(std::move(job)); },
        [&](const Entry* now) {
            diary += (now == nullptr ? "gone" : now->find("text")->text) + ";";
        });
    REQUIRE(watched);
    const auto apply = [&](const std::vector<Entry>& entries, const std::string& until) {
        REQUIRE(registry->apply(entries, ""));
        REQUIRE(loop.run_until([&] { return diary == until; }, 20s));
    };
    apply({entry("a:b", "1")}, "1;");
    apply({entry("a:b", "2"), entry("a:c", "x")}, "1;2;");
    REQUIRE(registry->apply({entry("a:b", "2"), entry("a:c", "y")}, ""));
    apply({}, "1;2;gone;");
    CHECK(finder.find("*")->empty());
    apply({entry("a:b", "3")}, "1;2;gone;3;");
    CHECK(finder.entry("a:b")->find("text")->text == "3");
    CHECK(finder.find("^a:")->size() == 1);
    watched->end();
    REQUIRE(registry->apply({}, ""));
    bus.publish("registry.entry.updated", {{"id", "a:b"}});
    bool ended = false;
    const auto last = bus.subscribe(
        "end", [&](std::function<void()> job) { loop.post(std::move(job)); },
        [&](const auto&) { ended = true; });
    bus.publish("end", {});
    REQUIRE(loop.run_until([&] { return ended; }, 20s));
    CHECK(diary == "1;2;gone;3;");
}

TEST_CASE("a bus says whether anybody listens to a topic, and when that may be otherwise",
          "[bus]") {
    support::ManualClock clock;
    ThreadLoop loop;
    EventBus bus{clock};
    CHECK_FALSE(bus.is_wanted("task.dead"));
    const std::uint64_t before = bus.listener_changes();
    auto made = bus.subscribe(
        "task.*", [&](std::function<void()> job) { loop.post(std::move(job)); },
        [](const auto&) {});
    REQUIRE(made);
    CHECK(bus.is_wanted("task.dead"));
    CHECK_FALSE(bus.is_wanted("queue.changed"));
    CHECK(bus.listener_changes() != before);
    const std::uint64_t during = bus.listener_changes();
    made->end();
    CHECK_FALSE(bus.is_wanted("task.dead"));
    CHECK(bus.listener_changes() != during);
}
