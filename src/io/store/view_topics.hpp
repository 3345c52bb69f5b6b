// Topics, events, groups and dead letters as rows of the view's file. A part of SqliteView: within
// its transactions, on its lane.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "io/store/sqlite_db.hpp"
#include "taskd/port/topic_rows.hpp"

namespace taskd::io {

// The tables, for a new file and for one of an earlier version.
extern const char topic_tables[];

class ViewTopics final : public port::TopicRows {
  public:
    Result<void> prepare(SqliteDb& db);
    Result<void> store(const TopicChanges& changes);

    Result<std::vector<TopicEvent>> events(const EventRange& range) override;
    Result<std::optional<EventSequence>> event_at(const std::string& topic, WallTime time) override;
    Result<void> each_topic(const std::function<void(const Topic&)>& take) override;
    Result<void> each_subscription(const std::function<void(const Subscription&)>& take) override;
    Result<void> each_letter(const std::function<void(const TopicChanges::Letter&)>& take) override;
    Result<void> each_event_id(const std::function<void(const TopicEvent&)>& take) override;

  private:
    Result<void> drop(const TopicChanges& changes);
    Result<void> store_events(const TopicChanges& changes);
    Result<void> store_letter(const TopicChanges::Letter& letter);
    Result<std::optional<TopicEvent>> letter_event(const EventRange& range);
    static Result<TopicEvent> event_of(const SqliteStatement& row, bool bare);

    SqliteStatement put_event_, events_, bounds_, event_, drop_events_, drop_topic_events_,
        put_topic_, drop_topic_, topics_, put_group_, drop_group_, groups_, set_letter_,
        put_letter_, drop_letter_, drop_letters_, letters_, letter_, ids_;
    std::string buffer_;
};

}  // namespace taskd::io
