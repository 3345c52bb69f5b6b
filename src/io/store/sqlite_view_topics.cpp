// What the view has of topics, from the part of it that keeps them.
#include "taskd/io/sqlite_view.hpp"

namespace taskd::io {

Result<std::vector<TopicEvent>> SqliteView::events(const EventRange& range) {
    return topics().events(range);
}
Result<std::optional<EventSequence>> SqliteView::event_at(const std::string& topic, WallTime time) {
    return topics().event_at(topic, time);
}
Result<void> SqliteView::each_topic(const std::function<void(const Topic&)>& take) {
    return topics().each_topic(take);
}
Result<void> SqliteView::each_subscription(const std::function<void(const Subscription&)>& take) {
    return topics().each_subscription(take);
}
Result<void> SqliteView::each_letter(const std::function<void(const TopicChanges::Letter&)>& take) {
    return topics().each_letter(take);
}
Result<void> SqliteView::each_event_id(const std::function<void(const TopicEvent&)>& take) {
    return topics().each_event_id(take);
}

}  // namespace taskd::io
