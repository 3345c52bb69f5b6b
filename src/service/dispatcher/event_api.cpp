#include "taskd/service/event_api.hpp"

#include <algorithm>
#include <charconv>

#include "taskd/protocol/record_codec.hpp"

namespace taskd::service {
namespace {

// The view hands tasks over whole: not many at a time.
constexpr std::size_t asked_at_once = 16;
// Of results of a mebibyte each a page of so many records would be a gibibyte.
constexpr std::size_t page_bytes = 16 * limits::mebibyte;

std::vector<protocol::Event> events_of(
    const RecordBatch& batch, const std::unordered_map<TaskId, protocol::TaskFacts>& facts) {
    static const protocol::TaskFacts nothing;
    std::vector<protocol::Event> events;
    Sequence sequence = batch.first;
    for (const Record& record : batch.records) {
        const auto id = task_of(record);
        const auto known = id ? facts.find(*id) : facts.end();
        auto made =
            protocol::events_of(sequence, record, known != facts.end() ? known->second : nothing);
        std::ranges::move(made, std::back_inserter(events));
        sequence = sequence.next();
    }
    return events;
}

port::HttpResponse stream_response(std::shared_ptr<port::HttpStream> stream) {
    return {.status = 200,
            .headers = {{"Content-Type", std::string{protocol::event_stream_type}},
                        {"Cache-Control", "no-store"},
                        {"X-Accel-Buffering", "no"}},  // nginx holds it back otherwise
            .body = {},
            .stream = std::move(stream)};
}

}  // namespace

// What one read of the journal found.
struct EventApi::Page {
    std::vector<RecordBatch> batches;
    std::size_t records = 0;
    std::size_t bytes = 0;
    Result<void> result;
    Facts facts;
    std::vector<TaskId> unknown;
};

EventApi::EventApi(EventPorts ports, Core& core)
    : ports_{ports}, core_{core}, heartbeat_{ports.timers.make()} {}

EventApi::~EventApi() = default;

void EventApi::add_routes(HttpFront& front) {
    front.add({"GET", "/v1/events", {"topic", "since", "limit"}, [this](Call&& call) {
                   follow(std::move(call));
               }});
}

void EventApi::follow(Call call) {
    auto stream = std::make_shared<Stream>();
    for (const auto& [name, value] : call.target.query)
        if (name == "topic")
            if (auto added = stream->topics.add(value); !added) return call.answer(added.error());
    if (const std::string* text = call.target.find("limit")) {
        std::size_t limit = 0;
        const char* last = text->data() + text->size();
        const auto [stop, error] = std::from_chars(text->data(), last, limit);
        if (error != std::errc{} || stop != last || limit == 0)
            return call.answer(Error{ErrorCode::invalid_field, "limit is a number from 1"});
        stream->left = limit;
    }
    const auto begin = begin_of(call);
    if (!begin && begin.error().code == ErrorCode::events_gone) {
        auto response = problem_response(begin.error(), {{}, {}, call.trace_id()});
        response.headers.emplace_back("Taskd-Oldest-Event",
                                      std::to_string(ports_.records.oldest().value) + ".0");
        return call.respond(std::move(response));
    }
    if (!begin) return call.answer(begin.error());
    if (streams_.size() >= limits::event_streams_max)
        return call.answer(Error{ErrorCode::too_many_waiters, {}});
    stream->told = *begin;
    stream->out = std::make_shared<port::HttpStream>();
    stream->out->on_taken([this, weak = std::weak_ptr{stream}, alive = std::weak_ptr{alive_}] {
        // Not from within: what is told may be on its way.
        if (!alive.expired())
            ports_.timers.post([this, weak, alive] {
                const Shared held = weak.lock();
                if (held && !alive.expired()) pump(held);
            });
    });
    // The id, so that a reader who breaks off before the first event resumes here.
    stream->out->write(": taskd\nretry: 1000\nid: " + to_text(stream->told) + "\n\n");
    if (streams_.empty()) beat();
    streams_.push_back(stream);
    call.respond(stream_response(stream->out));
    if (let_go_) return end(stream, ": shutting down\n\n");
    pump(stream);
}

// Behind what the reader has seen last; without a word, behind all there is.
Result<protocol::EventId> EventApi::begin_of(const Call& call) const {
    std::string_view since = port::find_header(call.request.headers, "Last-Event-ID");
    if (const std::string* text = call.target.find("since"); text != nullptr && since.empty())
        since = *text;
    if (since.empty()) return protocol::EventId{core_.durable()};
    const Sequence oldest = ports_.records.oldest();
    if (since == "oldest") return protocol::EventId{Sequence{oldest.value - 1}};
    auto id = protocol::parse_event_id(since);
    if (!id) return id;
    if (id->sequence > core_.durable())
        return fail(ErrorCode::invalid_field, "'" + std::string{since} +
                                                  "' has not happened yet; the newest is " +
                                                  std::to_string(core_.durable().value));
    const bool whole = id->index == protocol::EventId::end;
    if ((whole ? id->sequence.next() : id->sequence) < oldest)
        return fail(ErrorCode::events_gone, "the oldest kept is " + std::to_string(oldest.value));
    return id;
}

// What is to be done next for a reader: nothing, or the next page.
void EventApi::pump(const Shared& stream) {
    if (stream->out->gone() || stream->out->ended()) {
        std::erase(streams_, stream);
        return;
    }
    if (stream->live || stream->reading) return;
    const bool whole = stream->told.index == protocol::EventId::end;
    stream->live = whole && stream->told.sequence >= core_.durable();
    if (stream->live || stream->out->waiting() > 0) return;
    stream->reading = true;
    const Sequence after{whole ? stream->told.sequence.value : stream->told.sequence.value - 1};
    auto page = std::make_shared<Page>();
    ports_.lane.run(
        [&records = ports_.records, page, after] {
            page->result = records.read(after, [&](const RecordBatch& batch) {
                page->batches.push_back(batch);
                page->records += batch.records.size();
                for (const Record& record : batch.records)
                    page->bytes += protocol::encoded_bytes_max(record);
                return page->records < limits::event_page_records && page->bytes < page_bytes;
            });
        },
        [this, stream, page, alive = std::weak_ptr{alive_}] {
            if (!alive.expired()) page_read(stream, page);
        });
}

void EventApi::page_read(const Shared& stream, const std::shared_ptr<Page>& page) {
    if (stream->out->gone() || let_go_) {
        stream->reading = false;
        return pump(stream);
    }
    if (!page->result) {
        std::string last_words = "event: cut\ndata: {\"event\":\"cut\",\"error\":\"";
        last_words += page->result.error().name();
        return end(stream, last_words + "\"}\n\n");
    }
    for (const RecordBatch& batch : page->batches)
        know(batch, page->facts, page->unknown);
    if (page->unknown.empty()) return tell_page(stream, *page);
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
        [this, stream, page, alive = std::weak_ptr{alive_}] {
            if (!alive.expired()) tell_page(stream, *page);
        });
}

void EventApi::tell_page(const Shared& stream, const Page& page) {
    stream->reading = false;
    for (const RecordBatch& batch : page.batches) {
        if (stream->out->ended() || stream->out->waiting() > limits::event_stream_bytes_max) break;
        tell(*stream, events_of(batch, page.facts), batch.last());
    }
    pump(stream);
}

// Stops where as much waits as may: what is behind is read again when the reader has taken it.
void EventApi::tell(Stream& stream, const std::vector<protocol::Event>& events, Sequence through) {
    std::string out;
    const std::size_t waiting = stream.out->waiting();
    for (const protocol::Event& event : events) {
        if (event.id <= stream.told) continue;
        if (waiting + out.size() > limits::event_stream_bytes_max) {
            stream.live = false;
            return stream.out->write(out);
        }
        stream.told = event.id;
        if (!stream.topics.takes(event)) continue;
        protocol::write_event(out, event);
        if (!stream.left || --*stream.left > 0) continue;
        stream.out->write(out);
        return stream.out->end();
    }
    stream.told = std::max(stream.told, protocol::EventId{through});
    stream.out->write(out);
}

void EventApi::on_records(const RecordBatch& batch) {
    if (std::ranges::none_of(streams_, [](const Shared& stream) { return stream->live; })) return;
    Facts facts;
    std::vector<TaskId> unknown;
    const bool known = know(batch, facts, unknown);
    const auto events = known ? events_of(batch, facts) : std::vector<protocol::Event>{};
    for (auto each = streams_.begin(); each != streams_.end();) {
        const Shared stream = *each++;  // it may end
        if (!stream->live) continue;
        if (known) {
            tell(*stream, events, batch.last());
        } else {
            stream->live = false;  // the view is asked, on the way of those who are behind
            ports_.timers.post([this, stream, alive = std::weak_ptr{alive_}] {
                if (!alive.expired()) pump(stream);
            });
        }
        if (stream->out->ended() || stream->out->gone()) std::erase(streams_, stream);
    }
}

bool EventApi::know(const RecordBatch& batch, Facts& facts, std::vector<TaskId>& unknown) const {
    const std::size_t before = unknown.size();
    for (const Record& record : batch.records) {
        const auto id = task_of(record);
        if (!id || facts.contains(*id)) continue;
        if (const auto* submitted = std::get_if<TaskSubmitted>(&record)) {
            facts[*id] = {submitted->spec.type, submitted->spec.group};
        } else if (const Task* task = core_.engine().find(*id)) {
            facts[*id] = {task->spec.type, task->spec.group};
        } else if (!core_.engine().is_deleted(*id)) {
            facts[*id] = {};
            unknown.push_back(*id);
        }
    }
    return unknown.size() == before;
}

void EventApi::end(const Shared& stream, std::string_view last_words) {
    stream->out->write(last_words);
    stream->out->end();
    std::erase(streams_, stream);
}

// Tells who is alive, and how far those have come who want little of what happens.
void EventApi::beat() {
    heartbeat_->set(ports_.clock.steady() + limits::event_heartbeat, [this] {
        std::erase_if(streams_, [](const Shared& stream) { return stream->out->gone(); });
        std::string words;
        for (const Shared& stream : streams_) {
            if (!stream->live || stream->out->waiting() > 0) continue;
            words.clear();
            protocol::write_heartbeat(words, stream->told);
            stream->out->write(words);
        }
        if (!streams_.empty()) beat();
    });
}

void EventApi::let_go() {
    let_go_ = true;
    const auto open = streams_;
    for (const Shared& stream : open)
        end(stream, ": shutting down\n\n");
}

}  // namespace taskd::service
