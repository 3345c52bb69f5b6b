#include "sim/topic_judge.hpp"

#include <algorithm>

namespace taskd::sim {
namespace {

std::string name_of(const DeliveryKey& event) {
    return event.topic + ":" + std::to_string(event.sequence.value);
}

}  // namespace

TopicJudge::Reader* TopicJudge::reader(const std::string& group, const char* record,
                                       const Blame& blame) {
    const auto found = readers_.find(group);
    if (found != readers_.end()) return &found->second;
    blame(std::string{"records are of groups that are there: "} + record + " " + group);
    return nullptr;
}

// Groups that want it read a new topic from its first event.
void TopicJudge::begins(const std::string& topic) {
    if (!logs_.try_emplace(topic).second) return;
    for (auto& [name, reader] : readers_)
        if (reader.pattern.matches(topic)) reader.from[topic] = EventSequence{1};
}

void TopicJudge::take(Sequence, const TopicChanged& record, const Blame&) {
    begins(record.topic);
}

void TopicJudge::take(Sequence, const TopicRemoved& record, const Blame& blame) {
    const auto found = logs_.find(record.topic);
    if (found == logs_.end()) return blame("only a topic that is there is removed");
    for (const auto& [place, event] : found->second.events)
        removed_.emplace(DeliveryKey{record.topic, place}, event.first);
    logs_.erase(found);
    for (auto& [name, reader] : readers_) {
        reader.from.erase(record.topic);
        std::erase_if(reader.out,
                      [&](const auto& each) { return each.first.topic == record.topic; });
    }
}

void TopicJudge::take(Sequence, const EventPublished& record, const Blame& blame) {
    const TopicEvent& event = record.event;
    begins(event.topic);
    Log& log = logs_.at(event.topic);
    if (event.sequence != log.newest.next())
        blame("a topic has no holes: " + name_of({event.topic, event.sequence}));
    log.newest = event.sequence;
    const bool known = event.id_given && !log.ids.insert(event.source + '\0' + event.id).second;
    if (known) blame("an id is published once: " + event.id);
    log.events[event.sequence] = {event.id, event.key};
    ++published_;
}

void TopicJudge::take(Sequence, const TopicTrimmed& record, const Blame& blame) {
    const auto found = logs_.find(record.topic);
    if (found == logs_.end()) return blame("only a topic that is there is trimmed");
    Log& log = found->second;
    if (record.through < log.oldest || record.through > log.newest)
        blame("what is trimmed was there: " + name_of({record.topic, record.through}));
    log.oldest = record.through.next();
    // The window of ids is that of what is kept.
    for (auto each = log.events.begin();
         each != log.events.end() && each->first <= record.through;) {
        removed_.emplace(DeliveryKey{record.topic, each->first}, each->second.first);
        std::erase_if(log.ids, [&](const std::string& id) {
            return id.ends_with('\0' + each->second.first);
        });
        each = log.events.erase(each);
    }
    for (auto& [name, reader] : readers_) {
        const auto from = reader.from.find(record.topic);
        if (from == reader.from.end()) continue;
        for (EventSequence place = from->second; place <= record.through; place = place.next()) {
            Out& out = reader.out[{record.topic, place}];
            const bool open = out.fate == Fate::waiting || out.fate == Fate::leased;
            if (open && !out.redriven) out.fate = Fate::lost;
        }
    }
}

void TopicJudge::take(Sequence sequence, const SubscriptionChanged& record, const Blame& blame) {
    auto pattern = Pattern::parse(record.spec.pattern);
    if (!pattern) return blame("a group's pattern is one: " + record.spec.pattern);
    Reader& reader = readers_[record.spec.group];
    reader.pattern = *pattern;
    reader.ordered = record.spec.ordered;
    reader.attempts_max = record.spec.attempts_max;
    if (reader.epoch.value == 0) reader.epoch.value = sequence.value;
    std::erase_if(reader.from, [&](const auto& each) { return !pattern->matches(each.first); });
    std::erase_if(reader.out,
                  [&](const auto& each) { return !pattern->matches(each.first.topic); });
    for (const auto& [topic, start] : record.starts)
        if (!reader.from.emplace(topic, start).second) blame("a group begins once: " + topic);
    for (const auto& [topic, log] : logs_)
        if (pattern->matches(topic) && !reader.from.contains(topic))
            blame("a group reads all topics of its pattern: " + topic);
}

void TopicJudge::take(Sequence, const SubscriptionRemoved& record, const Blame& blame) {
    if (readers_.erase(record.group) == 0) blame("only a group that is there is removed");
}

void TopicJudge::leases(Reader& reader, const DeliveriesLeased& record,
                        const DeliveriesLeased::Item& item, const Blame& blame) {
    const std::string what = record.group + " " + name_of(item.event);
    const auto log = logs_.find(item.event.topic);
    const auto from = reader.from.find(item.event.topic);
    if (log == logs_.end() || from == reader.from.end() || item.event.sequence < from->second)
        return blame("a group gets what it reads: " + what);
    Out& out = reader.out[item.event];
    const bool kept =
        item.event.sequence >= log->second.oldest && item.event.sequence <= log->second.newest;
    if (!kept && !out.redriven) blame("a group gets what is kept: " + what);
    if (out.fate == Fate::acknowledged) blame("what is acknowledged comes not again: " + what);
    if (out.fate != Fate::waiting) blame("a delivery is out once at a time: " + what);
    if (item.held) return;
    if (reader.ordered && kept) {
        const std::string& key = log->second.events.at(item.event.sequence).second;
        for (EventSequence place = std::max(from->second, log->second.oldest);
             !key.empty() && place < item.event.sequence; place = place.next()) {
            if (log->second.events.at(place).second != key) continue;
            const Fate before = reader.out[{item.event.topic, place}].fate;
            if (before == Fate::waiting || before == Fate::leased)
                blame("events of a key keep their order: " + what + " before " +
                      std::to_string(place.value));
        }
    }
    out.fate = Fate::leased;
    out.epoch = record.epoch;
}

void TopicJudge::take(Sequence, const DeliveriesLeased& record, const Blame& blame) {
    Reader* group = reader(record.group, "leased", blame);
    if (group == nullptr) return;
    if (record.epoch <= group->epoch) blame("epochs grow: " + record.group);
    group->epoch = record.epoch;
    for (const auto& item : record.items)
        leases(*group, record, item, blame);
}

void TopicJudge::take(Sequence, const DeliveriesEnded& record, const Blame& blame) {
    Reader* group = reader(record.group, "ended", blame);
    if (group == nullptr) return;
    for (const auto& item : record.items) {
        const std::string what = record.group + " " + name_of(item.event);
        Out& out = group->out[item.event];
        const bool acknowledged = item.end == DeliveryEnd::acknowledged;
        const bool open = out.fate == Fate::leased || (acknowledged && out.fate == Fate::waiting);
        if (!open || out.epoch.value == 0) blame("what ends was leased: " + what);
        acknowledged_ += acknowledged ? 1 : 0;
        const bool again = item.due_at || item.end == DeliveryEnd::released;
        out.fate = acknowledged ? Fate::acknowledged : again ? Fate::waiting : Fate::dead;
        if (out.fate != Fate::waiting) out.redriven = false;
    }
}

void TopicJudge::take(Sequence, const DeadLettersChanged& record, const Blame& blame) {
    Reader* group = reader(record.group, "dead letters", blame);
    if (group == nullptr) return;
    for (const auto& item : record.items) {
        Out& out = group->out[item.event];
        if (out.fate != Fate::dead) blame("only dead letters are redriven: " + name_of(item.event));
        out.fate = record.dropped ? Fate::acknowledged : Fate::waiting;
        out.redriven = !record.dropped;
    }
}

void TopicJudge::take(Sequence, const GapsTold& record, const Blame& blame) {
    reader(record.group, "gaps told", blame);
}

void TopicJudge::promised(const DeliveryKey& event, const std::string& id,
                          const Blame& blame) const {
    const auto log = logs_.find(event.topic);
    if (log == logs_.end() || event.sequence < log->second.oldest) return;  // removed, or trimmed
    if (removed_.contains({event, id})) return;
    const auto found = log->second.events.find(event.sequence);
    if (found == log->second.events.end() || found->second.first != id)
        blame("an event that was acknowledged is there: " + name_of(event));
}

void TopicJudge::at_rest(const Blame& blame) const {
    for (const auto& [name, reader] : readers_)
        for (const auto& [topic, from] : reader.from) {
            const auto log = logs_.find(topic);
            if (log == logs_.end()) continue;
            for (EventSequence place = from; place <= log->second.newest; place = place.next()) {
                const auto out = reader.out.find({topic, place});
                const bool settled = out != reader.out.end() && out->second.fate != Fate::waiting &&
                                     out->second.fate != Fate::leased;
                if (!settled)
                    blame("every event comes to every group: " + name + " " +
                          name_of({topic, place}));
            }
        }
}

std::size_t TopicJudge::open() const {
    std::size_t count = 0;
    for (const auto& [name, reader] : readers_)
        for (const auto& [topic, from] : reader.from) {
            const auto log = logs_.find(topic);
            if (log == logs_.end()) continue;
            for (EventSequence place = from; place <= log->second.newest; place = place.next()) {
                const auto out = reader.out.find({topic, place});
                const bool waits = out == reader.out.end() || out->second.fate == Fate::waiting ||
                                   out->second.fate == Fate::leased;
                count += waits ? 1 : 0;
            }
        }
    return count;
}

}  // namespace taskd::sim
