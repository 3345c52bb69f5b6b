#include "taskd/runtime/event_bus.hpp"

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "taskd/base/assert.hpp"
#include "taskd/bus/routes.hpp"

namespace taskd::runtime {
namespace {

// The event whose handler runs on this thread.
thread_local const bus::Event* told = nullptr;

}  // namespace

// What bus and subscriber share; it lives as long as either does.
struct EventBus::Subscription::State {
    State(Post where, Handler what, const SubscriberSettings& settings)
        : post{std::move(where)},
          handler{std::move(what)},
          mailbox{settings.capacity, settings.when_full} {}

    static void put(const std::shared_ptr<State>& self, bus::EventPtr event);
    static void tell(const std::shared_ptr<State>& self);
    void end();

    std::weak_ptr<Impl> bus;
    bus::Routes::Id id = 0;
    std::uint64_t first = 0;  // number of the first event that it is told
    const Post post;
    const Handler handler;
    std::atomic<bool> ended = false;

    mutable std::mutex mutex;  // guards what follows
    std::condition_variable quiet;
    bus::Mailbox mailbox;
    bool posted = false;      // tell() runs, or will
    std::thread::id runs_on;  // while the handler runs
};

struct EventBus::Impl {
    explicit Impl(const port::Clock& its_clock) : clock{its_clock} {}

    void deliver_all();
    void deliver(const bus::EventPtr& event, std::uint64_t at);
    void remove(bus::Routes::Id id);

    const port::Clock& clock;
    std::atomic<std::size_t> subscribers = 0;
    std::atomic<std::uint64_t> changes = 0;  // of the routes
    std::atomic<std::uint64_t> delivered = 0;
    std::atomic<std::uint64_t> lost_of_ended = 0;
    std::atomic<std::uint64_t> unheard = 0;  // published while nobody listened

    std::mutex mutex;  // guards what follows
    std::condition_variable wake;
    std::vector<bus::EventPtr> inbox;
    std::uint64_t number = 0;  // of events that came into the inbox
    std::uint64_t lost_at_door = 0;
    bool ending = false;

    mutable std::mutex routes_mutex;  // guards what follows
    bus::Routes routes;
    std::unordered_map<bus::Routes::Id, std::shared_ptr<Subscription::State>> states;
    bus::Routes::Id newest = 0;

    std::vector<bus::Routes::Id> found;  // the thread's own, as what follows
    std::vector<std::shared_ptr<Subscription::State>> takers;
    std::jthread thread;
};

// ---- delivery: the bus's thread -----------------------------------------------------------------

void EventBus::Impl::deliver_all() {
    std::vector<bus::EventPtr> batch;
    std::unique_lock lock{mutex};
    for (;;) {
        wake.wait(lock, [this] { return ending || !inbox.empty(); });
        if (ending) return;
        batch.swap(inbox);
        std::uint64_t next = number - batch.size();
        lock.unlock();
        for (const bus::EventPtr& event : batch)
            deliver(event, next++);
        batch.clear();
        lock.lock();
    }
}

void EventBus::Impl::deliver(const bus::EventPtr& event, std::uint64_t at) {
    {
        const std::lock_guard lock{routes_mutex};
        routes.find(event->topic, found);
        for (const bus::Routes::Id id : found)
            takers.push_back(states.at(id));
    }
    for (const auto& taker : takers) {
        if (at < taker->first) continue;
        delivered.fetch_add(1, std::memory_order_relaxed);
        Subscription::State::put(taker, event);
    }
    takers.clear();
}

void EventBus::Subscription::State::put(const std::shared_ptr<State>& self, bus::EventPtr event) {
    {
        const std::lock_guard lock{self->mutex};
        self->mailbox.put(std::move(event));
        if (std::exchange(self->posted, true)) return;
    }
    self->post([self] { tell(self); });
}

// ---- where the subscriber lives -----------------------------------------------------------------

// A turn of so many, so that a flood of events does not keep a loop from its other work.
void EventBus::Subscription::State::tell(const std::shared_ptr<State>& self) {
    std::vector<bus::Delivery> turn;
    {
        const std::lock_guard lock{self->mutex};
        if (self->ended) return;
        turn = self->mailbox.take(limits::bus_turn_events);
        self->runs_on = std::this_thread::get_id();
    }
    const bus::Event* const before = told;
    for (const bus::Delivery& each : turn) {
        if (self->ended) break;
        told = each.event.get();
        self->handler(each);
    }
    told = before;
    bool again = false;
    {
        const std::lock_guard lock{self->mutex};
        self->runs_on = {};
        again = !self->ended && !self->mailbox.empty();
        self->posted = again;
    }
    self->quiet.notify_all();
    if (again) self->post([self] { tell(self); });
}

void EventBus::Subscription::State::end() {
    ended = true;
    if (const auto its_bus = bus.lock()) its_bus->remove(id);
    std::unique_lock lock{mutex};
    quiet.wait(lock, [this] {
        return runs_on == std::thread::id{} || runs_on == std::this_thread::get_id();
    });
}

void EventBus::Impl::remove(bus::Routes::Id id) {
    const std::lock_guard lock{routes_mutex};
    const auto found_state = states.find(id);
    if (found_state == states.end()) return;
    {
        const std::lock_guard of_state{found_state->second->mutex};
        lost_of_ended += found_state->second->mailbox.lost();
    }
    routes.remove(id);
    states.erase(found_state);
    --subscribers;
    ++changes;
}

// ---- for everybody ------------------------------------------------------------------------------

EventBus::EventBus(const port::Clock& clock) : impl_{std::make_shared<Impl>(clock)} {
    impl_->thread = std::jthread{[raw = impl_.get()] { raw->deliver_all(); }};
    pthread_setname_np(impl_->thread.native_handle(), "events");
}

EventBus::~EventBus() {
    {
        const std::lock_guard lock{impl_->mutex};
        impl_->ending = true;
    }
    impl_->wake.notify_one();
    impl_->thread.join();
}

Result<EventBus::Subscription> EventBus::subscribe(std::string_view pattern, Post post,
                                                   Handler handler, SubscriberSettings settings) {
    auto parsed = bus::Pattern::parse(pattern);
    if (!parsed) return fail(std::move(parsed));
    auto state =
        std::make_shared<Subscription::State>(std::move(post), std::move(handler), settings);
    state->bus = impl_;
    const std::lock_guard routes_lock{impl_->routes_mutex};
    if (impl_->states.size() >= limits::bus_subscribers_max)
        return fail(ErrorCode::too_many_subscribers);
    state->id = ++impl_->newest;
    impl_->routes.add(state->id, std::move(*parsed));
    impl_->states.emplace(state->id, state);
    ++impl_->subscribers;
    ++impl_->changes;
    const std::lock_guard lock{impl_->mutex};
    state->first = impl_->number;
    return Subscription{std::move(state)};
}

void EventBus::publish(std::string_view topic, std::vector<bus::EventField> fields) {
    TASKD_ASSERT(bus::is_topic(topic));
    if (impl_->subscribers == 0) {
        impl_->unheard.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    auto event = std::make_shared<const bus::Event>(
        bus::Event{std::string{topic}, std::move(fields), impl_->clock.wall()});
    {
        const std::lock_guard lock{impl_->mutex};
        if (impl_->inbox.size() >= limits::bus_inbox_max) {
            ++impl_->lost_at_door;
            return;
        }
        impl_->inbox.push_back(std::move(event));
        ++impl_->number;
        if (impl_->inbox.size() > 1) return;  // the thread has been told
    }
    impl_->wake.notify_one();
}

bool EventBus::is_wanted(std::string_view topic) const {
    std::vector<bus::Routes::Id> ids;
    const std::lock_guard lock{impl_->routes_mutex};
    impl_->routes.find(topic, ids);
    return !ids.empty();
}

std::uint64_t EventBus::listener_changes() const {
    return impl_->changes;
}

BusCounts EventBus::counts() const {
    BusCounts counts;
    {
        const std::lock_guard lock{impl_->mutex};
        counts.published = impl_->number + impl_->lost_at_door + impl_->unheard;
        counts.lost_at_door = impl_->lost_at_door;
    }
    counts.delivered = impl_->delivered;
    counts.lost = impl_->lost_of_ended;
    const std::lock_guard lock{impl_->routes_mutex};
    counts.subscribers = impl_->states.size();
    for (const auto& [id, state] : impl_->states) {
        const std::lock_guard of_state{state->mutex};
        counts.lost += state->mailbox.lost();
    }
    return counts;
}

bool EventBus::is_telling(std::string_view topic_prefix) {
    return told != nullptr && std::string_view{told->topic}.starts_with(topic_prefix);
}

// ---- the subscription ---------------------------------------------------------------------------

EventBus::Subscription::Subscription(std::shared_ptr<State> state) : state_{std::move(state)} {}
EventBus::Subscription::Subscription(Subscription&&) noexcept = default;

EventBus::Subscription& EventBus::Subscription::operator=(Subscription&& other) noexcept {
    if (this == &other) return *this;
    end();
    state_ = std::move(other.state_);
    return *this;
}

EventBus::Subscription::~Subscription() {
    end();
}

void EventBus::Subscription::end() {
    if (const auto state = std::exchange(state_, nullptr)) state->end();
}

std::uint64_t EventBus::Subscription::lost() const {
    if (!state_) return 0;
    const std::lock_guard lock{state_->mutex};
    return state_->mailbox.lost();
}

}  // namespace taskd::runtime
