// Alarms: one thread that sleeps until the next of them rings.
#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "taskd/lua/scheduler.hpp"

namespace taskd::lua {
namespace {

// Beyond it a clock in nanoseconds runs over.
constexpr Duration longest = std::chrono::years{100};

}  // namespace

struct Alarms::Impl {
    using When = std::chrono::steady_clock::time_point;

    void ring_all();

    mutable std::mutex mutex;  // guards what follows
    std::condition_variable changed;
    std::multimap<When, Id> order;
    struct One {
        std::multimap<When, Id>::iterator place;
        std::function<void()> ring;
    };
    std::unordered_map<Id, One> alarms;
    Id newest = 0;
    bool ending = false;
    std::jthread thread;
};

void Alarms::Impl::ring_all() {
    pthread_setname_np(pthread_self(), "alarms");
    std::unique_lock lock{mutex};
    while (!ending) {
        if (order.empty()) {
            changed.wait(lock);
            continue;
        }
        const When first = order.begin()->first;
        if (std::chrono::steady_clock::now() < first) {
            changed.wait_until(lock, first);
            continue;
        }
        const auto found = alarms.find(order.begin()->second);
        const std::function<void()> ring = std::move(found->second.ring);
        order.erase(found->second.place);
        alarms.erase(found);
        lock.unlock();
        ring();
        lock.lock();
    }
}

Alarms::Alarms() : impl_{std::make_unique<Impl>()} {
    impl_->thread = std::jthread{[this] { impl_->ring_all(); }};
}

Alarms::~Alarms() {
    {
        const std::lock_guard lock{impl_->mutex};
        impl_->ending = true;
    }
    impl_->changed.notify_all();
}

Alarms::Id Alarms::set(Duration after, std::function<void()> ring) {
    const auto when = std::chrono::steady_clock::now() + std::min(after, longest);
    bool is_first = false;
    Id id = 0;
    {
        const std::lock_guard lock{impl_->mutex};
        id = ++impl_->newest;
        const auto place = impl_->order.emplace(when, id);
        is_first = place == impl_->order.begin();
        impl_->alarms.emplace(id, Impl::One{place, std::move(ring)});
    }
    if (is_first) impl_->changed.notify_one();
    return id;
}

bool Alarms::clear(Id id) {
    std::function<void()> gone;  // destroyed outside the lock
    const std::lock_guard lock{impl_->mutex};
    const auto found = impl_->alarms.find(id);
    if (found == impl_->alarms.end()) return false;
    gone = std::move(found->second.ring);
    impl_->order.erase(found->second.place);
    impl_->alarms.erase(found);
    return true;
}

std::size_t Alarms::count() const {
    const std::lock_guard lock{impl_->mutex};
    return impl_->alarms.size();
}

}  // namespace taskd::lua
