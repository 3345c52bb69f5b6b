#include "sim_queue.hpp"

#include <algorithm>
#include <utility>

#include "taskd/base/assert.hpp"

namespace taskd::test {

SimQueue::Ticket SimQueue::add(Duration at, Owner owner, Job job) {
    if (free_.empty()) {
        free_.push_back(static_cast<std::uint32_t>(slots_.size()));
        slots_.emplace_back();
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    Slot& slot = slots_[index];
    slot.job = std::move(job);
    slot.owner = owner;
    slot.used = true;
    push({at, next_tie_++, index, slot.round});
    return {index, slot.round};
}

void SimQueue::cancel(Ticket ticket) {
    if (ticket.slot >= slots_.size() || slots_[ticket.slot].round != ticket.round) return;
    ++stale_;
    const Job unrun = release(ticket.slot);
    sweep();
}

std::size_t SimQueue::drop(Owner owner) {
    // Jobs are destroyed last: what they hold may call back into the world.
    std::vector<Job> unrun;
    for (std::uint32_t index = 0; index < slots_.size(); ++index)
        if (slots_[index].used && slots_[index].owner == owner) unrun.push_back(release(index));
    stale_ += unrun.size();
    sweep();
    return unrun.size();
}

SimQueue::Next SimQueue::next() {
    TASKD_ASSERT(settle());
    return {heap_.front().at, slots_[heap_.front().slot].owner};
}

SimQueue::Job SimQueue::take() {
    TASKD_ASSERT(settle());
    return release(pop().slot);
}

void SimQueue::postpone(Duration until) {
    TASKD_ASSERT(settle());
    Item item = pop();
    item.at = until;
    item.tie = next_tie_++;
    push(item);
}

bool SimQueue::settle() {
    while (!heap_.empty() && slots_[heap_.front().slot].round != heap_.front().round) {
        pop();
        --stale_;
    }
    return !heap_.empty();
}

void SimQueue::push(Item item) {
    heap_.push_back(item);
    std::ranges::push_heap(heap_, later);
}

SimQueue::Item SimQueue::pop() {
    std::ranges::pop_heap(heap_, later);
    const Item item = heap_.back();
    heap_.pop_back();
    return item;
}

SimQueue::Job SimQueue::release(std::uint32_t index) {
    Slot& slot = slots_[index];
    ++slot.round;
    slot.used = false;
    free_.push_back(index);
    return std::exchange(slot.job, Job{});
}

// Timers that are set again and again must not fill the heap with their past.
void SimQueue::sweep() {
    if (stale_ < 1024 || stale_ * 2 < heap_.size()) return;
    std::erase_if(heap_, [&](const Item& item) { return slots_[item.slot].round != item.round; });
    std::ranges::make_heap(heap_, later);
    stale_ = 0;
}

}  // namespace taskd::test
