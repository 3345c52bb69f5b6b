// What happened, as readers are told: made of the journal's records, named, and written as
// server-sent events. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/model/record.hpp"

namespace taskd::protocol {

// Place of an event: its record, and which of the events of that record it is. As text "123.0";
// "123" is the end of the record, behind all of its events.
struct EventId {
    static constexpr std::uint32_t end = UINT32_MAX;

    Sequence sequence;
    std::uint32_t index = end;
    friend auto operator<=>(const EventId&, const EventId&) = default;
};
std::string to_text(const EventId& id);
Result<EventId> parse_event_id(std::string_view text);  // invalid_field

// What a record does not say of the task it is about; empty when nobody knows it any more.
struct TaskFacts {
    std::string type;
    std::optional<GroupId> group;
};

struct Event {
    EventId id;
    std::string_view name;              // of event_names()
    std::vector<std::string> subjects;  // "task:…", "queue:…", "group:…": what it is about
    std::string data;                   // one JSON object, one line
};

// Every event there is, "task.submitted" and so on, as config/openapi.yaml describes them.
std::span<const std::string_view> event_names();

// In their order; none for a record that tells nobody anything. Of those that are wanted alone,
// when that is said; their places are the same.
using EventNames = std::set<std::string_view>;
std::vector<Event> events_of(Sequence sequence, const Record& record, const TaskFacts& facts,
                             const EventNames* wanted = nullptr);
// Whether there is any of them. Needs no facts and makes nothing.
bool tells_any(const Record& record, const EventNames& wanted);

// Which events a reader wants. Without a word: all.
class TopicFilter {
  public:
    // "task", "task.*", "task.dead", "*", "task:ID", "queue:TYPE" and so on; several with commas
    // between them. invalid_field.
    Result<void> add(std::string_view topics);
    bool takes(const Event& event) const;

  private:
    Result<void> add_one(std::string_view topic);

    std::vector<std::string> names_;     // whole, or up to the dot and with it
    std::vector<std::string> subjects_;  // whole
    bool all_ = true;
};

// ---- the stream
// ----------------------------------------------------------------------------------

inline constexpr std::string_view event_stream_type = "text/event-stream";

void write_event(std::string& out, const Event& event);
// Nothing happened that the reader wants, up to here.
void write_heartbeat(std::string& out, const EventId& told);

// The reader's side: bytes to events (WHATWG HTML, 9.2.6).
class EventStreamParser {
  public:
    struct Read {
        std::string id;  // the newest
        std::string name;
        std::string data;
    };
    std::vector<Read> feed(std::string_view bytes);
    const std::string& last_id() const { return last_id_; }

  private:
    void take_line(std::string_view line, std::vector<Read>& events);

    std::string rest_;  // of a line that is not whole
    std::string name_;
    std::string data_;
    std::string id_;
    std::string last_id_;
};

}  // namespace taskd::protocol
