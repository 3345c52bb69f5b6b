// Topics and who reads them: what publishing and the changes of topics and groups lead to. Nothing
// here changes state.
#include <algorithm>

#include "engine/rules.hpp"

namespace taskd::engine {
namespace {

// What the events before in the same command have led to already.
struct Published {
    std::map<std::string, Topic> topics;  // as they will be
    std::map<std::string, EventSequence> ids;
};

}  // namespace

Decision decide_publish(const Context& context, const Publish& command) {
    const Topics& state = context.state.topics;
    Decision decision;
    Published so_far;
    std::size_t made = 0;
    for (std::size_t i = 0; i < command.events.size(); ++i) {
        const TopicEvent& asked = command.events[i];
        if (asked.id_given) {
            const auto here = so_far.ids.find(id_key(asked));
            const auto before =
                here != so_far.ids.end() ? std::optional{here->second} : state.find_id(asked);
            if (before) {
                decision.topics.published.push_back({*before, true});
                continue;
            }
        }
        const auto [place, first] = so_far.topics.try_emplace(asked.topic);
        Topic& topic = place->second;
        if (first) {
            const TopicState* there = state.find(asked.topic);
            if (there != nullptr) topic = there->topic;
            made += there == nullptr ? 1 : 0;
            if (there == nullptr && state.all().size() + made > limits::topics_max)
                return refuse(ErrorCode::too_many_topics, std::to_string(limits::topics_max), i);
        }
        TopicEvent event = asked;
        event.sequence = topic.newest = topic.newest.next();
        event.total_bytes = topic.total_bytes += bytes_of(event);
        if (event.id_given) so_far.ids[id_key(event)] = event.sequence;
        decision.topics.published.push_back({event.sequence, false});
        decision.records.emplace_back(EventPublished{std::move(event)});
    }
    return decision;
}

Decision decide_set_topic(const Context& context, const SetTopic& command) {
    const Topics& state = context.state.topics;
    const TopicState* there = state.find(command.topic);
    if (there == nullptr && command.change)
        return refuse(ErrorCode::topic_not_found, command.topic);
    if (there == nullptr && state.all().size() >= limits::topics_max)
        return refuse(ErrorCode::too_many_topics, std::to_string(limits::topics_max));
    const TopicRules rules =
        command.change ? command.change->of(there->topic.rules) : command.rules;
    Decision decision;
    if (there == nullptr || there->topic.rules != rules)
        decision.records.emplace_back(TopicChanged{command.topic, rules, context.now.wall});
    return decision;
}

Decision decide_remove_topic(const Context& context, const RemoveTopic& command) {
    if (context.state.topics.find(command.topic) == nullptr)
        return refuse(ErrorCode::topic_not_found, command.topic);
    Decision decision;
    decision.records.emplace_back(TopicRemoved{command.topic});
    return decision;
}

Decision decide_trim(const Context& context, const TrimTopic& command) {
    const TopicState* there = context.state.topics.find(command.topic);
    Decision decision;
    if (there == nullptr || command.through < there->topic.oldest ||
        command.through > there->topic.newest)
        return decision;
    decision.records.emplace_back(
        TopicTrimmed{command.topic, command.through, command.total_bytes, context.now.wall});
    return decision;
}

namespace {

// Where a group begins in a topic that is there already.
EventSequence start_in(const Topic& topic, const SetSubscription& command) {
    const StartAt& start = command.spec.start;
    switch (start.from) {
        case StartAt::From::newest:
            return topic.newest.next();
        case StartAt::From::sequence:
            return std::clamp(start.sequence, topic.oldest, topic.newest.next());
        case StartAt::From::time: {
            const auto found = command.found.find(topic.name);
            if (found == command.found.end()) return topic.newest.next();
            return std::clamp(found->second, topic.oldest, topic.newest.next());
        }
        case StartAt::From::oldest:
            break;
    }
    return topic.oldest;
}

}  // namespace

Decision decide_set_subscription(const Context& context, const SetSubscription& command) {
    const Topics& state = context.state.topics;
    const auto pattern = Pattern::parse(command.spec.pattern);
    if (!pattern) return refuse(ErrorCode::invalid_field, "pattern: " + pattern.error().detail);
    const SubscriptionState* there = state.group(command.spec.group);
    if (there == nullptr && state.groups().size() >= limits::subscriptions_max)
        return refuse(ErrorCode::too_many_subscriptions, std::to_string(limits::subscriptions_max));
    if (there != nullptr && there->sub.spec == command.spec) return {};
    SubscriptionChanged record{command.spec, {}, context.now.wall};
    for (const auto& [name, topic] : state.all()) {
        if (!pattern->matches(name)) continue;
        if (there != nullptr && there->sub.next.contains(name)) continue;
        record.starts.emplace_back(name, start_in(topic.topic, command));
    }
    Decision decision;
    decision.records.emplace_back(std::move(record));
    return decision;
}

Decision decide_remove_subscription(const Context& context, const RemoveSubscription& command) {
    if (context.state.topics.group(command.group) == nullptr)
        return refuse(ErrorCode::subscription_not_found, command.group);
    Decision decision;
    decision.records.emplace_back(SubscriptionRemoved{command.group});
    return decision;
}

}  // namespace taskd::engine
