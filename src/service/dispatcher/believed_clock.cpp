#include "taskd/service/believed_clock.hpp"

namespace taskd::service {
namespace {

// What a wall clock may gain on the steady one without being taken for set ahead.
constexpr Duration drift_max = std::chrono::minutes{1};

}  // namespace

BelievedClock::BelievedClock(port::Clock& clock, Duration after)
    : clock_{clock}, after_{after}, lead_{lead()} {}

Duration BelievedClock::lead() const {
    return clock_.wall().time_since_epoch() - clock_.steady().time_since_epoch();
}

Duration BelievedClock::ahead() const {
    const Duration gained = lead() - lead_;
    return gained > drift_max ? gained : Duration{0};
}

void BelievedClock::look() {
    const SteadyTime now = clock_.steady();
    if (ahead() > Duration{0}) {
        if (!ahead_since_) ahead_since_ = now;
        if (now - *ahead_since_ < after_) return;
    }
    lead_ = lead();
    ahead_since_.reset();
}

}  // namespace taskd::service
