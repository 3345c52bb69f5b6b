#include "taskd/io/memory.hpp"

#include <mimalloc.h>

// What is built with sanitizers is linked without it.
#pragma weak mi_option_set

namespace taskd::io {
namespace {

// A backlog of a million takes 130 to 136 MiB at rest, and 20 more with the 25 ms of the library.
// At once would cost a tenth of the loop's time in calls of the system and page faults.
constexpr long decommit_delay_ms = 1;

}  // namespace

void keep_memory_small() {
    if (mi_option_set != nullptr) mi_option_set(mi_option_decommit_delay, decommit_delay_ms);
}

}  // namespace taskd::io
