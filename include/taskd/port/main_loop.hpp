// Port: the loop a role lives on, as `Boot` needs it.
#pragma once

#include <functional>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/port/timers.hpp"

namespace taskd::port {

class MainLoop : public Timers {
  public:
    // Runs jobs, timers and handlers on the calling thread until stop(). May be called again.
    virtual void run() = 0;
    // From any thread. What is left to run stays for the next run().
    virtual void stop() = 0;
    // Calls `handler` on the loop each time one of these signals arrives, until the loop ends.
    virtual Result<void> on_signal(const std::vector<int>& signals,
                                   std::function<void(int)> handler) = 0;
};

}  // namespace taskd::port
