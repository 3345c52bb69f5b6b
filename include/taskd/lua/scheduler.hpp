// Runs jobs on a few threads. Each thread takes its own newest job first, which is warm; who has
// none takes the older half of another's. What has had its slice goes to the end of one queue for
// all. Everyone looks at that now and then, and at its own oldest job, so that nothing starves.
// Threads without work sleep.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "taskd/base/time.hpp"

namespace taskd::lua {

class Job {
  public:
    virtual ~Job() = default;
    virtual void run() = 0;  // once for each submit(); must not block
};

struct SchedulerCounts {
    std::uint64_t ran = 0;     // jobs
    std::uint64_t stolen = 0;  // jobs taken from another thread
    std::uint64_t slept = 0;   // times a thread had nothing to do
};

class Scheduler {
  public:
    explicit Scheduler(unsigned threads);
    ~Scheduler();  // what runs ends its turn; what waits is dropped
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;

    void submit(std::shared_ptr<Job> job);
    // Behind everything that waits now.
    void submit_last(std::shared_ptr<Job> job);
    unsigned threads() const;
    SchedulerCounts counts() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Calls back later, on a thread of its own. Thread-safe.
class Alarms {
  public:
    using Id = std::uint64_t;

    Alarms();
    ~Alarms();  // what was set does not ring any more
    Alarms(const Alarms&) = delete;
    Alarms& operator=(const Alarms&) = delete;

    Id set(Duration after, std::function<void()> ring);  // ring must not block
    bool clear(Id id);                                   // false when it has rung, or rings now
    std::size_t count() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace taskd::lua
