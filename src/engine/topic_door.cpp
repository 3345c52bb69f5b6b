// The engine's door for topics and groups: what can be read of them, and how they are restored.
#include "engine/state.hpp"
#include "taskd/engine/engine.hpp"

namespace taskd::engine {

const Topic* Engine::topic(const std::string& name) const {
    const TopicState* found = state_->topics.find(name);
    return found == nullptr ? nullptr : &found->topic;
}

void Engine::each_topic(const std::function<void(const Topic&)>& take) const {
    for (const auto& [name, state] : state_->topics.all())
        take(state.topic);
}

std::size_t Engine::topics() const {
    return state_->topics.all().size();
}

const Subscription* Engine::subscription(const std::string& group) const {
    const SubscriptionState* found = state_->topics.group(group);
    return found == nullptr ? nullptr : &found->sub;
}

void Engine::each_subscription(const std::function<void(const Subscription&)>& take) const {
    for (const auto& [name, state] : state_->topics.groups())
        take(state.sub);
}

const std::map<DeliveryKey, DeadLetter>& Engine::dead_letters(const std::string& group) const {
    static const std::map<DeliveryKey, DeadLetter> none;
    const SubscriptionState* found = state_->topics.group(group);
    return found == nullptr ? none : found->dead;
}

std::vector<std::string> Engine::groups_of(const std::string& topic) const {
    std::vector<std::string> names;
    for (const auto& [name, state] : state_->topics.groups())
        if (state.sub.next.contains(topic)) names.push_back(name);
    return names;
}

std::uint64_t Engine::lag_of(const Subscription& subscription) const {
    std::uint64_t lag = subscription.open.size();
    for (const auto& [name, next] : subscription.next)
        if (const Topic* found = topic(name); found != nullptr && found->newest >= next)
            lag += found->newest.value - next.value + 1;
    return lag;
}

bool Engine::may_deliver(const Now& now, const std::string& name) const {
    const SubscriptionState* group = state_->topics.group(name);
    if (group == nullptr) return false;
    if (!group->sub.gaps.empty()) return true;
    if (const auto retry = next_retry(name); retry && *retry <= now.engine) return true;
    for (const DeliveryKey& event : group->ready)
        if (!group->must_wait(event, group->sub.open.at(event).key)) return true;
    return group->has_room() && !group->fresh.empty();
}

std::optional<EngineTime> Engine::next_retry(const std::string& name) const {
    const SubscriptionState* group = state_->topics.group(name);
    if (group == nullptr) return std::nullopt;
    for (const auto& [due, event] : group->retries)
        if (!group->must_wait(event, group->sub.open.at(event).key)) return due;
    return std::nullopt;
}

std::shared_ptr<const TopicEvent> Engine::event(const std::string& topic,
                                                EventSequence place) const {
    return state_->topics.event(topic, place);
}

std::size_t Engine::event_bytes() const {
    return state_->topics.event_bytes();
}

void Engine::restore(const Topic& topic) {
    state_->topics.restore(topic);
}

void Engine::restore(const Subscription& subscription) {
    state_->topics.restore(subscription);
}

void Engine::restore(const std::string& group, const DeliveryKey& event, const DeadLetter& letter) {
    state_->topics.restore(group, event, letter);
}

void Engine::restore(const std::string& event_id, const DeliveryKey& event) {
    state_->topics.restore(event_id, event);
}

TopicChanges Engine::take_changed_topics() {
    return state_->topics.take_changes();
}

}  // namespace taskd::engine
