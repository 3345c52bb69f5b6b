// Processes with ids of their node, told on the bus.
#include "taskd/runtime/told_processes.hpp"

#include "catch.hpp"
#include "memory_bus.hpp"
#include "sim_processes.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

struct World {
    World() {
        real.install("/done", [](const auto& program) { program->exit(3); });
        real.install("/stays", [](const auto&) {});
    }
    std::string take() {
        std::string text;
        for (const bus::Event& each : std::exchange(bus.events, {}))
            text += each.topic + " " + std::string{each.field("pid")} + " " +
                    std::string{each.field("program")} + " " + std::string{each.field("how")} + ";";
        return text;
    }

    SimWorld sim{1};
    SimHost& host = sim.host("a");
    SimProcessRunner real{host};
    runtime::ProcessIds ids{"node"};
    MemoryBus bus;
    runtime::ToldProcesses processes{real, ids, bus, "exec"};
};

}  // namespace

TEST_CASE("a process is told when it starts and when it has ended", "[runtime]") {
    World world;
    std::optional<port::ProcessEnd> end;
    const auto process = world.processes.spawn(
        {.argv = {"/done"}}, {[](auto, auto) {}, [&](port::ProcessEnd how) { end = how; }});
    REQUIRE(process);
    CHECK(world.take() == "process.started {node@exec|1} /done ;");
    world.sim.run_for(1s);
    REQUIRE(end);
    CHECK(end->status == 3);
    CHECK(world.take() == "process.stopped {node@exec|1} /done status 3;");
}

TEST_CASE("one that is let go, or killed, is told once", "[runtime]") {
    World world;
    const auto spawn = [&] {
        auto process =
            world.processes.spawn({.argv = {"/stays"}}, {[](auto, auto) {}, [](auto) {}});
        REQUIRE(process);
        world.take();
        return std::move(*process);
    };
    spawn().reset();
    CHECK(world.take() == "process.stopped {node@exec|1} /stays let go;");
    auto killed = spawn();
    killed->kill();
    world.sim.run_for(1s);
    CHECK(world.take() == "process.stopped {node@exec|2} /stays signal 9;");
    killed.reset();
    CHECK(world.take().empty());
    CHECK(world.real.running().empty());
}

TEST_CASE("a program that is not there is not told", "[runtime]") {
    World world;
    CHECK(
        world.processes.spawn({.argv = {"/none"}}, {[](auto, auto) {}, [](auto) {}}).error().code ==
        ErrorCode::file_missing);
    CHECK(world.take().empty());
}
