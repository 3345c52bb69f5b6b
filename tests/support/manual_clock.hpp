// A clock that stands still until it is told otherwise.
#pragma once

#include <atomic>

#include "taskd/port/clock.hpp"

namespace taskd::support {

class ManualClock final : public port::Clock {
  public:
    WallTime wall() const override { return WallTime{Duration{wall_.load()}}; }
    SteadyTime steady() const override { return SteadyTime{Duration{steady_.load()}}; }

    void advance(Duration by) {
        wall_ += by.count();
        steady_ += by.count();
    }

  private:
    std::atomic<std::int64_t> wall_{1'700'000'000'000'000};
    std::atomic<std::int64_t> steady_{1'000'000};
};

}  // namespace taskd::support
