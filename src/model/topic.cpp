#include "taskd/model/topic.hpp"

namespace taskd {

bool is_group_name(std::string_view text) {
    return is_instance_name(text);
}

std::size_t bytes_of(const TopicEvent& event) {
    std::size_t bytes = event.topic.size() + event.id.size() + event.source.size() +
                        event.type.size() + event.key.size() + event.trace.size() +
                        event.content_type.size() + event.body.size();
    for (const auto& [name, value] : event.headers)
        bytes += name.size() + value.size();
    return bytes;
}

std::string id_key(const TopicEvent& event) {
    std::string key;
    key.reserve(event.topic.size() + event.source.size() + event.id.size() + 2);
    key.append(event.topic).push_back('\0');
    key.append(event.source).push_back('\0');
    return key.append(event.id);
}

EventSequence cursor_of(const Subscription& subscription, const std::string& topic) {
    const auto next = subscription.next.find(topic);
    if (next == subscription.next.end()) return EventSequence{1};
    EventSequence cursor = next->second;
    for (auto each = subscription.open.lower_bound({topic, EventSequence{0}});
         each != subscription.open.end() && each->first.topic == topic; ++each) {
        if (each->second.redriven) continue;
        cursor = std::min(cursor, each->first.sequence);
        break;
    }
    return cursor;
}

}  // namespace taskd
