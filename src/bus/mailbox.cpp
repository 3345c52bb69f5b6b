#include "taskd/bus/mailbox.hpp"

#include <algorithm>
#include <utility>

#include "taskd/base/assert.hpp"

namespace taskd::bus {

Mailbox::Mailbox(std::size_t capacity, WhenFull when_full)
    : capacity_{capacity}, when_full_{when_full} {
    TASKD_ASSERT(capacity > 0);
}

void Mailbox::put(EventPtr event) {
    if (waiting_.size() < capacity_) {
        waiting_.push_back({std::move(event), std::exchange(untold_, 0)});
        return;
    }
    ++lost_;
    if (when_full_ == WhenFull::drop_newest) {
        ++untold_;
        return;
    }
    const std::uint64_t lost = waiting_.front().lost_before + 1;
    waiting_.pop_front();
    waiting_.push_back({std::move(event), 0});
    waiting_.front().lost_before += lost;
}

std::vector<Delivery> Mailbox::take(std::size_t most) {
    std::vector<Delivery> taken;
    const std::size_t count = std::min(most, waiting_.size());
    taken.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        taken.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
    }
    return taken;
}

}  // namespace taskd::bus
