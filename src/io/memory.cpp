#include "taskd/io/memory.hpp"

#include <mimalloc.h>

// What is built with sanitizers is linked without it.
#pragma weak mi_option_set

namespace taskd::io {
namespace {

// A backlog of a million takes 128 MiB at rest; with the 25 ms of the library it is 150 to 160, and
// 145 to 150 with 1 ms. The calls of the system cost a submit one part in thirty.
constexpr long decommit_delay_ms = 0;

}  // namespace

void keep_memory_small() {
    if (mi_option_set != nullptr) mi_option_set(mi_option_decommit_delay, decommit_delay_ms);
}

}  // namespace taskd::io
