// The pizza services' outbox on a real store: what it does while the broker, or another process
// with the same store, goes and comes.
#include <algorithm>
#include <string>
#include <vector>

#include "catch.hpp"
#include "manual_clock.hpp"
#include "memory_log.hpp"
#include "memory_metrics.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/lane.hpp"
#include "taskd/io/loop.hpp"
#include "taskd/io/sqlite_store.hpp"
#include "taskd/io/work_dir.hpp"
#include "taskd/pizza/outbox.hpp"

using namespace taskd;
using namespace taskd::pizza;
using namespace std::chrono_literals;

namespace {

// What a broker does at the other end of HTTP, or does not.
class BrokerWire final : public port::HttpExchange {
  public:
    explicit BrokerWire(io::Loop& loop) : loop_{loop} {}

    void send(const std::string&, port::HttpRequest request, Duration,
              std::function<void(Result<port::HttpResponse>)> then) override {
        ++asked;
        if (on_ask) on_ask();
        if (there) bodies.push_back(request.body);
        loop_.post([this, was_there = there, then = std::move(then)] {
            if (!was_there) return then(fail(ErrorCode::unreachable, "no connection"));
            then(port::HttpResponse{200, {}, "{}"});
        });
    }

    bool there = true;
    int asked = 0;
    std::function<void()> on_ask;
    std::vector<std::string> bodies;  // of what was taken

  private:
    io::Loop& loop_;
};

std::unique_ptr<io::SqliteStore> open_store(const std::string& path) {
    const std::string tables{outbox_table};
    const char* const formats[] = {tables.c_str(), outbox_index};
    return io::SqliteStore::open(path, formats).value();
}

OutEvent event_of(const std::string& id) {
    return {"order.ready", id, id, {}, WallTime{1s}, "{}"};
}

// A process with the store: its own connection, lane and outbox.
struct Process {
    Process(io::Loop& loop, const std::string& path,
            std::unique_ptr<port::Clock> which = io::make_system_clock())
        : store{open_store(path)},
          second{open_store(path)},
          lane{loop, "store"},
          desk{*store, lane},
          wire{loop},
          broker{"http://127.0.0.1:1", "", wire},
          clock{std::move(which)},
          outbox{"/test", desk, broker, loop, *clock, log} {}

    void put(const std::string& id) {
        REQUIRE(put_event(*second, event_of(id)));
        outbox.nudge();
    }

    std::unique_ptr<io::SqliteStore> store;
    std::unique_ptr<io::SqliteStore> second;  // for the test, beside the lane's
    io::Lane lane;
    Desk desk;
    BrokerWire wire;
    Broker broker;
    std::unique_ptr<port::Clock> clock;
    test::MemoryLog log;
    Outbox outbox;
};

}  // namespace

TEST_CASE("events wait for the broker and are sent when it is back", "[pizza]") {
    const auto dir = io::WorkDir::make({}, "outbox-test").value();
    io::Loop loop;
    Process kitchen{loop, dir->path() + "/a.db"};
    kitchen.wire.there = false;
    kitchen.put("one");
    REQUIRE(loop.run_until([&] { return kitchen.wire.asked >= 2; }, 5s));
    kitchen.wire.there = true;
    REQUIRE(loop.run_until([&] { return kitchen.wire.bodies.size() == 1; }, 5s));
    REQUIRE(loop.run_until([&] { return !has_event(*kitchen.second, "one").value(); }, 5s));
    kitchen.put("two");
    REQUIRE(loop.run_until([&] { return kitchen.wire.bodies.size() == 2; }, 5s));
}

TEST_CASE("after another process has sent what waited, the next event is sent", "[pizza]") {
    const auto dir = io::WorkDir::make({}, "outbox-test").value();
    io::Loop loop;
    Process first{loop, dir->path() + "/a.db"};
    Process second{loop, dir->path() + "/a.db"};
    first.wire.there = false;
    first.put("one");
    REQUIRE(loop.run_until([&] { return first.wire.asked >= 1; }, 5s));
    second.outbox.nudge();
    REQUIRE(loop.run_until([&] { return second.wire.bodies.size() == 1; }, 5s));
    // It looks once more, finds nothing, and has nothing left to wait for.
    const auto seen = [&] {
        return std::ranges::any_of(first.log.entries, [](const auto& each) {
            return each.message == "another process has sent the events that waited";
        });
    };
    REQUIRE(loop.run_until(seen, 5s));
    first.wire.there = true;
    first.put("two");
    REQUIRE(loop.run_until([&] { return first.wire.bodies.size() == 1; }, 5s));
    CHECK(first.wire.bodies[0].contains("\"id\":\"two\""));
}

TEST_CASE("what another process has sent is awaited no longer, though others always wait",
          "[pizza]") {
    const auto dir = io::WorkDir::make({}, "outbox-test").value();
    io::Loop loop;
    Process kitchen{loop, dir->path() + "/a.db"};
    // Each time it has sent one, there is another one.
    kitchen.wire.on_ask = [&] {
        REQUIRE(put_event(*kitchen.second, event_of("more-" + std::to_string(kitchen.wire.asked))));
    };
    kitchen.put("one");
    REQUIRE(loop.run_until([&] { return kitchen.wire.asked >= 1; }, 5s));
    bool told = false;
    kitchen.outbox.after("sent by the other", [&](bool sent) { told = sent; });
    REQUIRE(loop.run_until([&] { return told; }, 5s));
}

TEST_CASE("an event that waits is awaited until it is sent", "[pizza]") {
    const auto dir = io::WorkDir::make({}, "outbox-test").value();
    io::Loop loop;
    Process kitchen{loop, dir->path() + "/a.db"};
    kitchen.wire.there = false;
    kitchen.put("one");
    bool told = false;
    kitchen.outbox.after("one", [&](bool sent) { told = sent; });
    REQUIRE(loop.run_until([&] { return kitchen.wire.asked >= 3; }, 5s));
    CHECK_FALSE(told);
    kitchen.wire.there = true;
    REQUIRE(loop.run_until([&] { return told; }, 5s));
    CHECK(kitchen.wire.bodies.size() == 1);
}

TEST_CASE("what waits is counted now and then, not at each reading", "[pizza]") {
    const auto dir = io::WorkDir::make({}, "outbox-test").value();
    io::Loop loop;
    auto held = std::make_unique<support::ManualClock>();
    support::ManualClock& clock = *held;
    Process kitchen{loop, dir->path() + "/a.db", std::move(held)};
    test::MemoryMetrics metrics;
    metrics.add([&](port::MetricSink& sink) { kitchen.outbox.report(sink, "kitchen"); });
    const auto figure = [&] { return metrics.values().at("taskd_pizza_outbox_events{kitchen}"); };
    kitchen.wire.there = false;
    kitchen.put("one");
    REQUIRE(loop.run_until([&] { return kitchen.wire.asked >= 1; }, 5s));
    CHECK(figure() == 1);
    for (int i = 0; i < 150; ++i)
        REQUIRE(put_event(*kitchen.second, event_of("more-" + std::to_string(i))));
    const int asked = kitchen.wire.asked;
    REQUIRE(loop.run_until([&] { return kitchen.wire.asked >= asked + 2; }, 5s));
    CHECK(figure() == 100);  // what one reading finds
    clock.advance(5s);
    REQUIRE(loop.run_until([&] { return figure() == 151; }, 5s));
    kitchen.wire.there = true;
    REQUIRE(loop.run_until([&] { return figure() == 0; }, 5s));
    CHECK(kitchen.wire.bodies.size() == 2);
}
