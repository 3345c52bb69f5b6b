// How much memory there is, and how the allocator deals with what has been freed.
#pragma once

#include <cstdint>
#include <istream>
#include <memory>
#include <string>

#include "taskd/base/time.hpp"
#include "taskd/io/loop.hpp"

namespace taskd::io {

// What this thread has freed goes back to the system. Takes about a millisecond for each 100 MiB.
void trim_memory();

// Bytes of memory that this process may use: the machine's, or what its control group has of it.
std::uint64_t memory_there();
// The least bound of its control groups, as /proc/self/cgroup names them, below `root`; all there
// can be when there is none.
std::uint64_t memory_of_groups(std::istream& groups, const std::string& root);

// Trims the memory of the loop's thread whenever it has become quiet: what is freed goes back to
// the system when something near it is freed later, which at rest nothing is.
class MemoryTrimmer {
  public:
    explicit MemoryTrimmer(Loop& loop);

  private:
    void look();

    std::unique_ptr<port::Timer> timer_;
    Duration used_{};      // of the processor, by the loop's thread
    bool worked_ = false;  // since the last trim
};

}  // namespace taskd::io
