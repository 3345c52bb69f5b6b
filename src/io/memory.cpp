#include "taskd/io/memory.hpp"

#include <mimalloc.h>

// What is built with sanitizers is linked without it.
#pragma weak mi_option_set

namespace taskd::io {
namespace {

// A backlog of a million takes 139 MiB at rest; with the 25 ms of the library it is 150 to 160, and
// with none at all 128, for a call of the system each time.
constexpr long decommit_delay_ms = 1;

}  // namespace

void keep_memory_small() {
    if (mi_option_set != nullptr) mi_option_set(mi_option_decommit_delay, decommit_delay_ms);
}

}  // namespace taskd::io
