// The event bus of a process. Publishers hand an event in and go on; one thread finds who wants it
// and puts it into their mailboxes; each subscriber's handler runs where the subscriber lives. So
// all see events in one order, and one that is slow fills its own mailbox and nobody else's.
//
// Thread-safe. It outlives its publishers; subscriptions may outlive it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "taskd/base/limits.hpp"
#include "taskd/base/result.hpp"
#include "taskd/bus/event.hpp"
#include "taskd/bus/mailbox.hpp"
#include "taskd/port/clock.hpp"

namespace taskd::runtime {

struct SubscriberSettings {
    std::size_t capacity = limits::bus_queue_default;
    bus::WhenFull when_full = bus::WhenFull::drop_oldest;
};

// Since the bus was made.
struct BusCounts {
    std::uint64_t published = 0;
    std::uint64_t delivered = 0;     // put into a mailbox, once for each
    std::uint64_t lost = 0;          // by a full mailbox, once for each
    std::uint64_t lost_at_door = 0;  // publishers were too far ahead of delivery
    std::uint64_t subscribers = 0;   // now
};

class EventBus final : public bus::Publisher {
  public:
    // Runs a job where a subscriber lives, soon and not within the call: as Loop::post does.
    using Post = std::function<void(std::function<void()>)>;
    using Handler = std::function<void(const bus::Delivery&)>;

    explicit EventBus(const port::Clock& clock);
    ~EventBus() override;  // what waits is dropped
    EventBus(const EventBus&) = delete;
    EventBus& operator=(const EventBus&) = delete;

    // A subscription ends with the object: once that is gone the handler does not run any more.
    // It may go within its own handler; elsewhere it waits for a handler that runs on another
    // thread, which therefore must not wait for the one that ends it.
    class Subscription {
      public:
        Subscription() = default;
        Subscription(Subscription&&) noexcept;
        Subscription& operator=(Subscription&&) noexcept;
        ~Subscription();
        void end();
        std::uint64_t lost() const;  // 0 after the end

      private:
        friend class EventBus;
        struct State;
        explicit Subscription(std::shared_ptr<State> state);
        std::shared_ptr<State> state_;
    };

    // Events published from now on. invalid_field for the pattern, too_many_subscribers.
    [[nodiscard]] Result<Subscription> subscribe(std::string_view pattern, Post post,
                                                 Handler handler, SubscriberSettings = {});

    void publish(std::string_view topic, std::vector<bus::EventField> fields) override;

    bool is_wanted(std::string_view topic) const override;
    std::uint64_t listener_changes() const override;

    BusCounts counts() const;

    // Whether the calling thread is in a handler that was given such an event: what it says then
    // must not come back to it.
    static bool is_telling(std::string_view topic_prefix);

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace taskd::runtime
