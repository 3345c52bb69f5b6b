// What an engine counts, held against the rows of the view that stands where it stands: every task
// is looked at one by one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "taskd/engine/engine.hpp"
#include "taskd/port/view.hpp"

namespace taskd::service {

struct QueueRecount {
    std::string type;
    std::uint64_t queued = 0;
    std::uint64_t scheduled = 0;
    std::uint64_t running = 0;
    std::uint64_t leases = 0;       // those of cancelled tasks too
    std::uint64_t concurrency = 0;  // how many there may be; 0: no limit
};

struct Recount {
    std::vector<QueueRecount> queues;  // that have a task that has not ended; by type
    std::uint64_t live = 0;
    std::uint64_t ended = 0;
    std::vector<std::string> faults;  // none: all counts are what the rows say
};

// What the view says when it cannot be read.
Result<Recount> recount(const engine::Engine& engine, port::View& view);

}  // namespace taskd::service
