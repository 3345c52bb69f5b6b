// Port: one-shot timers on the owner's loop.
#pragma once

#include <functional>
#include <memory>

#include "taskd/base/time.hpp"

namespace taskd::port {

// One timer that can be set again and again. Destroying it clears it; the callback never runs after
// clear() or the destructor. All calls are on the loop's thread.
class Timer {
  public:
    virtual ~Timer() = default;
    // Runs `fire` once at `at` (at once when it has passed). Replaces what was set before.
    virtual void set(SteadyTime at, std::function<void()> fire) = 0;
    virtual void clear() = 0;
};

class Timers {
  public:
    virtual ~Timers() = default;
    virtual std::unique_ptr<Timer> make() = 0;
    // Runs `job` on the loop after the present turn.
    virtual void post(std::function<void()> job) = 0;
};

}  // namespace taskd::port
