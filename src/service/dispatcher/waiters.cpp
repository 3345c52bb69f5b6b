#include "taskd/service/waiters.hpp"

#include <algorithm>

#include "taskd/base/limits.hpp"

namespace taskd::service {
namespace {

constexpr Duration drop_gone_interval = std::chrono::seconds{1};

}  // namespace

Waiters::Waiters(port::Clock& clock, port::Timers& timers) : clock_{clock}, timer_{timers.make()} {}

Result<void> Waiters::wait(const std::vector<TaskId>& ids, std::size_t needed, Duration timeout,
                           std::function<void()> done, std::shared_ptr<const bool> gone) {
    if (full()) return fail(ErrorCode::too_many_waiters);
    if (let_go_) {
        done();
        return {};
    }
    const Number number = ++last_;
    const SteadyTime until = clock_.steady() + timeout;
    for (const TaskId& id : ids)
        by_task_.emplace(id, number);
    by_time_.emplace(until, number);
    waiters_.emplace(number, Waiter{ids, needed, until, std::move(done), std::move(gone)});
    arm();
    return {};
}

bool Waiters::full() {
    if (waiters_.size() >= limits::waiters_max && clock_.steady() >= drop_gone_at_) drop_gone();
    return waiters_.size() >= limits::waiters_max;
}

// So many a turn; if there were fewer, not again for a while.
void Waiters::drop_gone() {
    std::vector<Number> gone;
    for (const auto& [number, waiter] : waiters_) {
        if (waiter.gone && *waiter.gone) gone.push_back(number);
        if (gone.size() == limits::turn_tasks_max) break;
    }
    if (gone.size() < limits::turn_tasks_max) drop_gone_at_ = clock_.steady() + drop_gone_interval;
    for (const Number number : gone)
        if (waiters_.contains(number)) finish(number);
}

void Waiters::ended(TaskId id) {
    const auto [first, last] = by_task_.equal_range(id);
    std::vector<Number> told;
    for (auto each = first; each != last; ++each)
        told.push_back(each->second);
    by_task_.erase(first, last);
    std::ranges::sort(told);  // first come, first answered
    for (const Number number : told)
        if (--waiters_.at(number).needed == 0) finish(number);
}

void Waiters::let_go() {
    let_go_ = true;
    while (!waiters_.empty())
        finish(waiters_.begin()->first);
}

void Waiters::finish(Number number) {
    const auto found = waiters_.find(number);
    Waiter waiter = std::move(found->second);
    waiters_.erase(found);
    for (const TaskId& id : waiter.ids) {
        const auto [first, last] = by_task_.equal_range(id);
        for (auto each = first; each != last; ++each)
            if (each->second == number) {
                by_task_.erase(each);
                break;
            }
    }
    const auto [first, last] = by_time_.equal_range(waiter.until);
    by_time_.erase(std::find_if(first, last, [&](const auto& e) { return e.second == number; }));
    arm();
    waiter.done();
}

void Waiters::arm() {
    if (by_time_.empty()) {
        timer_->clear();
        return;
    }
    timer_->set(by_time_.begin()->first, [this] {
        const SteadyTime now = clock_.steady();
        while (!by_time_.empty() && by_time_.begin()->first <= now)
            finish(by_time_.begin()->second);
        arm();
    });
}

}  // namespace taskd::service
