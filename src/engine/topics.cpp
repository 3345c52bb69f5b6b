// What each record of topics and groups does to the state.
#include "engine/topics.hpp"

#include <algorithm>

#include "taskd/base/assert.hpp"

namespace taskd::engine {

bool SubscriptionState::must_wait(const DeliveryKey& event, const std::string& key) const {
    if (!sub.spec.ordered || key.empty()) return false;
    const auto line = lines.find({event.topic, key});
    return line != lines.end() && *line->second.begin() < event.sequence;
}

const TopicState* Topics::find(const std::string& topic) const {
    const auto found = topics_.find(topic);
    return found == topics_.end() ? nullptr : &found->second;
}

const SubscriptionState* Topics::group(const std::string& name) const {
    const auto found = groups_.find(name);
    return found == groups_.end() ? nullptr : &found->second;
}

SubscriptionState& Topics::at(const std::string& group) {
    const auto found = groups_.find(group);
    TASKD_ASSERT(found != groups_.end());
    return found->second;
}

EventPtr Topics::event(const std::string& topic, EventSequence place) const {
    const TopicState* state = find(topic);
    if (state == nullptr) return nullptr;
    const auto found = state->events.find(place);
    return found == state->events.end() ? nullptr : found->second;
}

std::optional<EventSequence> Topics::find_id(const TopicEvent& event) const {
    const auto found = ids_.find(id_key(event));
    const TopicState* state = find(event.topic);
    if (found == ids_.end() || state == nullptr) return std::nullopt;
    const EventSequence place = found->second.sequence;
    if (place < state->topic.oldest || place > state->topic.newest) return std::nullopt;
    return place;
}

std::optional<EngineTime> Topics::next_deadline() const {
    if (deadlines_.empty()) return std::nullopt;
    return std::get<0>(*deadlines_.begin());
}

std::size_t Topics::forgettable(Sequence covered, std::size_t bytes_max) const {
    std::size_t count = 0;
    std::size_t bytes = event_bytes_;
    for (const Kept& kept : kept_) {
        if (bytes <= bytes_max || kept.made_as > covered) break;
        bytes -= kept.bytes;
        ++count;
    }
    return count;
}

void Topics::forget_oldest() {
    TASKD_ASSERT(!kept_.empty());
    const Kept kept = std::move(kept_.front());
    kept_.pop_front();
    event_bytes_ -= kept.bytes;
    const auto topic = topics_.find(kept.event.topic);
    if (topic == topics_.end()) return;
    const auto found = topic->second.events.find(kept.event.sequence);
    if (found != topic->second.events.end()) topic->second.events.erase(found);
}

TopicState& Topics::make(const std::string& name, WallTime at) {
    const auto [place, made] = topics_.try_emplace(name);
    changed_topics_.insert(name);
    if (!made) return place->second;
    Topic& topic = place->second.topic;
    topic.name = name;
    topic.made_at = at;
    for (auto& [group, state] : groups_) {
        if (!state.pattern.matches(name)) continue;
        state.sub.next.emplace(name, EventSequence{1});
        compare(state, name);
        changed(state);
    }
    return place->second;
}

void Topics::compare(SubscriptionState& group, const std::string& topic) {
    const std::string& name = group.sub.spec.group;
    const auto state = topics_.find(topic);
    const auto next = group.sub.next.find(topic);
    const bool reads = state != topics_.end() && next != group.sub.next.end();
    const bool fresh = reads && next->second <= state->second.topic.newest;
    if (fresh)
        group.fresh.insert(topic);
    else
        group.fresh.erase(topic);
    if (state == topics_.end()) return;
    if (reads && !fresh)
        state->second.up_to_date.insert(name);
    else
        state->second.up_to_date.erase(name);
}

std::vector<std::string> Topics::faults() const {
    std::vector<std::string> found;
    for (const auto& [name, group] : groups_) {
        std::size_t fresh = 0;
        for (const auto& [topic, next] : group.sub.next) {
            const TopicState* state = find(topic);
            const bool is_fresh = state != nullptr && next <= state->topic.newest;
            fresh += is_fresh ? 1 : 0;
            if (is_fresh != group.fresh.contains(topic) ||
                (state != nullptr && is_fresh == state->up_to_date.contains(name)))
                found.push_back("what topic " + topic + " has for group " + name);
        }
        if (fresh != group.fresh.size()) found.push_back("fresh topics of group " + name);
    }
    return found;
}

void Topics::apply(Sequence, const TopicChanged& record) {
    make(record.topic, record.at).topic.rules = record.rules;
}

void Topics::apply(Sequence sequence, const EventPublished& record) {
    const TopicEvent& event = record.event;
    TopicState& state = make(event.topic, event.at);
    TASKD_ASSERT(event.sequence == state.topic.newest.next());
    state.topic.newest = event.sequence;
    state.topic.total_bytes = event.total_bytes;
    for (const std::string& group : std::exchange(state.up_to_date, {}))
        compare(at(group), event.topic);
    auto shared = std::make_shared<const TopicEvent>(event);
    state.events.emplace(event.sequence, shared);
    const DeliveryKey key{event.topic, event.sequence};
    const std::size_t bytes = bytes_of(event) + sizeof event;
    kept_.push_back({sequence, key, bytes});
    event_bytes_ += bytes;
    if (event.id_given) know_id(id_key(event), key);
    changes_.events.push_back({sequence, std::move(shared)});
}

void Topics::know_id(const std::string& event_id, const DeliveryKey& event) {
    const auto [place, is_new] = ids_.insert_or_assign(event_id, event);
    if (is_new) id_order_.push_back(event_id);
    if (id_order_.size() <= limits::event_ids_in_memory) return;
    ids_.erase(id_order_.front());
    id_order_.pop_front();
}

void Topics::apply(Sequence, const TopicRemoved& record) {
    const auto found = topics_.find(record.topic);
    TASKD_ASSERT(found != topics_.end());
    topics_.erase(found);
    std::erase_if(kept_, [&](const Kept& kept) {
        if (kept.event.topic != record.topic) return false;
        event_bytes_ -= kept.bytes;
        return true;
    });
    std::erase_if(changes_.events,
                  [&](const auto& each) { return each.event->topic == record.topic; });
    // One of the same name begins at 1 again: what was known of this one's places would be wrong.
    if (std::erase_if(ids_, [&](const auto& each) { return each.second.topic == record.topic; }))
        std::erase_if(id_order_, [&](const std::string& id) { return !ids_.contains(id); });
    for (auto& [name, group] : groups_)
        leave(group, record.topic);
    changed_topics_.erase(record.topic);
    trimmed_.erase(record.topic);
    changes_.gone_topics.push_back(record.topic);
}

// The group reads the topic no longer.
void Topics::leave(SubscriptionState& group, const std::string& topic) {
    if (group.sub.next.erase(topic) == 0) return;
    compare(group, topic);
    const auto first = [&](const auto& map) { return map.lower_bound({topic, EventSequence{0}}); };
    for (auto each = first(group.sub.open);
         each != group.sub.open.end() && each->first.topic == topic; each = first(group.sub.open))
        close(group, each->first);
    for (auto each = first(group.dead); each != group.dead.end() && each->first.topic == topic;
         each = first(group.dead))
        drop_letter(group, each->first);
    std::erase_if(group.sub.gaps, [&](const Gap& gap) { return gap.topic == topic; });
    changed(group);
}

void Topics::apply(Sequence, const TopicTrimmed& record) {
    const auto found = topics_.find(record.topic);
    TASKD_ASSERT(found != topics_.end());
    TopicState& state = found->second;
    state.topic.oldest = record.through.next();
    state.topic.gone_bytes = record.total_bytes;
    state.events.erase(state.events.begin(), state.events.upper_bound(record.through));
    for (auto& [name, group] : groups_)
        if (group.sub.next.contains(record.topic)) lose(group, record);
    changed_topics_.insert(record.topic);
    trimmed_[record.topic] = record.through;
}

// What the group had not settled of what is gone, it has lost, and is told so.
void Topics::lose(SubscriptionState& group, const TopicTrimmed& record) {
    EventSequence& next = group.sub.next.at(record.topic);
    std::vector<DeliveryKey> lost;
    for (auto each = group.sub.open.lower_bound({record.topic, EventSequence{0}});
         each != group.sub.open.end() && each->first.topic == record.topic &&
         each->first.sequence <= record.through;
         ++each)
        if (!each->second.redriven) lost.push_back(each->first);
    Gap gap{record.topic, next, record.through, lost.size(), record.at};
    if (!lost.empty()) gap.from = lost.front().sequence;
    if (!lost.empty()) gap.to = lost.back().sequence;
    if (next <= record.through) {
        gap.count += record.through.value - next.value + 1;
        gap.to = record.through;
        next = record.through.next();
        compare(group, record.topic);
        changed(group);
    }
    if (gap.count == 0) return;
    for (const DeliveryKey& event : lost)
        close(group, event);
    group.sub.lost += gap.count;
    group.sub.last_gap = gap;
    const auto told = std::ranges::find(group.sub.gaps, gap.topic, &Gap::topic);
    if (told == group.sub.gaps.end()) {
        group.sub.gaps.push_back(gap);
    } else {
        told->from = std::min(told->from, gap.from);
        told->to = std::max(told->to, gap.to);
        told->count += gap.count;
        told->at = gap.at;
    }
    changed(group);
}

void Topics::apply(Sequence sequence, const SubscriptionChanged& record) {
    auto pattern = Pattern::parse(record.spec.pattern);
    TASKD_ASSERT(pattern);
    const std::string& name = record.spec.group;
    auto found = groups_.find(name);
    if (found == groups_.end()) {
        found =
            groups_
                .emplace(name, SubscriptionState{Subscription{}, *pattern, {}, {}, {}, {}, 0, {}})
                .first;
        found->second.sub.made_at = record.at;
        // Greater than any epoch of a group of this name before: there is one a record at most.
        found->second.sub.epoch = LeaseEpoch{sequence.value};
    }
    SubscriptionState& group = found->second;
    group.pattern = std::move(*pattern);
    std::vector<std::string> left;
    for (const auto& [topic, next] : group.sub.next)
        if (!group.pattern.matches(topic)) left.push_back(topic);
    for (const std::string& topic : left)
        leave(group, topic);
    // Whether keys keep their order may have changed: the indexes are made anew.
    auto open = group.sub.open;
    for (const auto& [event, delivery] : open)
        take(group, event, delivery);
    group.sub.spec = record.spec;
    for (const auto& [event, delivery] : open)
        put(group, event, delivery);
    for (const auto& [topic, start] : record.starts) {
        group.sub.next.emplace(topic, start);
        compare(group, topic);
    }
    changed(group);
}

void Topics::apply(Sequence, const SubscriptionRemoved& record) {
    SubscriptionState& group = at(record.group);
    while (!group.sub.open.empty())
        close(group, DeliveryKey{group.sub.open.begin()->first});
    for (const auto& [topic, next] : group.sub.next)
        if (const auto state = topics_.find(topic); state != topics_.end())
            state->second.up_to_date.erase(record.group);
    dead_letters_ -= group.dead.size();
    std::erase_if(changed_letters_, [&](const auto& each) { return each.first == record.group; });
    changed_groups_.erase(record.group);
    changes_.gone_groups.push_back(record.group);
    groups_.erase(record.group);
}

void Topics::put(SubscriptionState& group, const DeliveryKey& event, const Delivery& delivery) {
    if (delivery.leased) {
        deadlines_.emplace(delivery.until, group.sub.spec.group, event);
        ++group.leased;
    } else if (delivery.due_at) {
        group.retries.emplace(*delivery.due_at, event);
    } else {
        group.ready.insert(event);
    }
    if (group.sub.spec.ordered && !delivery.key.empty())
        group.lines[{event.topic, delivery.key}].insert(event.sequence);
}

void Topics::take(SubscriptionState& group, const DeliveryKey& event, const Delivery& delivery) {
    if (delivery.leased) {
        deadlines_.erase({delivery.until, group.sub.spec.group, event});
        --group.leased;
    } else if (delivery.due_at) {
        group.retries.erase({*delivery.due_at, event});
    } else {
        group.ready.erase(event);
    }
    const auto line = group.lines.find({event.topic, delivery.key});
    if (line == group.lines.end()) return;
    line->second.erase(event.sequence);
    if (line->second.empty()) group.lines.erase(line);
}

void Topics::close(SubscriptionState& group, const DeliveryKey& key) {
    const DeliveryKey event = key;  // it may stand in what goes
    const auto found = group.sub.open.find(event);
    TASKD_ASSERT(found != group.sub.open.end());
    take(group, event, found->second);
    if (found->second.redriven) letter_changed(group.sub.spec.group, event);
    group.sub.open.erase(found);
    changed(group);
}

void Topics::letter_changed(const std::string& group, const DeliveryKey& event) {
    changed_letters_.emplace(group, event);
}

void Topics::bury(SubscriptionState& group, const DeliveryKey& event, DeadLetter letter) {
    dead_letters_ += group.dead.insert_or_assign(event, std::move(letter)).second ? 1 : 0;
    letter_changed(group.sub.spec.group, event);
}

void Topics::drop_letter(SubscriptionState& group, const DeliveryKey& key) {
    const DeliveryKey event = key;
    dead_letters_ -= group.dead.erase(event);
    letter_changed(group.sub.spec.group, event);
}

void Topics::apply(Sequence, const DeliveriesLeased& record) {
    SubscriptionState& group = at(record.group);
    for (const auto& item : record.items) {
        EventSequence& next = group.sub.next.at(item.event.topic);
        const auto [place, came] = group.sub.open.try_emplace(item.event);
        Delivery& delivery = place->second;
        if (!came) take(group, item.event, delivery);
        if (came) delivery.key = item.key;
        if (came) next = std::max(next, item.event.sequence.next());
        if (!item.held) {
            delivery.leased = true;
            delivery.epoch = record.epoch;
            delivery.until = record.until;
            delivery.consumer = record.consumer;
            ++delivery.attempts;
            delivery.due_at.reset();
            delivery.due_shown.reset();
        }
        put(group, item.event, delivery);
    }
    for (std::size_t i = 0; i < record.items.size(); ++i)
        if (i == 0 || record.items[i].event.topic != record.items[i - 1].event.topic)
            compare(group, record.items[i].event.topic);
    group.sub.epoch = record.epoch;
    changed(group);
}

void Topics::apply(Sequence, const DeliveriesEnded& record) {
    SubscriptionState& group = at(record.group);
    for (const auto& item : record.items) {
        const auto found = group.sub.open.find(item.event);
        TASKD_ASSERT(found != group.sub.open.end());
        Delivery& delivery = found->second;
        if (item.end == DeliveryEnd::acknowledged) {
            ++group.sub.acknowledged;
            close(group, item.event);
            continue;
        }
        const bool released = item.end == DeliveryEnd::released;
        if (!released) ++(item.end == DeliveryEnd::failed ? group.sub.failed : group.sub.timed_out);
        if (!released && !item.due_at) {
            ++group.sub.dead;
            const std::uint32_t attempts = delivery.attempts;
            close(group, item.event);
            bury(group, item.event, {attempts, item.error, record.at});
            continue;
        }
        take(group, item.event, delivery);
        delivery.leased = false;
        delivery.consumer.clear();
        delivery.due_at = item.due_at;
        delivery.due_shown = item.due_shown;
        if (released)
            --delivery.attempts;
        else
            delivery.error = item.error;
        put(group, item.event, delivery);
    }
    changed(group);
}

void Topics::apply(Sequence, const DeadLettersChanged& record) {
    SubscriptionState& group = at(record.group);
    for (const auto& item : record.items) {
        TASKD_ASSERT(group.dead.contains(item.event));
        drop_letter(group, item.event);
        if (record.dropped) continue;
        Delivery& delivery = group.sub.open[item.event];
        delivery.key = item.key;
        delivery.redriven = true;
        put(group, item.event, delivery);
    }
    changed(group);
}

void Topics::apply(Sequence, const GapsTold& record) {
    SubscriptionState& group = at(record.group);
    group.sub.gaps.clear();
    changed(group);
}

void Topics::extend_leases(EngineTime resumed_at) {
    Deadlines extended;
    for (const auto& [old, name, event] : deadlines_) {
        SubscriptionState& group = at(name);
        const EngineTime later = std::max(old, resumed_at + group.sub.spec.ack_timeout);
        group.sub.open.at(event).until = later;
        extended.emplace(later, name, event);
    }
    deadlines_ = std::move(extended);
}

void Topics::renew(const std::string& name, const DeliveryKey& event, EngineTime until) {
    SubscriptionState& group = at(name);
    Delivery& delivery = group.sub.open.at(event);
    deadlines_.erase({delivery.until, name, event});
    delivery.until = until;
    deadlines_.emplace(until, name, event);
}

void Topics::restore(const Topic& topic) {
    topics_[topic.name].topic = topic;
}

void Topics::restore(const Subscription& subscription) {
    auto pattern = Pattern::parse(subscription.spec.pattern);
    TASKD_ASSERT(pattern);
    SubscriptionState& group =
        groups_
            .emplace(subscription.spec.group,
                     SubscriptionState{subscription, *pattern, {}, {}, {}, {}, 0, {}})
            .first->second;
    for (const auto& [event, delivery] : group.sub.open)
        put(group, event, delivery);
    for (const auto& [topic, next] : group.sub.next)
        compare(group, topic);
}

void Topics::restore(const std::string& name, const DeliveryKey& event, const DeadLetter& letter) {
    SubscriptionState& group = at(name);
    const auto open = group.sub.open.find(event);
    if (open != group.sub.open.end() && open->second.redriven) return;
    dead_letters_ += group.dead.emplace(event, letter).second ? 1 : 0;
}

void Topics::restore(const std::string& event_id, const DeliveryKey& event) {
    know_id(event_id, event);
}

TopicChanges Topics::take_changes() {
    TopicChanges changes = std::exchange(changes_, {});
    for (const std::string& name : std::exchange(changed_topics_, {}))
        changes.topics.push_back(topics_.at(name).topic);
    for (const std::string& name : std::exchange(changed_groups_, {}))
        changes.subscriptions.push_back(groups_.at(name).sub);
    for (const auto& [name, event] : std::exchange(changed_letters_, {})) {
        const SubscriptionState& group = groups_.at(name);
        const auto dead = group.dead.find(event);
        const auto open = group.sub.open.find(event);
        if (dead != group.dead.end())
            changes.letters.push_back({name, event, dead->second});
        else if (open == group.sub.open.end() || !open->second.redriven)
            changes.letters.push_back({name, event, std::nullopt});
        else  // its event is kept until it is settled, also when the view never knew it as dead
            changes.letters.push_back({name, event, DeadLetter{}});
    }
    for (const auto& [topic, through] : std::exchange(trimmed_, {}))
        changes.trimmed.emplace_back(topic, through);
    return changes;
}

}  // namespace taskd::engine
