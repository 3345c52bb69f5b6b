// Ids and topics of events, and the stream they leave in.
#include <algorithm>
#include <charconv>

#include "taskd/base/limits.hpp"
#include "taskd/protocol/event.hpp"

namespace taskd::protocol {
namespace {

constexpr std::string_view subject_kinds[] = {"task",     "queue",     "group",
                                              "schedule", "operation", "worker"};

template <class Number>
bool read_number(std::string_view text, Number& value) {
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && stop == text.data() + text.size() && !text.empty();
}

std::unexpected<Error> bad_topic(std::string_view topic, std::string_view why) {
    return fail(ErrorCode::invalid_field,
                "topic '" + std::string{topic.substr(0, 100)} + "': " + std::string{why});
}

}  // namespace

std::string to_text(const EventId& id) {
    std::string text = std::to_string(id.sequence.value);
    if (id.index != EventId::end) text += "." + std::to_string(id.index);
    return text;
}

Result<EventId> parse_event_id(std::string_view text) {
    EventId id;
    const auto dot = text.find('.');
    bool good = read_number(text.substr(0, dot), id.sequence.value);
    if (dot != std::string_view::npos) good = good && read_number(text.substr(dot + 1), id.index);
    if (!good)
        return fail(ErrorCode::invalid_field,
                    "'" + std::string{text.substr(0, 100)} + "' is no id of an event");
    return id;
}

Result<void> TopicFilter::add(std::string_view topics) {
    for (;;) {
        const auto comma = topics.find(',');
        if (auto added = add_one(topics.substr(0, comma)); !added) return added;
        if (comma == std::string_view::npos) return {};
        topics.remove_prefix(comma + 1);
    }
}

Result<void> TopicFilter::add_one(std::string_view topic) {
    if (names_.size() + subjects_.size() >= limits::event_topics_max)
        return fail(ErrorCode::invalid_field, "more than 100 topics");
    if (topic.size() > limits::event_topic_bytes_max) return bad_topic(topic, "too long");
    all_ = false;
    if (const auto colon = topic.find(':'); colon != std::string_view::npos) {
        const std::string_view kind = topic.substr(0, colon), subject = topic.substr(colon + 1);
        if (std::ranges::find(subject_kinds, kind) == std::end(subject_kinds))
            return bad_topic(topic, "there are task, queue, group, schedule, operation, worker");
        if (subject.empty()) return bad_topic(topic, "there is nothing behind the colon");
        const bool numbered = kind == "task" || kind == "group" || kind == "operation";
        const auto id = TaskId::parse(subject);
        if (numbered && !id) return bad_topic(topic, "not a whole id");
        subjects_.push_back(std::string{kind} + ":" +
                            (numbered ? id->to_string() : std::string{subject}));
        return {};
    }
    std::string name{topic};
    if (name == "*") {
        names_.emplace_back();
        return {};
    }
    const bool kind = name.ends_with(".*");
    if (kind) name.resize(name.size() - 2);
    const bool dotted = name.find('.') != std::string::npos;
    if (name.ends_with('.') || (kind && dotted)) return bad_topic(topic, "there is no such event");
    if (!dotted) name += '.';
    const auto known = event_names();
    const bool any = std::ranges::any_of(known, [&](std::string_view each) {
        return name.ends_with('.') ? each.starts_with(name) : each == name;
    });
    if (!any) return bad_topic(topic, "there is no such event");
    names_.push_back(std::move(name));
    return {};
}

bool TopicFilter::takes(const Event& event) const {
    if (all_) return true;
    for (const std::string& name : names_)
        if (name.empty() ||
            (name.ends_with('.') ? event.name.starts_with(name) : event.name == name))
            return true;
    return std::ranges::any_of(event.subjects, [&](const std::string& each) {
        return std::ranges::find(subjects_, each) != subjects_.end();
    });
}

void write_event(std::string& out, const Event& event) {
    out.append("id: ").append(to_text(event.id)).append("\nevent: ").append(event.name);
    out.append("\ndata: ").append(event.data).append("\n\n");
}

// A block without data is no event, but its id counts: a reader resumes behind it.
void write_heartbeat(std::string& out, const EventId& told) {
    out.append(": nothing else\nid: ").append(to_text(told)).append("\n\n");
}

std::vector<EventStreamParser::Read> EventStreamParser::feed(std::string_view bytes) {
    std::vector<Read> events;
    rest_ += bytes;
    std::size_t begin = 0;
    for (std::size_t end; (end = rest_.find('\n', begin)) != std::string::npos; begin = end + 1) {
        std::string_view line{rest_.data() + begin, end - begin};
        if (line.ends_with('\r')) line.remove_suffix(1);
        take_line(line, events);
    }
    rest_.erase(0, begin);
    return events;
}

void EventStreamParser::take_line(std::string_view line, std::vector<Read>& events) {
    if (line.empty()) {
        last_id_ = id_;
        if (!data_.empty()) events.push_back({last_id_, std::move(name_), std::move(data_)});
        name_.clear();
        data_.clear();
        return;
    }
    const auto colon = line.find(':');
    std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    const std::string_view field = line.substr(0, colon);
    if (field == "id") id_ = value;
    if (field == "event") name_ = value;
    if (field != "data") return;
    if (!data_.empty()) data_ += '\n';
    data_ += value;
}

}  // namespace taskd::protocol
