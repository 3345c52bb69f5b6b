#include "taskd/service/bus_events.hpp"

#include <algorithm>

#include "taskd/protocol/event.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::service {
namespace {

// Texts as they are, all else as JSON writes it; the name of the event is the topic.
std::vector<bus::EventField> fields_of(const protocol::Event& event) {
    std::vector<bus::EventField> fields;
    const auto object = protocol::split_object(event.data);
    if (!object) return fields;
    for (const auto& [name, raw] : *object) {
        if (name == "event") continue;
        const bool is_text = protocol::kind_of(raw) == protocol::JsonKind::string;
        fields.push_back(
            {name, is_text ? protocol::read_string(raw, name).value_or("") : std::string{raw}});
    }
    return fields;
}

}  // namespace

bool BusEvents::anybody_listens() {
    const std::uint64_t now = bus_.listener_changes();
    if (listeners_seen_ != now) {
        listeners_seen_ = now;
        wanted_.clear();
        for (const std::string_view name : protocol::event_names())
            if (bus_.is_wanted(name)) wanted_.push_back(name);
    }
    return !wanted_.empty();
}

void BusEvents::on_records(const RecordBatch& batch) {
    if (!anybody_listens()) return;
    Sequence sequence = batch.first;
    for (const Record& record : batch.records) {
        protocol::TaskFacts facts;
        if (const auto id = task_of(record))
            if (const Task* task = core_.engine().find(*id))
                facts = {task->spec.type, task->spec.group};
        for (const protocol::Event& event : protocol::events_of(sequence, record, facts))
            if (std::ranges::find(wanted_, event.name) != wanted_.end())
                bus_.publish(event.name, fields_of(event));
        sequence = sequence.next();
    }
}

void BusEvents::on_workers(const std::vector<Registration>& workers) {
    std::map<std::string, std::string> now;
    for (const Registration& each : workers)
        now.emplace(each.instance, each.type);
    const auto tell = [&](std::string_view topic, const auto& some, const auto& others) {
        for (const auto& [instance, type] : some)
            if (!others.contains(instance))
                bus_.publish(topic, {{"instance", instance}, {"type", type}});
    };
    tell("worker.joined", now, workers_);
    tell("worker.left", workers_, now);
    workers_ = std::move(now);
}

}  // namespace taskd::service
