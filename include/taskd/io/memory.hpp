// How much memory there is, and how the allocator deals with what has been freed.
#pragma once

#include <cstdint>
#include <istream>
#include <memory>
#include <string>
#include <vector>

#include "taskd/base/time.hpp"
#include "taskd/io/loop.hpp"

namespace taskd::io {

// Gives what this thread has freed back to the system, in steps of a millisecond or two; the first
// and the last take as long for each 100 MiB. By itself what was freed goes only when something is
// freed beside it later, which at rest nothing is: so all that is free is taken, until the
// allocator asks for more, and goes back at once.
class MemoryTrim {
  public:
    MemoryTrim() = default;
    MemoryTrim(const MemoryTrim&) = delete;
    MemoryTrim& operator=(const MemoryTrim&) = delete;
    ~MemoryTrim();

    bool begin();  // false while another thread is at it
    bool step();   // true when all is done

  private:
    bool give();

    std::vector<void*> pieces_;
    std::size_t held_ = 0;  // by the allocator, at the beginning
    bool begun_ = false;
    bool taken_ = false;
};

// Bytes of memory that this process may use: the machine's, or what its control group has of it.
std::uint64_t memory_there();
// The least bound of its control groups, as /proc/self/cgroup names them, below `root`; all there
// can be when there is none.
std::uint64_t memory_of_groups(std::istream& groups, const std::string& root);

// Trims the memory of the loop's thread whenever it has become quiet, and for a minute or two again
// and again.
class MemoryTrimmer {
  public:
    explicit MemoryTrimmer(Loop& loop);

  private:
    void look();
    void step();
    void work_has_come();

    std::unique_ptr<port::Timer> timer_;
    std::unique_ptr<MemoryTrim> trim_;
    Duration used_{};   // of the processor, by the loop's thread
    Duration pause_{};  // after the next trim; 0: none is due
    SteadyTime trim_at_{};
};

}  // namespace taskd::io
