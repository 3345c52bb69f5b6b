// The loop every long-running role runs on: timers, posted jobs, signals, sockets. One thread calls
// run(); only stop() and post_from_any_thread() may be called from others. It outlives everything
// that was made on it. Nothing run on it may block.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "taskd/base/time.hpp"
#include "taskd/port/main_loop.hpp"

namespace taskd::io {

class Loop final : public port::MainLoop {
  public:
    Loop();
    ~Loop() override;
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    void run() override;
    void stop() override;
    Result<void> on_signal(const std::vector<int>& signals,
                           std::function<void(int)> handler) override;

    std::unique_ptr<port::Timer> make() override;
    void post(std::function<void()> job) override;
    void post_from_any_thread(std::function<void()> job);

    // Turns the loop until `done` holds or `limit` has passed; returns whether it holds. For
    // commands that wait for one thing.
    bool run_until(const std::function<bool()>& done, Duration limit);

    struct Impl;  // for io/ alone: src/io/loop_impl.hpp
    Impl& impl() { return *impl_; }

  private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace taskd::io
