// A circuit breaker: after some failures in a row nobody is asked any more for a while; then one is
// let through to try. Pure: the time is an argument.
#pragma once

#include <cstdint>

#include "taskd/base/time.hpp"

namespace taskd::pizza {

struct BreakerSettings {
    std::uint32_t failures_max = 5;  // in a row; the last one opens it
    Duration open_for = std::chrono::seconds{5};
};

enum class BreakerState : std::uint8_t {
    closed,     // all pass
    open,       // nobody passes until its time is over
    half_open,  // one has passed to try; nobody else until it is known how that ended
};

class Breaker {
  public:
    explicit Breaker(BreakerSettings settings) : settings_{settings} {}

    // Whether a call may be made now; one that may be is followed by succeeded() or failed().
    bool admit(SteadyTime now);
    void succeeded();
    void failed(SteadyTime now);

    BreakerState state() const { return state_; }

  private:
    BreakerSettings settings_;
    BreakerState state_ = BreakerState::closed;
    std::uint32_t failures_ = 0;  // in a row
    SteadyTime open_until_{};
};

}  // namespace taskd::pizza
