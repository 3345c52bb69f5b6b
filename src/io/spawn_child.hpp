// What runs between fork and exec: only what is safe in a signal handler, since another thread may
// have held any lock.
#pragma once

#include <sys/types.h>

#include "taskd/port/process_runner.hpp"

namespace taskd::io {

struct ChildPlan {
    pid_t parent = 0;
    char* const* argv = nullptr;
    char* const* envp = nullptr;
    int in = -1;  // -1: nothing to read
    int out = -1;
    int err = -1;
    int side = -1;      // -1: it has none
    int report = -1;    // gets a guarded one's pid, and the number of what failed; closed by exec
    int lifeline = -1;  // a guard's: it ends when its other side is closed
    const char* dir = nullptr;
    port::ProcessLimits limits;
};

// Becomes the program; killed with its parent.
[[noreturn]] void run_child(const ChildPlan& plan);

// Stays between us and the program, as the one to whom all it starts falls back: passes SIGTERM on,
// kills everything when the program has ended or the lifeline is closed, and ends as the program
// did.
[[noreturn]] void run_guard(const ChildPlan& plan);

}  // namespace taskd::io
