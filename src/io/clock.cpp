#include "taskd/io/clock.hpp"

#include <chrono>

namespace taskd::io {
namespace {

class SystemClock final : public port::Clock {
  public:
    WallTime wall() const override {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        return WallTime{std::chrono::floor<Duration>(now)};
    }
    SteadyTime steady() const override {
        const auto now = std::chrono::steady_clock::now().time_since_epoch();
        return SteadyTime{std::chrono::floor<Duration>(now)};
    }
};

}  // namespace

std::unique_ptr<port::Clock> make_system_clock() {
    return std::make_unique<SystemClock>();
}

}  // namespace taskd::io
