#include "sim/stage.hpp"

#include <algorithm>
#include <optional>

namespace taskd::sim {
namespace {

class StageTimer final : public port::Timer {
  public:
    explicit StageTimer(Stage& stage) : stage_{stage} {}
    ~StageTimer() override { clear(); }
    StageTimer(const StageTimer&) = delete;
    StageTimer& operator=(const StageTimer&) = delete;

    void set(SteadyTime at, std::function<void()> fire) override {
        clear();
        ticket_ = stage_.at(at, [this, fire = std::move(fire)] {
            ticket_.reset();
            fire();
        });
    }
    void clear() override {
        if (ticket_) stage_.cancel(*ticket_);
        ticket_.reset();
    }

  private:
    Stage& stage_;
    std::optional<Stage::Ticket> ticket_;
};

}  // namespace

std::unique_ptr<port::Timer> Stage::make() {
    return std::make_unique<StageTimer>(*this);
}

Stage::Ticket Stage::at(SteadyTime when, std::function<void()> job) {
    const Ticket ticket{std::max(when, now_), next_++};
    events_.emplace(ticket, std::move(job));
    return ticket;
}

void Stage::run_posted() {
    while (!posted_.empty()) {
        const auto job = std::move(posted_.front());
        posted_.pop_front();
        job();
    }
}

void Stage::pass(Duration span) {
    const SteadyTime end = now_ + span;
    run_posted();
    while (!events_.empty() && events_.begin()->first.first <= end) {
        now_ = std::max(now_, events_.begin()->first.first);
        const auto job = std::move(events_.extract(events_.begin()).mapped());
        job();
        run_posted();
    }
    now_ = end;
}

void Stage::clear() {
    events_.clear();
    posted_.clear();
}

void StageLane::run(std::function<void()> job, std::function<void()> then) {
    waiting_.emplace_back(std::move(job), std::move(then));
    const auto most = static_cast<std::uint64_t>(stage_.slowness.count());
    const Duration takes{static_cast<std::int64_t>(stage_.random().below(most + 1))};
    free_at_ = std::max(free_at_, stage_.steady()) + takes;
    stage_.at(free_at_, [this] { take_one(); });
}

void StageLane::take_one() {
    auto [job, then] = std::move(waiting_.front());
    waiting_.pop_front();
    job();
    if (!then) return;
    ++answers_;
    // The answer is a turn of its own: the process may die between the two.
    told_at_ = std::max(told_at_, stage_.steady()) +
               Duration{static_cast<std::int64_t>(stage_.random().below(400))};
    stage_.at(told_at_, [this, then = std::move(then)] {
        --answers_;
        then();
    });
}

void StageLane::forget() {
    waiting_.clear();
    answers_ = 0;
    free_at_ = told_at_ = {};
}

}  // namespace taskd::sim
