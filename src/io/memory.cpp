#include "taskd/io/memory.hpp"

#include <mimalloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <fstream>
#include <utility>

#include "taskd/base/limits.hpp"

// What is built with sanitizers is linked without it.
#pragma weak mi_option_set
#pragma weak mi_collect
#pragma weak mi_free
#pragma weak mi_malloc
#pragma weak mi_process_info
#pragma weak mi_stats_merge

namespace taskd::io {
namespace {

// How long freed memory stays at hand while a process works: given back sooner it is asked for
// again, and a rush spends a tenth of its time in page faults.
constexpr long delay_ms = 1000;
// Of what is taken to be given back: few of the small pages' kind fill the smallest hole.
constexpr std::size_t piece_bytes = 16 * limits::kibibyte;
constexpr std::size_t pieces_a_step = 256;  // a millisecond or two
constexpr std::size_t step_bytes = pieces_a_step * piece_bytes;
constexpr std::size_t asked_max = 96 * limits::mebibyte;  // a quarter of it is touched
constexpr Duration look_interval = std::chrono::seconds{1};
constexpr Duration step_interval = std::chrono::milliseconds{10};
constexpr Duration quiet_most = look_interval / 10;  // of the processor, in that time
// Other threads go on freeing what this one has asked for.
constexpr Duration pause_longest = std::chrono::seconds{60};

Duration used_by_thread() {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return std::chrono::duration_cast<Duration>(std::chrono::seconds{used.tv_sec} +
                                                std::chrono::nanoseconds{used.tv_nsec});
}

void set_delay(long milliseconds) {
    mi_option_set(mi_option_decommit_delay, milliseconds);
}

// What the allocator holds of the system, used or not.
std::size_t held_bytes() {
    mi_stats_merge();
    std::size_t held = 0, other = 0;
    mi_process_info(&other, &other, &other, &other, &other, &held, &other, &other);
    return held;
}

SteadyTime in(Duration interval) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return SteadyTime{std::chrono::floor<Duration>(now)} + interval;
}

// What the allocator holds is one figure for all threads: they trim one after the other.
std::atomic<bool> trimming = false;

}  // namespace

// Begun and not done: work has come.
MemoryTrim::~MemoryTrim() {
    if (!begun_) return;
    for (void* piece : pieces_)
        mi_free(piece);
    trimming = false;
}

bool MemoryTrim::begin() {
    if (mi_collect == nullptr) return true;
    if (trimming.exchange(true)) return false;
    begun_ = true;
    mi_collect(true);
    held_ = held_bytes();
    return true;
}

bool MemoryTrim::step() {
    if (!begun_) return true;
    if (taken_) return give();
    for (std::size_t i = 0; i < pieces_a_step; ++i)
        pieces_.push_back(mi_malloc(piece_bytes));
    // Until half of it had to be asked of the system: little, as it stands at its most now.
    const std::size_t taken = pieces_.size() * piece_bytes;
    taken_ = taken > held_ || held_bytes() > held_ + step_bytes + std::min(taken / 2, asked_max);
    return false;
}

bool MemoryTrim::give() {
    set_delay(0);
    for (std::size_t i = 0; i < pieces_a_step && !pieces_.empty(); ++i) {
        mi_free(pieces_.back());
        pieces_.pop_back();
    }
    const bool done = pieces_.empty();
    if (done) mi_collect(true);
    set_delay(delay_ms);
    if (!done) return false;
    begun_ = false;
    trimming = false;
    return true;
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
    if (mi_option_set != nullptr) set_delay(delay_ms);
    timer_->set(in(look_interval), [this] { look(); });
}

void MemoryTrimmer::look() {
    const Duration used = used_by_thread();
    const bool quiet = used - std::exchange(used_, used) < quiet_most;
    if (!quiet) work_has_come();
    if (quiet && pause_ != Duration{0} && in(Duration{0}) >= trim_at_) {
        trim_ = std::make_unique<MemoryTrim>();
        if (trim_->begin()) {
            used_ = used_by_thread();
            return step();
        }
    }
    timer_->set(in(look_interval), [this] { look(); });
}

void MemoryTrimmer::step() {
    const Duration between = used_by_thread() - used_;
    const bool worked = between > step_interval / 2;
    if (worked) work_has_come();
    if (worked || trim_->step()) {
        trim_.reset();
        if (!worked) {
            trim_at_ = in(pause_);
            pause_ = pause_ < pause_longest ? pause_ * 2 : Duration{0};
        }
        timer_->set(in(look_interval), [this] { look(); });
    } else {
        timer_->set(in(step_interval), [this] { step(); });
    }
    used_ = used_by_thread();
}

// What is free is for that; a trim is due when it is over.
void MemoryTrimmer::work_has_come() {
    pause_ = look_interval;
    trim_at_ = {};
}

}  // namespace taskd::io
