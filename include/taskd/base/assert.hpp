// TASKD_ASSERT: stays on in release, ends the process, and never looks at input.
#pragma once

namespace taskd {

// Prints what failed and where to stderr, then aborts.
[[noreturn]] void assertion_failed(const char* what, const char* file, int line) noexcept;

}  // namespace taskd

#define TASKD_ASSERT(condition)                          \
    (static_cast<bool>(condition) ? static_cast<void>(0) \
                                  : ::taskd::assertion_failed(#condition, __FILE__, __LINE__))
