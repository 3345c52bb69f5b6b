// What the dispatcher tells on the bus of its process.
#include "taskd/service/bus_events.hpp"

#include "catch.hpp"
#include "dispatcher_world.hpp"
#include "taskd/bus/pattern.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

// A bus with one listener at most.
struct PickyBus final : bus::Publisher {
    void publish(std::string_view topic, std::vector<bus::EventField> fields) override {
        events.push_back({std::string{topic}, std::move(fields), {}});
    }
    bool is_wanted(std::string_view topic) const override {
        ++asked;
        return pattern && pattern->matches(topic);
    }
    std::uint64_t listener_changes() const override { return changes; }

    void listen(std::string_view to) {
        pattern = bus::Pattern::parse(to).value();
        ++changes;
    }
    std::string take() {
        std::string text;
        for (const bus::Event& each : std::exchange(events, {}))
            text += each.topic + " ";
        return text;
    }

    std::vector<bus::Event> events;
    std::optional<bus::Pattern> pattern;
    std::uint64_t changes = 0;
    mutable std::size_t asked = 0;
};

Registration worker(const std::string& instance, const std::string& type) {
    Registration made;
    made.instance = instance;
    made.type = type;
    return made;
}

}  // namespace

TEST_CASE("nothing is made while nobody listens, and whoever begins is told from then on",
          "[bus]") {
    PickyBus bus;
    DispatcherWorld world{limits::frame_bytes_max, {}, &bus};
    REQUIRE(world.submit());
    CHECK(bus.events.empty());
    const std::size_t asked = bus.asked;
    REQUIRE(world.submit());
    CHECK(bus.asked == asked);  // not for each batch
    bus.listen("task.*");
    const auto answer = world.submit("upper");
    REQUIRE(answer);
    REQUIRE(bus.events.size() == 1);
    const bus::Event event = bus.events.front();
    CHECK(bus.take() == "task.submitted ");
    CHECK(event.field("type") == "upper");
    CHECK(event.field("id") == protocol::JsonView{answer->body}["id"].text());
    CHECK_FALSE(event.field("event_id").empty());
    REQUIRE(world.ask("PUT", "/v1/queues/upper", R"({"concurrency":2})"));
    CHECK(bus.take().empty());
    bus.listen("(queue|workflow|worker).**");
    REQUIRE(world.ask("PUT", "/v1/queues/upper", R"({"concurrency":3})"));
    REQUIRE(world.submit());
    CHECK(bus.take() == "queue.changed ");
}

TEST_CASE("what is told on the bus is durable", "[bus]") {
    PickyBus bus;
    bus.listen("**");
    DispatcherWorld world{limits::frame_bytes_max, {}, &bus};
    world.world.run_for(1s);
    bus.take();
    world.journal_lane.hold();
    CHECK_FALSE(world.submit());
    CHECK(bus.take().empty());
    world.journal_lane.release();
    world.world.run_for(1s);
    CHECK(bus.take() == "task.submitted ");
}

TEST_CASE("workers that come and go are told on the bus", "[bus]") {
    PickyBus bus;
    DispatcherWorld world;
    service::BusEvents events{world.service->core(), bus};
    events.on_workers({worker("a", "sum"), worker("b", "upper")});
    CHECK(bus.take() == "worker.joined worker.joined ");
    events.on_workers({worker("b", "upper"), worker("c", "sum")});
    REQUIRE(bus.events.size() == 2);
    CHECK(bus.events[0].field("instance") == "c");
    CHECK(bus.events[1].field("instance") == "a");
    CHECK(bus.events[1].field("type") == "sum");
    CHECK(bus.take() == "worker.joined worker.left ");
    events.on_workers({worker("b", "upper"), worker("c", "sum")});
    CHECK(bus.take().empty());
}
