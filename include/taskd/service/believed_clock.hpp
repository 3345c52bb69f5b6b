// How far the wall clock is to be believed where something goes because it is old: one that is set
// ahead makes nothing old at once, for by then it may be set back. After a start it is taken as it
// is. On the loop.
#pragma once

#include <optional>

#include "taskd/base/limits.hpp"
#include "taskd/port/clock.hpp"

namespace taskd::service {

class BelievedClock {
  public:
    // What has stayed ahead for so long is believed.
    BelievedClock(port::Clock& clock, Duration after);

    // To be called every now and then.
    void look();
    // How far the wall clock is ahead of the one that is believed.
    Duration ahead() const;

  private:
    Duration lead() const;

    port::Clock& clock_;
    Duration after_;
    Duration lead_;                          // of the wall clock before the steady one, as believed
    std::optional<SteadyTime> ahead_since_;  // the wall clock was set ahead of that
};

}  // namespace taskd::service
