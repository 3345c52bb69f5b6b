// Port: a lane beside the loop for calls that block (sync, SQLite, HTTP). Jobs of one lane run one
// after the other in the order given; `then` runs on the loop, in the same order. Destroying the
// lane finishes the jobs it was given; their `then` does not run any more, so that an owner may go
// first.
#pragma once

#include <functional>

namespace taskd::port {

class Background {
  public:
    virtual ~Background() = default;
    // `job` runs off the loop and must not touch what the loop owns; `then` (may be empty) follows.
    virtual void run(std::function<void()> job, std::function<void()> then) = 0;
};

}  // namespace taskd::port
