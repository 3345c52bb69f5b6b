// A container as its engine tells of it: what the monitor shows. Values only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace taskd {

struct ContainerUse {
    std::uint64_t cpu_ns = 0;  // of processor time since it started
    std::uint64_t memory_bytes = 0;
    std::uint64_t memory_limit_bytes = 0;

    friend bool operator==(const ContainerUse&, const ContainerUse&) = default;
};

struct Container {
    std::string id;
    std::string name;
    std::string image;
    std::string state;   // running, exited, created, paused, restarting, dead
    std::string health;  // starting, healthy, unhealthy; empty without a check
    std::string started_at;
    std::uint64_t restarts = 0;
    std::uint64_t exit_code = 0;
    bool out_of_memory = false;
    bool terminal = false;            // its log is one plain stream
    std::optional<ContainerUse> use;  // while it runs
    std::optional<double> cpu_share;  // of one core, since it was asked before
    std::vector<std::string> log;     // the newest lines

    bool runs() const { return state == "running"; }
    friend bool operator==(const Container&, const Container&) = default;
};

struct ContainerEvent {
    std::uint64_t at_ns = 0;  // wall time
    std::string id;
    std::string name;
    std::string action;  // start, die, oom, health_status: unhealthy, ...
    std::string exit_code;

    friend bool operator==(const ContainerEvent&, const ContainerEvent&) = default;
};

}  // namespace taskd
