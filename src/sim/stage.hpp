// Time, timers and lanes that move when they are told to. One thread; the same calls give the same
// story.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "taskd/base/random.hpp"
#include "taskd/port/background.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/timers.hpp"

namespace taskd::sim {

class Stage final : public port::Timers, public port::Clock {
  public:
    using Ticket = std::pair<SteadyTime, std::uint64_t>;

    explicit Stage(Random& random) : random_{random} {}

    WallTime wall() const override { return WallTime{now_.time_since_epoch() + wall_offset_}; }
    SteadyTime steady() const override { return now_; }
    std::unique_ptr<port::Timer> make() override;
    void post(std::function<void()> job) override { posted_.push_back(std::move(job)); }

    Ticket at(SteadyTime when, std::function<void()> job);
    void cancel(const Ticket& ticket) { events_.erase(ticket); }

    bool quiet() const { return posted_.empty(); }
    void run_posted();
    // What is due by then is done in order.
    void pass(Duration span);
    // Time passes and nobody was there to see it.
    void stall(Duration span) { now_ += span; }
    void set_wall(Duration further) { wall_offset_ += further; }
    void clear();  // nothing that waits is done any more

    // How long a lane's job takes at most.
    Duration slowness{2'000};
    Random& random() { return random_; }

  private:
    Random& random_;
    SteadyTime now_{std::chrono::hours{1}};
    Duration wall_offset_ = std::chrono::hours{24 * 365 * 56};
    std::uint64_t next_ = 0;
    std::map<Ticket, std::function<void()>> events_;
    std::deque<std::function<void()>> posted_;
};

// One job after the other, each some time after it was given.
class StageLane final : public port::Background {
  public:
    explicit StageLane(Stage& stage) : stage_{stage} {}
    void run(std::function<void()> job, std::function<void()> then) override;

    // Its process is being killed: a call that the disk was given may still be done.
    bool has_job() const { return !waiting_.empty(); }
    bool has_answer() const { return answers_ > 0; }
    void finish_first() { waiting_.front().first(); }
    void forget();

  private:
    void take_one();

    Stage& stage_;
    SteadyTime free_at_{};
    SteadyTime told_at_{};
    std::size_t answers_ = 0;  // done, and not yet told
    std::deque<std::pair<std::function<void()>, std::function<void()>>> waiting_;
};

}  // namespace taskd::sim
