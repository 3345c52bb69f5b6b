// Lines in the log that anybody can cause as often as he likes: one a second, which says how many
// were left out before it.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "taskd/base/time.hpp"

namespace taskd::pizza {

class Seldom {
  public:
    // How many were left out since the last, when it is time for one.
    std::optional<std::uint64_t> turn(SteadyTime now) {
        if (now < next_) {
            ++left_out_;
            return std::nullopt;
        }
        next_ = now + std::chrono::seconds{1};
        return std::exchange(left_out_, 0);
    }

  private:
    SteadyTime next_{};
    std::uint64_t left_out_ = 0;
};

}  // namespace taskd::pizza
