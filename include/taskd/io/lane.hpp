// One thread beside the loop for calls that block. run() is called on the loop. Destroying the lane
// finishes the jobs it was given first; their `then` does not run any more.
#pragma once

#include <memory>
#include <string>

#include "taskd/io/loop.hpp"
#include "taskd/port/background.hpp"

namespace taskd::io {

class Lane final : public port::Background {
  public:
    // `name` is the thread's, as debuggers show it; 15 characters are kept. Where processors are
    // scarce a thread that is `nice`r gets less of them.
    Lane(Loop& loop, const std::string& name, int nice = 0);
    ~Lane() override;
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    void run(std::function<void()> job, std::function<void()> then) override;

  private:
    struct Shared;
    std::shared_ptr<Shared> shared_;
    struct Thread;
    std::unique_ptr<Thread> thread_;
};

}  // namespace taskd::io
