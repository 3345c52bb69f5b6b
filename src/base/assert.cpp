#include "taskd/base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace taskd {

void assertion_failed(const char* what, const char* file, int line) noexcept {
    std::fprintf(stderr, "taskd: assertion failed: %s (%s:%d)\n", what, file, line);
    std::abort();
}

}  // namespace taskd
