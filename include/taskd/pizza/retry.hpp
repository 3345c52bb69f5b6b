// When something that failed is tried again: doubled waits up to a bound, reset by a success.
#pragma once

#include <algorithm>
#include <utility>

#include "taskd/base/time.hpp"

namespace taskd::pizza {

class Retry {
  public:
    explicit Retry(Duration initial = std::chrono::milliseconds{50},
                   Duration most = std::chrono::seconds{2})
        : initial_{initial}, most_{most}, next_{initial} {}

    Duration next() { return std::exchange(next_, std::min(2 * next_, most_)); }
    void reset() { next_ = initial_; }
    bool failing() const { return next_ != initial_; }

  private:
    Duration initial_;
    Duration most_;
    Duration next_;
};

}  // namespace taskd::pizza
