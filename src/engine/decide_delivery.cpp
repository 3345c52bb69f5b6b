// Deliveries: what a group may have, and how its consumers end what they have. Nothing here changes
// state.
#include <algorithm>

#include "engine/rules.hpp"

namespace taskd::engine {
namespace {

// In memory, or among what the view was asked for.
EventPtr find_event(const Context& context, const DeliveryKey& event,
                    const std::vector<EventPtr>& known) {
    if (auto here = context.state.topics.event(event.topic, event.sequence)) return here;
    const auto found = std::ranges::find_if(known, [&](const EventPtr& each) {
        return each->topic == event.topic && each->sequence == event.sequence;
    });
    return found == known.end() ? nullptr : *found;
}

// Picks what a consumer gets, in order, up to what it may have.
class Picker {
  public:
    Picker(const Context& context, const SubscriptionState& group, const AskDeliveries& command)
        : context_{context}, topics_{context.state.topics}, group_{group}, command_{command} {
        record_.group = group.sub.spec.group;
        record_.epoch = group.sub.epoch.next();
        record_.consumer = command.consumer;
        record_.until = context.now.engine + group.sub.spec.ack_timeout;
        pick_open(context.now.engine);
        pick_fresh();
    }

    Decision take() {
        Decision decision;
        // What is missing comes first: else what is in memory would always be before it.
        if (!missing_.empty()) {
            decision.topics.fetch = std::move(missing_);
            return decision;
        }
        if (!record_.items.empty()) decision.records.emplace_back(std::move(record_));
        decision.topics.leased = std::move(leased_);
        return decision;
    }

  private:
    bool full() const { return leased_.size() + wanted_ >= command_.max || full_; }

    EventPtr find(const DeliveryKey& event) const {
        return find_event(context_, event, command_.known_events);
    }

    // What the view did not have room to read comes with the next question.
    void want(EventRange range) {
        if (command_.fetched) return;
        wanted_ += range.count;
        missing_.push_back(std::move(range));
    }

    void lease(const DeliveryKey& event, const std::string& key, EventPtr found,
               std::uint32_t attempt) {
        bytes_ += bytes_of(*found);
        if (bytes_ > limits::deliveries_bytes_max && !leased_.empty()) {
            full_ = true;
            return;
        }
        record_.items.push_back({event, key, false});
        leased_.push_back({std::move(found), record_.epoch, attempt});
    }

    // What came in before: due for a retry, released, or held behind its key.
    void pick_open(EngineTime now) {
        const auto pick = [&](const DeliveryKey& event) {
            const Delivery& delivery = group_.sub.open.at(event);
            if (group_.must_wait(event, delivery.key)) return;
            auto found = find(event);
            if (found)
                lease(event, {}, std::move(found), delivery.attempts + 1);
            else
                want({event.topic, event.sequence, 1, limits::deliveries_bytes_max,
                      delivery.redriven ? record_.group : std::string{}});
        };
        for (const auto& [due, event] : group_.retries) {
            if (due > now || full()) break;
            pick(event);
        }
        for (const DeliveryKey& event : group_.ready) {
            if (full()) return;
            pick(event);
        }
    }

    // New ones, the topics in turn.
    void pick_fresh() {
        const auto& next = group_.sub.next;
        if (next.empty()) return;
        auto each = std::next(next.begin(),
                              static_cast<std::ptrdiff_t>(group_.sub.epoch.value % next.size()));
        for (std::size_t i = 0; i < next.size() && !full(); ++i) {
            pick_from(each->first, each->second);
            if (++each == next.end()) each = next.begin();
        }
    }

    void pick_from(const std::string& topic, EventSequence from) {
        const TopicState* state = topics_.find(topic);
        if (state == nullptr) return;
        for (EventSequence place = from; place <= state->topic.newest && !full();
             place = place.next()) {
            if (group_.sub.open.size() + came_ >= limits::deliveries_open_max) {
                full_ = true;
                return;
            }
            const DeliveryKey event{topic, place};
            auto found = find(event);
            if (!found) {
                const std::uint64_t room = command_.max - leased_.size() - wanted_;
                const std::uint64_t there = state->topic.newest.value - place.value + 1;
                const std::size_t count = std::min(room, there);
                want({topic, place, count, limits::deliveries_bytes_max, {}});
                return;
            }
            // Known of every delivery: a group may be told to keep the order later.
            const std::string key = found->key;
            const bool keyed = group_.sub.spec.ordered && !key.empty();
            if (keyed && (group_.must_wait(event, key) || keys_.contains({topic, key}))) {
                record_.items.push_back({event, key, true});
                ++came_;
                continue;
            }
            if (keyed) keys_.insert({topic, key});
            lease(event, key, std::move(found), 1);
            if (!full_) ++came_;
        }
    }

    const Context& context_;
    const Topics& topics_;
    const SubscriptionState& group_;
    const AskDeliveries& command_;
    DeliveriesLeased record_;
    std::vector<TopicAnswer::Leased> leased_;
    std::vector<EventRange> missing_;
    std::size_t wanted_ = 0;                              // events of them
    std::set<std::pair<std::string, std::string>> keys_;  // that came in with this
    std::size_t came_ = 0;
    std::size_t bytes_ = 0;
    bool full_ = false;
};

// Why an attempt failed, as the group keeps it.
TaskError shortened(TaskError error) {
    const auto cut = [](std::string& text, std::size_t most) {
        if (text.size() <= most) return;
        while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80)
            --most;  // not within a character
        text.resize(most);
    };
    cut(error.code, limits::error_code_bytes_max);
    cut(error.message, limits::delivery_error_bytes_max);
    return error;
}

// What becomes of a delivery whose attempt did not succeed; `buried` counts the dead letters that
// the same decision makes.
DeliveriesEnded::Item after(const Context& context, const SubscriptionState& group,
                            const DeliveryKey& event, DeliveryEnd end, TaskError error,
                            Duration least, std::size_t& buried) {
    const SubscriptionSpec& spec = group.sub.spec;
    const std::uint32_t attempts = group.sub.open.at(event).attempts;
    DeliveriesEnded::Item item{event, end, {}, {}, shortened(std::move(error))};
    const bool room = group.dead.size() + buried < limits::dead_letters_max &&
                      context.state.topics.dead_letters() + buried < limits::dead_letters_all_max;
    const bool over = item.error.permanent || attempts >= spec.attempts_max;
    if (over && room) {
        ++buried;
        return item;
    }
    const Duration wait =
        over ? spec.backoff.max : backoff_after(spec.backoff, attempts, context.random);
    item.due_at = context.now.engine + std::max(wait, least);
    item.due_shown = context.now.wall + std::max(wait, least);
    return item;
}

}  // namespace

Decision decide_ask(const Context& context, const AskDeliveries& command) {
    const SubscriptionState* group = context.state.topics.group(command.group);
    if (group == nullptr) return refuse(ErrorCode::subscription_not_found, command.group);
    Decision decision = Picker{context, *group, command}.take();
    if (decision.asks() || group->sub.gaps.empty()) return decision;
    decision.topics.gaps = group->sub.gaps;
    decision.records.emplace_back(GapsTold{command.group});
    return decision;
}

Decision decide_end(const Context& context, const EndDeliveries& command) {
    const SubscriptionState* group = context.state.topics.group(command.group);
    if (group == nullptr) return refuse(ErrorCode::subscription_not_found, command.group);
    Decision decision;
    DeliveriesEnded record{command.group, context.now.wall, {}};
    std::size_t buried = 0;
    std::set<DeliveryKey> ended;
    for (const EndDeliveries::Item& item : command.items) {
        auto& refused = decision.topics.refused.emplace_back();
        const auto open = group->sub.open.find(item.event);
        const bool acknowledged = item.end == DeliveryEnd::acknowledged;
        if (open == group->sub.open.end() || ended.contains(item.event)) {
            const auto next = group->sub.next.find(item.event.topic);
            if (group->dead.contains(item.event))
                refused = stale_delivery("it is a dead letter");
            else if (next != group->sub.next.end() && item.event.sequence >= next->second)
                refused = stale_delivery("it was not delivered yet");
            else if (!acknowledged)
                refused = stale_delivery("it is settled");
            continue;
        }
        const Delivery& delivery = open->second;
        if (delivery.epoch != item.epoch || item.epoch.value == 0) {
            refused = stale_delivery(delivery.leased ? "held by " + delivery.consumer
                                                     : std::string{"it is leased no longer"});
            continue;
        }
        // Done is done, even when its time had run out; anything else needs the lease.
        if (!acknowledged && !delivery.leased) {
            refused = stale_delivery("it is leased no longer");
            continue;
        }
        ended.insert(item.event);
        if (item.end == DeliveryEnd::failed)
            record.items.push_back(after(context, *group, item.event, item.end, item.error,
                                         item.retry_after.value_or(Duration{0}), buried));
        else
            record.items.push_back({item.event, item.end});
    }
    if (!record.items.empty()) decision.records.emplace_back(std::move(record));
    return decision;
}

Decision decide_renew_deliveries(const Context& context, const RenewDeliveries& command) {
    const SubscriptionState* group = context.state.topics.group(command.group);
    if (group == nullptr) return refuse(ErrorCode::subscription_not_found, command.group);
    Decision decision;
    const EngineTime until = context.now.engine + group->sub.spec.ack_timeout;
    for (const RenewDeliveries::Item& item : command.items) {
        auto& refused = decision.topics.refused.emplace_back();
        const auto open = group->sub.open.find(item.event);
        const bool held = open != group->sub.open.end() && open->second.leased &&
                          open->second.epoch == item.epoch;
        if (held)
            decision.notes.emplace_back(DeliveryRenewed{command.group, item.event, until});
        else
            refused = stale_delivery({});
    }
    return decision;
}

namespace {

std::vector<DeliveryKey> letters_of(const SubscriptionState& group,
                                    const ChangeDeadLetters& command) {
    if (!command.events.empty()) return command.events;
    std::vector<DeliveryKey> events;
    for (const auto& [event, letter] : group.dead) {
        if (events.size() >= command.first) break;
        events.push_back(event);
    }
    return events;
}

}  // namespace

Decision decide_dead_letters(const Context& context, const ChangeDeadLetters& command) {
    const SubscriptionState* group = context.state.topics.group(command.group);
    if (group == nullptr) return refuse(ErrorCode::subscription_not_found, command.group);
    DeadLettersChanged record{command.group, command.drop, {}};
    Decision decision;
    std::size_t room =
        limits::deliveries_open_max - std::min(limits::deliveries_open_max, group->sub.open.size());
    std::set<DeliveryKey> seen;  // the letter is there until the record is applied
    for (const DeliveryKey& event : letters_of(*group, command)) {
        if (!seen.insert(event).second) continue;
        if (!group->dead.contains(event))
            return refuse(ErrorCode::dead_letter_not_found,
                          event.topic + ":" + std::to_string(event.sequence.value));
        if (!command.drop && room-- == 0) break;  // the rest when there is room again
        std::string key;
        if (!command.drop) {
            const auto found = find_event(context, event, command.known_events);
            if (!found && !command.fetched) {
                decision.topics.fetch.push_back({.topic = event.topic,
                                                 .from = event.sequence,
                                                 .group = command.group,
                                                 .bare = true});
                continue;
            }
            if (!found) continue;  // it died while the view was asked for others
            key = found->key;
        }
        record.items.push_back({event, std::move(key)});
    }
    if (!decision.topics.fetch.empty()) return decision;
    decision.topics.refused.resize(record.items.size());  // none of those that are changed
    if (!record.items.empty()) decision.records.emplace_back(std::move(record));
    return decision;
}

void deliveries_due(const Context& context, Decision& decision) {
    const Topics& topics = context.state.topics;
    std::map<std::string, DeliveriesEnded> ended;
    std::size_t buried = 0;
    std::size_t left = limits::turn_tasks_max;
    for (const auto& [until, name, event] : topics.deadlines()) {
        if (until > context.now.engine || left-- == 0) break;
        DeliveriesEnded& record = ended[name];
        record.group = name;
        record.at = context.now.wall;
        record.items.push_back(after(context, *topics.group(name), event, DeliveryEnd::timed_out,
                                     {std::string{row_of(ErrorCode::ack_timeout).name},
                                      std::string{row_of(ErrorCode::ack_timeout).text}, false},
                                     Duration{0}, buried));
    }
    for (auto& [name, record] : ended)
        decision.records.emplace_back(std::move(record));
}

}  // namespace taskd::engine
