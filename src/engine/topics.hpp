// What the engine remembers of topics and groups. A topic's log is in the view; here are its bounds
// and the events that the view may not have yet. Everything follows from the records applied; the
// indexes (ready, retries, deadlines, keys) are derived from open deliveries in `put` and `take`,
// and which topics have something new for which groups in `compare`.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "taskd/model/pattern.hpp"
#include "taskd/model/record.hpp"
#include "taskd/model/topic_changes.hpp"

namespace taskd::engine {

using EventPtr = std::shared_ptr<const TopicEvent>;

struct TopicState {
    Topic topic;
    std::map<EventSequence, EventPtr> events;  // those in memory
    std::set<std::string> up_to_date;          // groups that were given all of it
};

struct SubscriptionState {
    Subscription sub;
    Pattern pattern;
    std::set<DeliveryKey> ready;                           // came in, not out, no wait for a time
    std::set<std::pair<EngineTime, DeliveryKey>> retries;  // wait for a time
    // Open ones of a key, in an ordered group.
    std::map<std::pair<std::string, std::string>, std::set<EventSequence>> lines;
    std::map<DeliveryKey, DeadLetter> dead;
    std::size_t leased = 0;
    std::set<std::string> fresh;  // topics with something that was not given to it

    // Whether an earlier event of its key is open.
    bool must_wait(const DeliveryKey& event, const std::string& key) const;
    bool has_room() const { return sub.open.size() < limits::deliveries_open_max; }
};

class Topics {
  public:
    const TopicState* find(const std::string& topic) const;
    const SubscriptionState* group(const std::string& name) const;
    const std::map<std::string, TopicState>& all() const { return topics_; }
    const std::map<std::string, SubscriptionState>& groups() const { return groups_; }
    EventPtr event(const std::string& topic, EventSequence place) const;
    // Of an event with this id that is still kept.
    std::optional<EventSequence> find_id(const TopicEvent& event) const;
    std::optional<EngineTime> next_deadline() const;
    // Leased deliveries in the order in which they run out: until, group, event.
    using Deadlines = std::set<std::tuple<EngineTime, std::string, DeliveryKey>>;
    const Deadlines& deadlines() const { return deadlines_; }
    std::size_t dead_letters() const { return dead_letters_; }
    std::size_t event_bytes() const { return event_bytes_; }
    // How many of the oldest events in memory may leave it once the view has come so far.
    std::size_t forgettable(Sequence covered, std::size_t bytes_max) const;

    void apply(Sequence sequence, const TopicChanged& record);
    void apply(Sequence sequence, const TopicRemoved& record);
    void apply(Sequence sequence, const TopicTrimmed& record);
    void apply(Sequence sequence, const EventPublished& record);
    void apply(Sequence sequence, const SubscriptionChanged& record);
    void apply(Sequence sequence, const SubscriptionRemoved& record);
    void apply(Sequence sequence, const DeliveriesLeased& record);
    void apply(Sequence sequence, const DeliveriesEnded& record);
    void apply(Sequence sequence, const DeadLettersChanged& record);
    void apply(Sequence sequence, const GapsTold& record);
    // Whoever holds an event after a restart has its group's whole time for it once more.
    void extend_leases(EngineTime resumed_at);
    void renew(const std::string& group, const DeliveryKey& event, EngineTime until);
    void forget_oldest();

    void restore(const Topic& topic);
    void restore(const Subscription& subscription);
    void restore(const std::string& group, const DeliveryKey& event, const DeadLetter& letter);
    void restore(const std::string& event_id, const DeliveryKey& event);

    TopicChanges take_changes();
    // What the indexes say of topics and groups, held against these; empty when all is well.
    std::vector<std::string> faults() const;

  private:
    TopicState& make(const std::string& topic, WallTime at);
    SubscriptionState& at(const std::string& group);
    // An open delivery into the indexes and out of them.
    void put(SubscriptionState& group, const DeliveryKey& event, const Delivery& delivery);
    // Where the topic ends, and what of it the group gets next, after either has changed.
    void compare(SubscriptionState& group, const std::string& topic);
    void take(SubscriptionState& group, const DeliveryKey& event, const Delivery& delivery);
    void close(SubscriptionState& group, const DeliveryKey& event);  // settled, or gone
    void bury(SubscriptionState& group, const DeliveryKey& event, DeadLetter letter);
    void drop_letter(SubscriptionState& group, const DeliveryKey& event);
    void leave(SubscriptionState& group, const std::string& topic);
    void lose(SubscriptionState& group, const TopicTrimmed& record);
    void know_id(const std::string& event_id, const DeliveryKey& event);
    void changed(SubscriptionState& group) { changed_groups_.insert(group.sub.spec.group); }
    void letter_changed(const std::string& group, const DeliveryKey& event);

    std::map<std::string, TopicState> topics_;
    std::map<std::string, SubscriptionState> groups_;
    Deadlines deadlines_;
    std::size_t dead_letters_ = 0;

    struct Kept {
        Sequence made_as;
        DeliveryKey event;
        std::size_t bytes = 0;
    };
    std::deque<Kept> kept_;  // events in memory, oldest first
    std::size_t event_bytes_ = 0;
    std::unordered_map<std::string, DeliveryKey> ids_;  // by id_key
    std::deque<std::string> id_order_;

    std::set<std::string> changed_topics_;
    std::set<std::string> changed_groups_;
    std::set<std::pair<std::string, DeliveryKey>> changed_letters_;
    std::map<std::string, EventSequence> trimmed_;
    TopicChanges changes_;  // what is gone, and events
};

}  // namespace taskd::engine
