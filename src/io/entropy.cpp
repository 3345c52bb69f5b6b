#include "taskd/io/entropy.hpp"

#include <sys/random.h>

#include <cerrno>

#include "taskd/base/assert.hpp"

namespace taskd::io {

void fill_random(std::span<char> into) {
    while (!into.empty()) {
        const ssize_t count = getrandom(into.data(), into.size(), 0);
        if (count < 0 && errno == EINTR) continue;
        TASKD_ASSERT(count > 0);  // cannot fail on any kernel this runs on
        into = into.subspan(static_cast<std::size_t>(count));
    }
}

std::uint64_t random_seed() {
    std::uint64_t seed = 0;
    fill_random({reinterpret_cast<char*>(&seed), sizeof seed});
    return seed;
}

SessionId make_session_id() {
    for (;;)
        if (const std::uint64_t value = random_seed(); value != 0) return SessionId{value};
}

}  // namespace taskd::io
