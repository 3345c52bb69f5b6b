#include "taskd/pizza/breaker.hpp"

namespace taskd::pizza {

bool Breaker::admit(SteadyTime now) {
    if (state_ == BreakerState::closed) return true;
    if (state_ == BreakerState::half_open || now < open_until_) return false;
    state_ = BreakerState::half_open;
    return true;
}

void Breaker::succeeded() {
    state_ = BreakerState::closed;
    failures_ = 0;
}

// One that was admitted before it opened says nothing new.
void Breaker::failed(SteadyTime now) {
    if (state_ == BreakerState::open) return;
    ++failures_;
    if (state_ == BreakerState::closed && failures_ < settings_.failures_max) return;
    state_ = BreakerState::open;
    open_until_ = now + settings_.open_for;
}

}  // namespace taskd::pizza
