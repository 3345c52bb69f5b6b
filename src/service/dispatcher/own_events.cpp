#include "taskd/service/own_events.hpp"

#include <algorithm>
#include <unordered_map>

#include "taskd/model/pattern.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/protocol/record_codec.hpp"
#include "taskd/service/whole_file.hpp"

namespace taskd::service {
namespace {

constexpr std::string_view source = "taskd";
constexpr std::size_t asked_at_once = 16;  // the view hands tasks over whole
constexpr Duration retry = std::chrono::seconds{1};
// Far below a frame of the journal: of errors of a mebibyte each a page would not fit one.
constexpr std::size_t page_bytes = 16 * limits::mebibyte;
constexpr std::size_t publish_bytes = 4 * limits::mebibyte;
// What a start reads again at most; the journal keeps more.
constexpr Duration mark_every = std::chrono::seconds{10};
constexpr std::uint64_t mark_records = 100'000;
constexpr std::size_t mark_bytes_max = 4 * limits::kibibyte;

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

OwnEvents::OwnEvents(Core& core, const OwnEventsPorts& ports, std::string mark)
    : core_{core}, ports_{ports}, mark_{std::move(mark)}, retry_{ports.timers.make()} {}

void OwnEvents::start() {
    learn_groups();
    if (wanted_.empty()) {
        cursor_ = core_.durable();
        ready_ = sure_ = true;
        return;
    }
    find_cursor();
}

void OwnEvents::let_go() {
    let_go_ = true;
    if (ready_ && !wanted_.empty() && cursor_ > marked_) write_mark();
}

void OwnEvents::learn_groups() {
    wanted_.clear();
    first_ = Sequence{UINT64_MAX};
    core_.engine().each_subscription([&](const Subscription& group) {
        if (!group.spec.pattern.starts_with(own_topics)) return;
        const Pattern pattern = Pattern::parse(group.spec.pattern).value();
        bool any = false;
        for (const std::string_view name : protocol::event_names()) {
            if (!pattern.matches(std::string{own_topics}.append(name))) continue;
            wanted_.insert(name);
            any = true;
        }
        // Until it has had a delivery, this is the record that made it.
        if (any) first_ = std::min(first_, Sequence{group.epoch.value});
    });
}

// None when it says nothing that can be.
std::optional<Sequence> OwnEvents::read_mark() const {
    if (ports_.files == nullptr) return std::nullopt;
    const auto text = read_whole(*ports_.files, mark_, mark_bytes_max);
    if (!text || !protocol::check_json(*text)) return std::nullopt;
    const auto told = protocol::JsonView{*text}["told"].number();
    if (!told || *told > core_.durable().value) return std::nullopt;
    return Sequence{*told};
}

// Where that fails a start reads on from further back: no event is told twice.
void OwnEvents::write_mark() {
    if (ports_.files == nullptr || marking_) return;
    marking_ = true;
    marked_ = cursor_;
    mark_at_ = ports_.clock.steady() + mark_every;
    std::string text;
    protocol::JsonWriter{text}.begin_object().field("told", cursor_.value).end_object();
    ports_.lane.run([&files = *ports_.files, path = mark_,
                     text = std::move(text)] { static_cast<void>(write_whole(files, path, text)); },
                    [this, alive = std::weak_ptr{alive_}] {
                        if (!alive.expired()) marking_ = false;
                    });
}

void OwnEvents::told_through(Sequence place) {
    cursor_ = place;
    const bool due =
        ports_.clock.steady() >= mark_at_ || cursor_.value >= marked_.value + mark_records;
    if (due && cursor_ > marked_) write_mark();
}

// As the mark says, or behind the newest of our own events: its id is the place of its record.
void OwnEvents::find_cursor() {
    const auto marked = read_mark();
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
        [this, told, marked, alive = std::weak_ptr{alive_}] {
            if (alive.expired()) return;
            // The record itself again: it may have led to more than one.
            cursor_ = told->value > 0 ? Sequence{told->value - 1} : first_;
            if (marked) cursor_ = told->value > 0 ? std::max(*marked, cursor_) : *marked;
            marked_ = marked.value_or(Sequence{});
            sure_ = marked.has_value();
            ready_ = true;
            pump();
        });
}

void OwnEvents::on_records(const RecordBatch& batch) {
    const bool groups = std::ranges::any_of(batch.records, [](const Record& record) {
        return std::holds_alternative<SubscriptionChanged>(record) ||
               std::holds_alternative<SubscriptionRemoved>(record);
    });
    if (groups) {
        learn_groups();
        mark_at_ = {};  // of what was before a group it is told nothing
    }
    if (!ready_ || busy_ || pausing_) return;
    if (wanted_.empty()) {
        cursor_ = batch.last();
        return;
    }
    const bool concerns = std::ranges::any_of(
        batch.records, [&](const Record& record) { return protocol::tells_any(record, wanted_); });
    if (!concerns && cursor_.next() == batch.first) return told_through(batch.last());
    pump();
}

void OwnEvents::pass_over_gone() {
    const Sequence oldest = ports_.records.oldest();
    if (cursor_.next() < oldest) {
        const std::string from = std::to_string(cursor_.value + 1);
        const std::string to = std::to_string(oldest.value - 1);
        if (sure_)
            ports_.log.warn("what happened is no longer kept for groups",
                            {{"from", from}, {"to", to}});
        else
            ports_.log.info("what groups were told of is not known, and no longer kept",
                            {{"from", from}, {"to", to}});
        cursor_ = Sequence{oldest.value - 1};
    }
    sure_ = true;
}

void OwnEvents::pump() {
    if (busy_ || let_go_ || cursor_ >= core_.durable()) return;
    if (wanted_.empty()) {
        cursor_ = core_.durable();
        return;
    }
    pass_over_gone();
    busy_ = true;
    auto page = std::make_shared<Page>();
    ports_.lane.run(
        [&records = ports_.records, page, after = cursor_] {
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
    retry_->set(ports_.clock.steady() + retry, [this] {
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
            } else if (!protocol::tells_any(record, wanted_)) {
                continue;
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
                     here, record, known != page.facts.end() ? known->second : nothing, &wanted_)) {
                TopicEvent event;
                event.topic = own_topics;
                event.topic += each.name;
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
    ports_.log.warn("groups are not told what happened", {{"why", error.to_string()}});
}

void OwnEvents::publish(const std::shared_ptr<Page>& page) {
    Sequence last = cursor_;
    engine::Publish command = told_by(*page, last);
    if (command.events.empty()) {
        busy_ = false;
        told_through(last);
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
                          told_through(last);
                          pump();
                      };
                  });
}

}  // namespace taskd::service
