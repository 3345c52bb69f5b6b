// What has changed of topics and groups between two marks of the view, as it is at the later one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "taskd/model/topic.hpp"

namespace taskd {

// In the order of its fields: what is gone goes first, because it may have come anew.
struct TopicChanges {
    struct Event {
        Sequence made_as;  // the record that published it
        std::shared_ptr<const TopicEvent> event;
    };
    struct Letter {
        std::string group;
        DeliveryKey event;
        std::optional<DeadLetter> letter;  // none: gone, with the copy of its event
    };
    std::vector<std::string> gone_topics;
    std::vector<std::string> gone_groups;
    std::vector<Event> events;
    std::vector<Topic> topics;
    std::vector<Subscription> subscriptions;
    std::vector<Letter> letters;                                 // before their events are trimmed
    std::vector<std::pair<std::string, EventSequence>> trimmed;  // topics; through
};

}  // namespace taskd
