// A main loop of standard parts alone, so that what runs threads can be tested with few libraries
// and under the thread sanitizer: jobs, timers and signals raised by the test. post() and stop()
// may be called from any thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "taskd/port/clock.hpp"
#include "taskd/port/main_loop.hpp"

namespace taskd::test {

class RealClock final : public port::Clock {
  public:
    WallTime wall() const override { return WallTime{since<std::chrono::system_clock>()}; }
    SteadyTime steady() const override { return SteadyTime{since<std::chrono::steady_clock>()}; }

  private:
    template <class Clock>
    static Duration since() {
        return std::chrono::duration_cast<Duration>(Clock::now().time_since_epoch());
    }
};

class ThreadLoop final : public port::MainLoop {
  public:
    void run() override {
        run_until([] { return false; }, std::chrono::hours{24});
    }
    // Until `done` holds, which is asked before each job; or stop(), or the limit. Whether it
    // holds.
    bool run_until(const std::function<bool()>& done, Duration limit) {
        const SteadyTime end = clock_.steady() + limit;
        std::unique_lock lock{mutex_};
        while (!stopped_ && clock_.steady() < end) {
            lock.unlock();
            if (done()) return true;
            lock.lock();
            if (auto job = next(lock, end)) {
                lock.unlock();
                job();
                job = nullptr;
                lock.lock();
            }
        }
        stopped_ = false;
        lock.unlock();
        return done();
    }
    void stop() override {
        const std::lock_guard lock{mutex_};
        stopped_ = true;
        wake_.notify_all();
    }
    Result<void> on_signal(const std::vector<int>& /*signals*/,
                           std::function<void(int)> handler) override {
        raise = std::move(handler);
        return {};
    }
    std::unique_ptr<port::Timer> make() override { return std::make_unique<OwnTimer>(*this); }
    void post(std::function<void()> job) override {
        const std::lock_guard lock{mutex_};
        jobs_.push_back(std::move(job));
        wake_.notify_one();
    }

    std::function<void(int)> raise;

  private:
    using Set = std::multimap<SteadyTime, std::pair<const void*, std::function<void()>>>;

    class OwnTimer final : public port::Timer {
      public:
        explicit OwnTimer(ThreadLoop& loop) : loop_{loop} {}
        ~OwnTimer() override { OwnTimer::clear(); }
        OwnTimer(const OwnTimer&) = delete;
        OwnTimer& operator=(const OwnTimer&) = delete;
        void set(SteadyTime at, std::function<void()> fire) override {
            clear();
            const std::lock_guard lock{loop_.mutex_};
            loop_.set_.emplace(at, std::pair{this, std::move(fire)});
        }
        void clear() override {
            const std::lock_guard lock{loop_.mutex_};
            std::erase_if(loop_.set_,
                          [this](const auto& each) { return each.second.first == this; });
        }

      private:
        ThreadLoop& loop_;
    };

    // What is due, waited for; empty when there is none yet.
    std::function<void()> next(std::unique_lock<std::mutex>& lock, SteadyTime end) {
        const SteadyTime due = set_.empty() ? end : std::min(end, set_.begin()->first);
        wake_.wait_until(lock, std::chrono::steady_clock::time_point{due.time_since_epoch()},
                         [this] { return stopped_ || !jobs_.empty(); });
        if (stopped_) return nullptr;
        if (!jobs_.empty()) {
            auto job = std::move(jobs_.front());
            jobs_.pop_front();
            return job;
        }
        if (set_.empty() || set_.begin()->first > clock_.steady()) return nullptr;
        auto fire = std::move(set_.begin()->second.second);
        set_.erase(set_.begin());
        return fire;
    }

    RealClock clock_;
    std::mutex mutex_;  // guards what follows
    std::condition_variable wake_;
    std::deque<std::function<void()>> jobs_;
    Set set_;
    bool stopped_ = false;
};

}  // namespace taskd::test
