// The view's twin, as far as topics go: the same promises in maps.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "taskd/port/topic_rows.hpp"

namespace taskd::sim {

struct MemoryTopics {
    struct Row {
        Sequence made_as;
        TopicEvent event;
    };
    struct Letter {
        DeadLetter letter;
        TopicEvent event;
    };
    std::map<std::string, Topic> topics;
    std::map<std::string, Subscription> groups;
    std::map<DeliveryKey, Row> events;
    std::map<std::pair<std::string, DeliveryKey>, Letter> letters;

    void store(const TopicChanges& changes) {
        for (const std::string& topic : changes.gone_topics) {
            topics.erase(topic);
            std::erase_if(events, [&](const auto& each) { return each.first.topic == topic; });
        }
        for (const std::string& group : changes.gone_groups) {
            groups.erase(group);
            std::erase_if(letters, [&](const auto& each) { return each.first.first == group; });
        }
        for (const auto& [made_as, event] : changes.events)
            events[{event->topic, event->sequence}] = {made_as, *event};
        for (const Topic& topic : changes.topics)
            topics[topic.name] = topic;
        for (const Subscription& group : changes.subscriptions)
            groups[group.spec.group] = group;
        for (const auto& letter : changes.letters)
            store(letter);
        for (const auto& [topic, through] : changes.trimmed)
            std::erase_if(events, [&](const auto& each) {
                return each.first.topic == topic && each.first.sequence <= through;
            });
    }

    void store(const TopicChanges::Letter& letter) {
        const std::pair place{letter.group, letter.event};
        if (!letter.letter) {
            letters.erase(place);
            return;
        }
        const auto there = letters.find(place);
        const auto event = events.find(letter.event);
        if (there != letters.end())
            there->second.letter = *letter.letter;
        else if (event != events.end())
            letters[place] = {*letter.letter, event->second.event};
    }

    static TopicEvent seen(TopicEvent event, const EventRange& range) {
        if (range.bare) event.body = {};
        return event;
    }

    std::vector<TopicEvent> find(const EventRange& range) const {
        std::vector<TopicEvent> found;
        const auto copy = letters.find({range.group, {range.topic, range.from}});
        if (!range.group.empty() && copy != letters.end()) {
            found.push_back(seen(copy->second.event, range));
            return found;
        }
        std::size_t bytes = 0;
        for (auto each = events.lower_bound({range.topic, range.from});
             each != events.end() && each->first.topic == range.topic; ++each) {
            const TopicEvent& event = each->second.event;
            bytes += bytes_of(event);
            const bool other = !range.group.empty() && event.sequence != range.from;
            const bool enough = !found.empty() && bytes > range.bytes;
            if (other || enough || found.size() == range.count) break;
            found.push_back(seen(event, range));
        }
        return found;
    }
};

}  // namespace taskd::sim
