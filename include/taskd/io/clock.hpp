// The machine's clocks. `steady` is CLOCK_MONOTONIC: it stands still while the machine is
// suspended, so that a lid closed over a dispatcher and its workers expires nothing.
#pragma once

#include <memory>

#include "taskd/port/clock.hpp"

namespace taskd::io {

// Thread-safe.
std::unique_ptr<port::Clock> make_system_clock();

}  // namespace taskd::io
