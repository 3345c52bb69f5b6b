// Requests that wait for tasks to end. Bounded; each has its own time-out.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "taskd/base/ids.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/base/result.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/timers.hpp"

namespace taskd::service {

class Waiters {
  public:
    Waiters(port::Clock& clock, port::Timers& timers);

    // Runs `done` once: when `needed` of the tasks have ended, when the time is up, or when all who
    // wait are let go. too_many_waiters at the bound. `ids` are distinct and `needed` at least 1.
    // `gone` says whether the client has left.
    Result<void> wait(const std::vector<TaskId>& ids, std::size_t needed, Duration timeout,
                      std::function<void()> done, std::shared_ptr<const bool> gone = {});
    void ended(TaskId id);
    void let_go();  // from then on nobody waits: `done` is run at once
    // Whether nobody more may wait. At the bound the time of those who have left is up.
    bool full();

  private:
    struct Waiter {
        std::vector<TaskId> ids;
        std::size_t needed = 0;
        SteadyTime until;
        std::function<void()> done;
        std::shared_ptr<const bool> gone;
    };
    using Number = std::uint64_t;

    void drop_gone();
    void finish(Number number);
    void arm();

    port::Clock& clock_;
    std::unique_ptr<port::Timer> timer_;
    bool let_go_ = false;
    SteadyTime drop_gone_at_{};  // looking at all of them takes time
    Number last_ = 0;
    std::unordered_map<Number, Waiter> waiters_;
    std::unordered_multimap<TaskId, Number> by_task_;
    std::multimap<SteadyTime, Number> by_time_;
};

}  // namespace taskd::service
