// The two worlds every port's contract suite runs in: the real loop and its simulated twin.
#pragma once

#include <functional>
#include <memory>

#include "sim_world.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/lane.hpp"
#include "taskd/io/loop.hpp"

namespace taskd::test {

struct RealWorld {
    static constexpr bool simulated = false;
    io::Loop loop;
    std::unique_ptr<port::Clock> system_clock = io::make_system_clock();

    port::Timers& timers() { return loop; }
    port::Clock& clock() { return *system_clock; }
    std::unique_ptr<port::Background> make_lane() {
        return std::make_unique<io::Lane>(loop, "test");
    }
    // Returns as soon as `done` holds; `limit` is only how long a failure takes.
    bool run_until(const std::function<bool()>& done, Duration limit = std::chrono::seconds{20}) {
        return loop.run_until(done, limit);
    }
};

struct TwinWorld {
    static constexpr bool simulated = true;
    SimWorld world{1};
    SimHost& host = world.host("a");

    port::Timers& timers() { return host.timers(); }
    port::Clock& clock() { return host.clock(); }
    std::unique_ptr<port::Background> make_lane() { return host.make_lane(); }
    bool run_until(const std::function<bool()>& done, Duration limit = std::chrono::seconds{20}) {
        return world.run_until(done, limit);
    }
};

}  // namespace taskd::test
