#include "taskd/io/open_files.hpp"

#include <sys/resource.h>

#include <atomic>

namespace taskd::io {
namespace {

// What the soft bound was; 0 while nobody has raised it. The bound is the process's, and so is
// this.
std::atomic<std::uint64_t> raised_from = 0;

}  // namespace

std::uint64_t open_files_max() {
    rlimit now{};
    return getrlimit(RLIMIT_NOFILE, &now) == 0 ? now.rlim_cur : 0;
}

std::uint64_t raise_open_files_max() {
    rlimit now{};
    if (getrlimit(RLIMIT_NOFILE, &now) != 0 || now.rlim_cur == now.rlim_max)
        return open_files_max();
    const rlimit all{now.rlim_max, now.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &all) == 0) raised_from = now.rlim_cur;
    return open_files_max();
}

void restore_open_files_max() {
    rlimit now{};
    if (raised_from == 0 || getrlimit(RLIMIT_NOFILE, &now) != 0) return;
    now.rlim_cur = raised_from;
    setrlimit(RLIMIT_NOFILE, &now);
}

}  // namespace taskd::io
