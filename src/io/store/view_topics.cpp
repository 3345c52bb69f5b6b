#include "io/store/view_topics.hpp"

#include "io/store/each_row.hpp"

#include <algorithm>

#include "taskd/protocol/record_codec.hpp"

namespace taskd::io {

// Events by topic and place, so that a topic's log is read and dropped in one run. Dead letters
// have a copy of their event: it outlives the topic's retention.
const char topic_tables[] = R"(
CREATE TABLE topics (name TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE subscriptions (name TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE topic_events (
    topic TEXT NOT NULL,
    place INTEGER NOT NULL,
    at INTEGER NOT NULL,
    made_as INTEGER,
    row BLOB NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (topic, place)
) WITHOUT ROWID;
CREATE INDEX topic_event_ids ON topic_events (made_as) WHERE made_as IS NOT NULL;
CREATE TABLE dead_letters (
    name TEXT NOT NULL,
    topic TEXT NOT NULL,
    place INTEGER NOT NULL,
    letter BLOB NOT NULL,
    row BLOB NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (name, topic, place)
) WITHOUT ROWID;
)";

Result<void> ViewTopics::prepare(SqliteDb& db) {
    const std::pair<SqliteStatement*, std::string_view> wanted[] = {
        {&put_event_,
         "INSERT OR REPLACE INTO topic_events (topic, place, at, made_as, row, body)"
         " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"},
        {&events_,
         "SELECT row, body FROM topic_events WHERE topic = ?1 AND place >= ?2"
         " ORDER BY place LIMIT ?3"},
        {&bounds_, "SELECT min(place), max(place) FROM topic_events WHERE topic = ?1"},
        {&event_, "SELECT at FROM topic_events WHERE topic = ?1 AND place = ?2"},
        {&drop_events_, "DELETE FROM topic_events WHERE topic = ?1 AND place <= ?2"},
        {&drop_topic_events_, "DELETE FROM topic_events WHERE topic = ?1"},
        {&put_topic_,
         "INSERT INTO topics (name, row) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET row = "
         "?2"},
        {&drop_topic_, "DELETE FROM topics WHERE name = ?1"},
        {&topics_, "SELECT row FROM topics ORDER BY name"},
        {&put_group_,
         "INSERT INTO subscriptions (name, row) VALUES (?1, ?2)"
         " ON CONFLICT (name) DO UPDATE SET row = ?2"},
        {&drop_group_, "DELETE FROM subscriptions WHERE name = ?1"},
        {&groups_, "SELECT row FROM subscriptions ORDER BY name"},
        {&set_letter_,
         "UPDATE dead_letters SET letter = ?4 WHERE name = ?1 AND topic = ?2 AND place = ?3"},
        {&put_letter_,
         "INSERT OR IGNORE INTO dead_letters (name, topic, place, letter, row, body)"
         " SELECT ?1, topic, place, ?4, row, body FROM topic_events"
         " WHERE topic = ?2 AND place = ?3"},
        {&drop_letter_, "DELETE FROM dead_letters WHERE name = ?1 AND topic = ?2 AND place = ?3"},
        {&drop_letters_, "DELETE FROM dead_letters WHERE name = ?1"},
        {&letters_, "SELECT letter, name, topic, place FROM dead_letters"},
        {&letter_,
         "SELECT row, body FROM dead_letters WHERE name = ?1 AND topic = ?2 AND place = ?3"},
        {&ids_,
         "SELECT row, x'' FROM (SELECT made_as, row FROM topic_events WHERE made_as IS NOT NULL"
         " ORDER BY made_as DESC LIMIT ?1) ORDER BY made_as"},
    };
    for (const auto& [statement, sql] : wanted) {
        auto prepared = db.prepare(sql);
        if (!prepared) return std::unexpected{prepared.error()};
        *statement = std::move(*prepared);
    }
    return {};
}

Result<void> ViewTopics::drop(const TopicChanges& changes) {
    for (const std::string& topic : changes.gone_topics) {
        if (auto done = drop_topic_events_.bind_text(1, topic).run(); !done) return done;
        if (auto done = drop_topic_.bind_text(1, topic).run(); !done) return done;
    }
    for (const std::string& group : changes.gone_groups) {
        if (auto done = drop_letters_.bind_text(1, group).run(); !done) return done;
        if (auto done = drop_group_.bind_text(1, group).run(); !done) return done;
    }
    return {};
}

Result<void> ViewTopics::store_events(const TopicChanges& changes) {
    for (const auto& [made_as, event] : changes.events) {
        buffer_.clear();
        protocol::encode_event_row(*event, buffer_);
        put_event_.bind_text(1, event->topic)
            .bind(2, event->sequence.value)
            .bind(3, event->at.time_since_epoch().count())
            .bind_blob(5, buffer_)
            .bind_blob(6, event->body.view());
        event->id_given ? put_event_.bind(4, made_as.value) : put_event_.bind_null(4);
        if (auto done = put_event_.run(); !done) return done;
    }
    return {};
}

Result<void> ViewTopics::store_letter(const TopicChanges::Letter& letter) {
    const auto bind = [&](SqliteStatement& statement) -> SqliteStatement& {
        return statement.bind_text(1, letter.group)
            .bind_text(2, letter.event.topic)
            .bind(3, letter.event.sequence.value);
    };
    if (!letter.letter) return bind(drop_letter_).run();
    buffer_.clear();
    protocol::encode_letter_row(*letter.letter, buffer_);
    // One that is there has its copy; the topic may have its event no longer.
    if (auto done = bind(set_letter_).bind_blob(4, buffer_).run(); !done) return done;
    return bind(put_letter_).bind_blob(4, buffer_).run();
}

Result<void> ViewTopics::store(const TopicChanges& changes) {
    if (auto done = drop(changes); !done) return done;
    if (auto done = store_events(changes); !done) return done;
    for (const Topic& topic : changes.topics) {
        buffer_.clear();
        protocol::encode_topic_row(topic, buffer_);
        auto done = put_topic_.bind_text(1, topic.name).bind_blob(2, buffer_).run();
        if (!done) return done;
    }
    for (const Subscription& subscription : changes.subscriptions) {
        buffer_.clear();
        protocol::encode_subscription_row(subscription, buffer_);
        auto done = put_group_.bind_text(1, subscription.spec.group).bind_blob(2, buffer_).run();
        if (!done) return done;
    }
    for (const auto& letter : changes.letters)
        if (auto done = store_letter(letter); !done) return done;
    for (const auto& [topic, through] : changes.trimmed)
        if (auto done = drop_events_.bind_text(1, topic).bind(2, through.value).run(); !done)
            return done;
    return {};
}

// The body's pages are read when it is asked for.
Result<TopicEvent> ViewTopics::event_of(const SqliteStatement& row, bool bare) {
    return protocol::decode_event_row(row.bytes(0),
                                      bare ? Blob{} : Blob{std::string{row.bytes(1)}});
}

Result<std::optional<TopicEvent>> ViewTopics::letter_event(const EventRange& range) {
    const auto row = letter_.bind_text(1, range.group)
                         .bind_text(2, range.topic)
                         .bind(3, range.from.value)
                         .step();
    if (!row) return std::unexpected{row.error()};
    if (!*row) return std::nullopt;
    auto event = event_of(letter_, range.bare);
    letter_.reset();
    if (!event) return std::unexpected{event.error()};
    return std::move(*event);
}

Result<std::vector<TopicEvent>> ViewTopics::events(const EventRange& range) {
    std::vector<TopicEvent> found;
    if (!range.group.empty()) {
        auto copy = letter_event(range);
        if (!copy) return std::unexpected{copy.error()};
        if (*copy) found.push_back(std::move(**copy));
        if (*copy) return found;
    }
    events_.bind_text(1, range.topic).bind(2, range.from.value).bind(3, std::uint64_t{range.count});
    std::size_t bytes = 0;
    for (;;) {
        const auto row = events_.step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) return found;
        auto event = event_of(events_, range.bare);
        if (event) bytes += bytes_of(*event);
        const bool enough = event && !found.empty() && bytes > range.bytes;
        if (!event || enough) events_.reset();
        if (!event) return std::unexpected{event.error()};
        if (enough) return found;
        if (!range.group.empty() && event->sequence != range.from) {
            events_.reset();
            return found;
        }
        found.push_back(std::move(*event));
    }
}

// Places are dense and times grow with them, but for clocks that were set back.
Result<std::optional<EventSequence>> ViewTopics::event_at(const std::string& topic, WallTime time) {
    const auto row = bounds_.bind_text(1, topic).step();
    if (!row) return std::unexpected{row.error()};
    if (!*row || bounds_.is_null(0)) {
        bounds_.reset();
        return std::nullopt;
    }
    auto low = static_cast<std::uint64_t>(bounds_.number(0));
    auto high = static_cast<std::uint64_t>(bounds_.number(1)) + 1;
    bounds_.reset();
    const std::uint64_t end = high;
    while (low < high) {
        const std::uint64_t middle = low + (high - low) / 2;
        const auto there = event_.bind_text(1, topic).bind(2, middle).step();
        if (!there) return std::unexpected{there.error()};
        const bool before = *there && event_.number(0) < time.time_since_epoch().count();
        if (*there) event_.reset();
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == end) return std::nullopt;
    return EventSequence{low};
}

Result<void> ViewTopics::each_topic(const std::function<void(const Topic&)>& take) {
    return each_row(topics_, protocol::decode_topic_row, take);
}

Result<void> ViewTopics::each_subscription(const std::function<void(const Subscription&)>& take) {
    return each_row(groups_, protocol::decode_subscription_row, take);
}

Result<void> ViewTopics::each_letter(const std::function<void(const TopicChanges::Letter&)>& take) {
    return each_row(letters_, protocol::decode_letter_row, [&](const DeadLetter& letter) {
        take({std::string{letters_.bytes(1)},
              {std::string{letters_.bytes(2)},
               EventSequence{static_cast<std::uint64_t>(letters_.number(3))}},
              letter});
    });
}

Result<void> ViewTopics::each_event_id(const std::function<void(const TopicEvent&)>& take) {
    ids_.bind(1, std::uint64_t{limits::event_ids_in_memory});
    return each_row(
        ids_, [](std::string_view row) { return protocol::decode_event_row(row, {}); }, take);
}

}  // namespace taskd::io
