#include "taskd/service/own_events.hpp"

#include <algorithm>
#include <unordered_map>

#include "taskd/protocol/record_codec.hpp"

namespace taskd::service {
namespace {

constexpr std::string_view source = "taskd";
constexpr std::size_t asked_at_once = 16;  // the view hands tasks over whole
constexpr Duration retry = std::chrono::seconds{1};
// Far below a frame of the journal: of errors of a mebibyte each a page would not fit one.
constexpr std::size_t page_bytes = 16 * limits::mebibyte;
constexpr std::size_t publish_bytes = 4 * limits::mebibyte;

}  // namespace

// What one read of the journal found.
struct OwnEvents::Page {
    std::vector<RecordBatch> batches;
    std::size_t records = 0;
    std::size_t bytes = 0;
    Result<void> result;
    std::unordered_map<TaskId, protocol::TaskFacts> facts;
    std::vector<TaskId> unknown;
};

OwnEvents::OwnEvents(Core& core, port::JournalReader& records, port::Background& lane,
                     port::Clock& clock, port::Timers& timers, port::Log& log)
    : core_{core},
      records_{records},
      lane_{lane},
      clock_{clock},
      log_{log},
      retry_{timers.make()} {}

void OwnEvents::start() {
    learn_groups();
    if (wanted_.empty()) {
        cursor_ = core_.durable();
        ready_ = true;
        return;
    }
    find_cursor();
}

void OwnEvents::learn_groups() {
    wanted_.clear();
    first_ = Sequence{UINT64_MAX};
    core_.engine().each_subscription([&](const Subscription& group) {
        if (!group.spec.pattern.starts_with(own_topics)) return;
        wanted_.push_back(Pattern::parse(group.spec.pattern).value());
        // Until it has had a delivery, this is the record that made it.
        first_ = std::min(first_, Sequence{group.epoch.value});
    });
}

bool OwnEvents::is_wanted(const std::string& topic) const {
    return std::ranges::any_of(wanted_, [&](const Pattern& each) { return each.matches(topic); });
}

// Behind the newest of our own events: its id is the place of its record.
void OwnEvents::find_cursor() {
    std::vector<EventRange> newest;
    core_.engine().each_topic([&](const Topic& topic) {
        if (is_own_topic(topic.name) && topic.count() > 0)
            newest.push_back({topic.name, topic.newest, 1, 1, {}});
    });
    auto told = std::make_shared<Sequence>();
    const auto note = [told](const TopicEvent& event) {
        const auto id = protocol::parse_event_id(event.id);
        if (id) *told = std::max(*told, id->sequence);
    };
    std::erase_if(newest, [&](const EventRange& range) {
        const auto event = core_.engine().event(range.topic, range.from);
        if (event) note(*event);
        return event != nullptr;
    });
    core_.ask_view(
        [newest, note](port::View& view) {
            for (const EventRange& range : newest)
                if (const auto events = view.events(range); events && !events->empty())
                    note(events->front());
        },
        [this, told, alive = std::weak_ptr{alive_}] {
            if (alive.expired()) return;
            // The record itself again: it may have led to more than one.
            cursor_ = told->value > 0 ? Sequence{told->value - 1} : first_;
            ready_ = true;
            pump();
        });
}

void OwnEvents::on_records(const RecordBatch& batch) {
    const bool groups = std::ranges::any_of(batch.records, [](const Record& record) {
        return std::holds_alternative<SubscriptionChanged>(record) ||
               std::holds_alternative<SubscriptionRemoved>(record);
    });
    if (groups) learn_groups();
    if (!ready_ || busy_ || pausing_) return;
    if (wanted_.empty()) {
        cursor_ = batch.last();
        return;
    }
    pump();
}

void OwnEvents::pump() {
    if (busy_ || let_go_ || cursor_ >= core_.durable()) return;
    if (wanted_.empty()) {
        cursor_ = core_.durable();
        return;
    }
    const Sequence oldest = records_.oldest();
    if (cursor_.next() < oldest) {
        log_.warn("what happened is no longer kept for groups",
                  {{"from", std::to_string(cursor_.value + 1)},
                   {"to", std::to_string(oldest.value - 1)}});
        cursor_ = Sequence{oldest.value - 1};
    }
    busy_ = true;
    auto page = std::make_shared<Page>();
    lane_.run(
        [&records = records_, page, after = cursor_] {
            page->result = records.read(after, [&](const RecordBatch& batch) {
                page->batches.push_back(batch);
                page->records += batch.records.size();
                for (const Record& record : batch.records)
                    page->bytes += protocol::encoded_bytes_max(record);
                return page->records < limits::event_page_records && page->bytes < page_bytes;
            });
        },
        [this, page, alive = std::weak_ptr{alive_}] {
            if (!alive.expired()) page_read(page);
        });
}

void OwnEvents::pump_later() {
    busy_ = false;
    pausing_ = true;
    retry_->set(clock_.steady() + retry, [this] {
        pausing_ = false;
        pump();
    });
}

void OwnEvents::page_read(const std::shared_ptr<Page>& page) {
    if (!page->result || page->batches.empty()) return pump_later();
    for (const RecordBatch& batch : page->batches)
        for (const Record& record : batch.records) {
            const auto id = task_of(record);
            if (!id || page->facts.contains(*id)) continue;
            if (const auto* submitted = std::get_if<TaskSubmitted>(&record)) {
                page->facts[*id] = {submitted->spec.type, submitted->spec.group};
            } else if (const Task* task = core_.engine().find(*id)) {
                page->facts[*id] = {task->spec.type, task->spec.group};
            } else {
                page->facts[*id] = {};
                page->unknown.push_back(*id);
            }
        }
    if (page->unknown.empty()) return publish(page);
    core_.ask_view(
        [page](port::View& view) {
            for (std::size_t at = 0; at < page->unknown.size(); at += asked_at_once) {
                const std::span<const TaskId> ids{page->unknown};
                const auto found =
                    view.find(ids.subspan(at, std::min(asked_at_once, ids.size() - at)));
                if (!found) return;  // then it is told without
                for (const Task& task : *found)
                    page->facts[task.spec.id] = {task.spec.type, task.spec.group};
            }
        },
        [this, page, alive = std::weak_ptr{alive_}] {
            if (!alive.expired()) publish(page);
        });
}

// What the page tells, as far as one command takes it; then `through` is the last record of it.
engine::Publish OwnEvents::told_by(const Page& page, Sequence& through) const {
    static const protocol::TaskFacts nothing;
    engine::Publish command;
    std::size_t bytes = 0;
    for (const RecordBatch& batch : page.batches) {
        for (Sequence sequence = batch.first; const Record& record : batch.records) {
            const Sequence here = std::exchange(sequence, sequence.next());
            if (here <= cursor_) continue;  // told before, with a part of its batch
            if (bytes > publish_bytes) return command;
            through = here;
            const auto id = task_of(record);
            const auto known = id ? page.facts.find(*id) : page.facts.end();
            for (const protocol::Event& each : protocol::events_of(
                     here, record, known != page.facts.end() ? known->second : nothing)) {
                std::string topic{own_topics};
                topic += each.name;
                if (!is_wanted(topic)) continue;
                TopicEvent event;
                event.topic = std::move(topic);
                event.id = protocol::to_text(each.id);
                event.id_given = true;  // told once, whatever is read again
                event.source = source;
                event.type = each.name;
                if (!each.subjects.empty()) event.key = each.subjects.front();
                event.content_type = "application/json";
                event.at = core_.now().wall;
                event.body = Blob{each.data};
                bytes += each.data.size();
                command.events.push_back(std::move(event));
            }
        }
    }
    return command;
}

// Tried again, because what stands in its way may go; told once.
void OwnEvents::note_refused(const Error& error) {
    if (std::exchange(refused_, error.code) == error.code) return;
    log_.warn("groups are not told what happened", {{"why", error.to_string()}});
}

void OwnEvents::publish(const std::shared_ptr<Page>& page) {
    Sequence last = cursor_;
    engine::Publish command = told_by(*page, last);
    if (command.events.empty()) {
        busy_ = false;
        cursor_ = last;
        return pump();
    }
    // As new work is: it comes again when there is room.
    if (core_.slow_down()) return pump_later();
    core_.execute(std::move(command),
                  [this, last](const engine::Decision& decision) -> Core::Reply {
                      if (decision.refused) {
                          note_refused(*decision.refused);
                          pump_later();
                          return {};
                      }
                      refused_.reset();
                      return [this, last] {
                          busy_ = false;
                          cursor_ = last;
                          pump();
                      };
                  });
}

}  // namespace taskd::service
