// What the supervisor decides, in simulated time, and that it does it.
#include "taskd/runtime/supervision.hpp"

#include <cmath>
#include <map>

#include "catch.hpp"
#include "memory_bus.hpp"
#include "memory_log.hpp"
#include "sim_world.hpp"
#include "taskd/runtime/keys.hpp"
#include "taskd/runtime/supervisor.hpp"

using namespace taskd;
using namespace taskd::runtime;
using namespace taskd::test;
using namespace std::chrono_literals;
using port::ServiceSpec;
using port::Startup;

namespace {

// Services that do as they are told, each life in its own time.
struct World {
    struct Acts {
        Duration ready_after = 10ms;  // 0: never
        Duration ends_after{0};       // 0: never; counted from its start
        Duration stops_after = 5ms;   // 0: only when it is killed
        port::ServiceEnd end{.how = "status 1"};
    };
    struct Program final : port::Service {
        Program(World& its_world, std::string its_name)
            : world{its_world}, name{std::move(its_name)} {}
        ~Program() override { world.note("gone " + name); }
        void start(port::ServiceHandlers its_handlers) override {
            handlers = std::move(its_handlers);
            ++life;
            world.note("start " + name);
            const Acts& acts = world.acts[name];
            if (acts.ready_after > 0s) later(acts.ready_after, [this] { handlers.ready(); });
            if (acts.ends_after > 0s) later(acts.ends_after, [this] { end(world.acts[name].end); });
        }
        void stop() override {
            world.note("stop " + name);
            const Acts& acts = world.acts[name];
            if (acts.stops_after > 0s)
                later(acts.stops_after, [this] { end({.how = "status 0"}); });
        }
        void kill() override {
            world.note("kill " + name);
            later(Duration{1}, [this] { end({.how = "signal 9"}); });
        }
        void end(const port::ServiceEnd& how) {
            ++life;
            world.note("end " + name);
            handlers.ended(how);
        }
        void later(Duration span, const std::function<void()>& act) {
            world.sim.at(world.sim.now() + span, [this, act, at = life] {
                if (at == life) act();
            });
        }
        World& world;
        std::string name;
        port::ServiceHandlers handlers;
        int life = 0;
    };

    SimWorld sim{5};
    SimHost& host = sim.host("here");
    std::map<std::string, Acts> acts;
    std::string diary;
    std::vector<Duration> starts;
    MemoryLog log;
    MemoryBus bus;
    AppContext context;
    ProcessIds ids{"node"};
    std::optional<int> status;
    std::unique_ptr<Supervisor> supervisor;

    World() {
        context.put(clock_key, host.clock());
        context.put(timers_key, host.timers());
        context.put<port::Log>(log_key, log);
        context.put<bus::Publisher>(bus_key, bus);
        supervisor = std::make_unique<Supervisor>(context, ids, 1,
                                                  [this](int gave_up) { status = gave_up; });
    }
    ~World() { supervisor.reset(); }

    void note(const std::string& what) {
        if (what.starts_with("start ")) starts.push_back(sim.now());
        diary += what + "\n";
    }
    void add(ServiceSpec spec) {
        const std::string name = spec.name;
        REQUIRE(supervisor->add({std::move(spec), std::make_unique<Program>(*this, name)}));
    }
    std::string states() const {
        std::string text;
        for (const auto& each : supervisor->states())
            text += each.name + ":" + std::string{to_text(each.state)} + " ";
        return text;
    }
    std::string take_diary() { return std::exchange(diary, {}); }
    std::size_t told(std::string_view topic) const {
        return static_cast<std::size_t>(std::ranges::count(bus.events, topic, &bus::Event::topic));
    }
};

}  // namespace

TEST_CASE("the delays of restarts have upstream's defaults", "[supervisor]") {
    const ServiceSpec spec;
    CHECK(spec.restart.initial_delay == 1s);
    CHECK(spec.restart.max_delay == 90s);
    CHECK(spec.restart.backoff_factor == 2);
    CHECK(spec.restart.jitter == 0.1);
    CHECK(spec.restart.max_attempts == 0);
    CHECK(spec.stable_after == 5s);
    CHECK(spec.start_timeout == 10s);
    CHECK(spec.stop_timeout == 10s);
}

TEST_CASE("each delay is twice the one before up to the most, and a tenth off at most",
          "[supervisor]") {
    Random random{3};
    const port::RestartPolicy policy;
    double least = 1;
    double most = 1;
    for (std::uint32_t attempt = 1; attempt <= 1'000; ++attempt) {
        const double whole = std::min(90.0, std::pow(2.0, std::min(attempt - 1, 20U)));
        const double share =
            static_cast<double>(restart_delay(policy, attempt, random).count()) / 1e6 / whole;
        least = std::min(least, share);
        most = std::max(most, share);
    }
    CHECK(least >= 0.9);
    CHECK(least < 0.91);
    CHECK(most <= 1.1);
    CHECK(most > 1.09);
    CHECK(restart_delay({.jitter = 0}, 3, random) == 4s);
}

TEST_CASE("services start when what they need runs, and stop in reverse", "[supervisor]") {
    World world;
    world.add({.name = "api", .needs = {"store", "log"}});
    world.add({.name = "store", .needs = {"log"}});
    world.add({.name = "log"});
    REQUIRE(world.supervisor->start_entries());
    CHECK(world.states() == "api:unknown store:unknown log:starting ");
    CHECK_FALSE(world.supervisor->all_running());
    world.sim.run_for(1s);
    CHECK(world.take_diary() == "start log\nstart store\nstart api\n");
    CHECK(world.supervisor->all_running());
    bool done = false;
    world.supervisor->drain([&] { done = true; });
    CHECK(world.states() == "api:stopping store:running log:running ");
    world.sim.run_for(1s);
    CHECK(done);
    CHECK(world.take_diary() == "stop api\nend api\nstop store\nend store\nstop log\nend log\n");
    CHECK(world.states() == "api:stopped store:stopped log:stopped ");
    CHECK(world.told("process.started") == 3);
    CHECK(world.told("process.stopped") == 3);
    CHECK(world.told("supervisor.state.running") == 3);
    CHECK(world.told("supervisor.state.stopped") == 3);
    CHECK(world.bus.events[0].topic == "supervisor.state.starting");
    CHECK(world.bus.events[0].field("service") == "log");
    CHECK(world.bus.events[1].field("pid") == "{node@services|1}");
}

TEST_CASE("one that ends is started again, later each time, and soon again once it was stable",
          "[supervisor]") {
    World world;
    world.acts["a"] = {.ends_after = 50ms};
    world.add({.name = "a", .restart = {.jitter = 0}});
    REQUIRE(world.supervisor->start_entries());
    world.sim.run_for(20s);
    REQUIRE(world.starts.size() >= 5);
    for (std::size_t i = 1; i < 5; ++i)
        CHECK(world.starts[i] - world.starts[i - 1] == 50ms + 1s * (1 << (i - 1)));
    CHECK_FALSE(world.status);
    world.acts["a"].ends_after = 6s;
    const std::size_t before = world.starts.size();
    world.sim.run_for(60s);
    REQUIRE(world.starts.size() > before + 3);
    CHECK(world.starts[before + 2] - world.starts[before + 1] == 7s);
    CHECK(world.starts[before + 3] - world.starts[before + 2] == 7s);
}

TEST_CASE("what needs a service that is down waits for it, and runs on when it runs",
          "[supervisor]") {
    World world;
    world.acts["store"] = {.ends_after = 100ms};
    world.acts["api"] = {.ends_after = 95ms};  // a little after the store
    world.add({.name = "store", .restart = {.jitter = 0}});
    world.add({.name = "api", .needs = {"store"}, .restart = {.initial_delay = 1ms}});
    REQUIRE(world.supervisor->start_entries());
    world.sim.run_for(500ms);
    CHECK(world.states() == "store:failed api:failed ");
    CHECK(world.diary == "start store\nstart api\nend store\nend api\n");
    world.sim.run_for(630ms);  // the store is back after a second
    CHECK(world.states() == "store:running api:running ");
}

TEST_CASE("a required one that never ran ends all, an optional one is tried again",
          "[supervisor]") {
    World world;
    world.acts["a"] = {
        .ready_after = 0s, .ends_after = 1ms, .end = {.status = 7, .how = "status 7"}};
    world.add({.name = "a"});
    REQUIRE(world.supervisor->start_entries());
    world.sim.run_for(60s);
    CHECK(world.status == 7);
    CHECK(world.states() == "a:failed ");
    CHECK(world.starts.size() == 1);

    World other;
    other.acts["a"] = world.acts["a"];
    other.add({.name = "a", .startup = Startup::optional});
    other.add({.name = "b"});
    REQUIRE(other.supervisor->start_entries());
    other.sim.run_for(60s);
    CHECK_FALSE(other.status);
    CHECK(other.starts.size() > 4);
    CHECK(other.states() == "a:failed b:running ");
}

TEST_CASE("attempts are spent at their number; a required one then ends all", "[supervisor]") {
    for (const auto startup : {Startup::required, Startup::optional}) {
        World world;
        world.acts["a"] = {.ends_after = 20ms, .end = {.status = 3, .how = "status 3"}};
        world.add({.name = "a", .startup = startup, .restart = {.max_attempts = 3}});
        REQUIRE(world.supervisor->start_entries());
        world.sim.run_for(600s);
        CHECK(world.starts.size() == 4);
        CHECK(world.status == (startup == Startup::required ? std::optional{3} : std::nullopt));
        CHECK(world.states() == "a:failed ");
    }
}

TEST_CASE("one that is done is not started again", "[supervisor]") {
    World world;
    world.acts["a"] = {.ends_after = 1s, .end = {.retry = false, .status = 0, .how = "status 0"}};
    world.add({.name = "a"});
    REQUIRE(world.supervisor->start_entries());
    world.sim.run_for(600s);
    CHECK(world.states() == "a:exited ");
    CHECK(world.starts.size() == 1);
    CHECK_FALSE(world.status);
}

TEST_CASE("one that is not ready in time is killed and counts as failed", "[supervisor]") {
    World world;
    world.acts["a"] = {.ready_after = 0s};
    world.add({.name = "a", .startup = Startup::optional});
    REQUIRE(world.supervisor->start_entries());
    world.sim.run_for(10s + 100ms);
    CHECK(world.diary == "start a\nkill a\nend a\n");
    CHECK(world.bus.events.back().field("how") == "start_timeout");
    world.acts["a"].ready_after = 1ms;
    world.sim.run_for(2s);
    CHECK(world.supervisor->all_running());
    // Without a bound it may take as long as it likes.
    World patient;
    patient.acts["a"] = {.ready_after = 0s};
    patient.add({.name = "a", .start_timeout = 0s});
    REQUIRE(patient.supervisor->start_entries());
    patient.sim.run_for(24h);
    CHECK(patient.diary == "start a\n");
}

TEST_CASE("one that does not stop in time is killed, and the stop goes on", "[supervisor]") {
    World world;
    world.acts["api"] = {.stops_after = 0s};
    world.add({.name = "store"});
    world.add({.name = "api", .needs = {"store"}});
    REQUIRE(world.supervisor->start_entries());
    world.sim.run_for(1s);
    world.take_diary();
    bool done = false;
    world.supervisor->drain([&] { done = true; });
    world.sim.run_for(9s);
    CHECK_FALSE(done);
    world.sim.run_for(2s);
    CHECK(done);
    CHECK(world.take_diary() == "stop api\nkill api\nend api\nstop store\nend store\n");
}

TEST_CASE("a drain before anything runs, and of nothing, comes to its end", "[supervisor]") {
    World world;
    world.add({.name = "store"});
    world.add({.name = "api", .needs = {"store"}});
    REQUIRE(world.supervisor->start_entries());
    bool done = false;
    world.supervisor->drain([&] { done = true; });
    CHECK(world.states() == "store:stopping api:stopped ");
    world.sim.run_for(1s);
    CHECK(done);
    World nothing;
    bool nothing_done = false;
    nothing.supervisor->drain([&] { nothing_done = true; });
    CHECK(nothing_done);
}

TEST_CASE("a circle and a missing need of services are named, and nothing starts", "[supervisor]") {
    World world;
    world.add({.name = "a", .needs = {"b"}});
    world.add({.name = "b", .needs = {"a"}});
    const auto circle = world.supervisor->start_entries();
    REQUIRE_FALSE(circle);
    CHECK(circle.error().code == ErrorCode::dependency_cycle);
    CHECK(circle.error().detail == "a > b > a");
    World other;
    other.add({.name = "a", .needs = {"z"}});
    const auto missing = other.supervisor->start_entries();
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == ErrorCode::dependency_missing);
    CHECK(world.diary + other.diary == "");
}

TEST_CASE("services come and go while others run", "[supervisor]") {
    World world;
    world.add({.name = "store"});
    REQUIRE(world.supervisor->start_entries());
    world.sim.run_for(1s);
    world.add({.name = "late", .needs = {"store"}});
    world.sim.run_for(1s);
    CHECK(world.states() == "store:running late:running ");
    const auto lost = world.supervisor->add(
        {{.name = "lost", .needs = {"none"}}, std::make_unique<World::Program>(world, "lost")});
    REQUIRE_FALSE(lost);
    CHECK(lost.error().code == ErrorCode::dependency_missing);
    world.take_diary();
    bool gone = false;
    world.supervisor->remove("late", [&] { gone = true; });
    CHECK(world.states() == "store:running late:stopping ");
    world.sim.run_for(1s);
    CHECK(gone);
    CHECK(world.take_diary() == "stop late\nend late\ngone late\n");
    CHECK(world.states() == "store:running ");
    CHECK(world.supervisor->all_running());
    world.add({.name = "late", .needs = {"store"}});  // once more, by the same name
    world.sim.run_for(1s);
    CHECK(world.states() == "store:running late:running ");
    bool done = false;
    world.supervisor->drain([&] { done = true; });
    world.sim.run_for(1s);
    CHECK(done);
    CHECK(world.take_diary() == "start late\nstop late\nend late\nstop store\nend store\n");
}

TEST_CASE("one that failed and waits can be removed, and is not started again", "[supervisor]") {
    World world;
    world.acts["a"] = {.ends_after = 50ms};
    world.add({.name = "a", .startup = Startup::optional});
    REQUIRE(world.supervisor->start_entries());
    world.sim.run_for(100ms);
    CHECK(world.states() == "a:failed ");
    bool gone = false;
    world.supervisor->remove("a", [&] { gone = true; });
    world.sim.run_for(60s);
    CHECK(gone);
    CHECK(world.starts.size() == 1);
    CHECK(world.states() == "");
}

TEST_CASE("whatever services do, states follow the rules and the end is reached", "[supervisor]") {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        Random random{seed};
        World world;
        const std::size_t count = random.below(6) + 1;
        std::map<std::string, std::vector<std::string>> needs;
        for (std::size_t i = 0; i < count; ++i) {
            ServiceSpec spec{.name = "s" + std::to_string(i), .startup = Startup::optional};
            for (std::size_t j = 0; j < i; ++j)
                if (random.chance(1, 3)) spec.needs.push_back("s" + std::to_string(j));
            world.acts[spec.name] = {
                .ready_after = Duration{static_cast<std::int64_t>(random.below(12'000'000))},
                .ends_after = Duration{static_cast<std::int64_t>(random.below(40'000'000))},
                .stops_after = Duration{static_cast<std::int64_t>(random.below(12'000'000))}};
            needs[spec.name] = spec.needs;
            world.add(std::move(spec));
        }
        std::map<std::string, std::string> state;
        world.bus.listen = [&](const bus::Event& event) {
            if (!event.topic.starts_with("supervisor.state.")) return;
            const std::string name{event.field("service")};
            const std::string to = event.topic.substr(event.topic.rfind('.') + 1);
            const std::string& known = state.try_emplace(name, "unknown").first->second;
            CHECK(known == event.field("from"));
            if (to == "starting")
                for (const auto& need : needs[name])
                    CHECK(state[need] == "running");
            state[name] = to;
        };
        REQUIRE(world.supervisor->start_entries());
        world.sim.run_for(300s);
        bool done = false;
        world.supervisor->drain([&] { done = true; });
        world.sim.run_for(100s);
        INFO(seed);
        CHECK(done);
        for (const auto& [name, last] : state)
            CHECK(last == "stopped");
        CHECK_FALSE(world.status);
    }
}
