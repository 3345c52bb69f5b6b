#include "taskd/io/memory.hpp"

#include <mimalloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>
#include <utility>

#include "taskd/base/limits.hpp"

// What is built with sanitizers is linked without it.
#pragma weak mi_option_set
#pragma weak mi_collect

namespace taskd::io {
namespace {

// How long freed memory stays at hand. At once would cost a process at work a twentieth of its time
// in page faults; what is large is kept small instead: a backlog of a million takes 140 MiB at
// rest, 149 with 100 ms.
constexpr long delay_ms = 100;
constexpr long delay_of_large_ms = 1;
constexpr std::size_t large = 112 * limits::mebibyte;
constexpr Duration look_interval = std::chrono::seconds{1};
constexpr Duration quiet_most = look_interval / 50;  // of the processor, in that time

Duration used_by_thread() {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return std::chrono::duration_cast<Duration>(std::chrono::seconds{used.tv_sec} +
                                                std::chrono::nanoseconds{used.tv_nsec});
}

std::size_t resident_bytes() {
    std::size_t whole = 0, resident = 0;
    std::ifstream{"/proc/self/statm"} >> whole >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

void set_delay(long milliseconds) {
    if (mi_option_set != nullptr) mi_option_set(mi_option_decommit_delay, milliseconds);
}

SteadyTime next_look() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return SteadyTime{std::chrono::floor<Duration>(now)} + look_interval;
}

}  // namespace

void trim_memory() {
    if (mi_collect != nullptr) mi_collect(true);
}

std::uint64_t memory_there() {
    std::uint64_t there = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                          static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    std::ifstream groups{"/proc/self/cgroup"};
    return std::min(there, memory_of_groups(groups, "/sys/fs/cgroup"));
}

// A line is ID:CONTROLLERS:PATH, of version 2 with nothing between. Each group above has its bound
// too; without one it is a word, or a number beyond all memory.
std::uint64_t memory_of_groups(std::istream& groups, const std::string& root) {
    std::uint64_t most = UINT64_MAX;
    const auto look = [&](const std::string& file) {
        std::uint64_t bound = 0;
        if (std::ifstream{file} >> bound) most = std::min(most, bound);
    };
    for (std::string line; std::getline(groups, line);) {
        const auto controllers = line.find(':') + 1;
        const auto path = line.find(':', controllers) + 1;
        const bool is_second = path == controllers + 1;
        const bool is_memory = line.substr(controllers, path - 1 - controllers) == "memory";
        if (controllers == 0 || path == 0 || (!is_second && !is_memory)) continue;
        const std::string base = root + (is_second ? "" : "/memory");
        const std::string file = is_second ? "/memory.max" : "/memory.limit_in_bytes";
        std::string group = line.substr(path);
        while (group.size() > 1 && group.front() == '/') {
            look(base + group + file);
            group.resize(group.find_last_of('/'));
        }
        look(base + file);
    }
    return most;
}

MemoryTrimmer::MemoryTrimmer(Loop& loop) : timer_{loop.make()} {
    set_delay(delay_ms);
    timer_->set(next_look(), [this] { look(); });
}

void MemoryTrimmer::look() {
    set_delay(resident_bytes() < large ? delay_ms : delay_of_large_ms);
    const Duration used = used_by_thread();
    const bool quiet = used - std::exchange(used_, used) < quiet_most;
    if (quiet && std::exchange(worked_, false)) trim_memory();
    worked_ = worked_ || !quiet;
    timer_->set(next_look(), [this] { look(); });
}

}  // namespace taskd::io
