#include "taskd/pizza/outbox.hpp"

#include <algorithm>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::pizza {
namespace {

constexpr std::int64_t batch_max = 100;
constexpr Duration timeout = std::chrono::seconds{10};
constexpr Duration count_pause = std::chrono::seconds{5};  // it reads the whole table

// Whether the same again would be refused again: what is said is wrong, not who says it or when.
bool is_final(const Error& error) {
    const int status = row_of(error.code).http_status;
    return !row_of(error.code).retryable && (status == 400 || status == 413 || status == 422);
}

}  // namespace

Result<void> put_event(io::SqliteStore& store, const OutEvent& event) {
    auto done = store.run(
        "INSERT INTO outbox(topic, id, key, type, traceparent, time, data) VALUES(?,?,?,?,?,?,?)",
        {event.topic, event.id, event.key, event.topic, event.traceparent,
         event.time.time_since_epoch().count(), event.data});
    if (!done) return fail(std::move(done));
    return {};
}

Result<void> put_span(io::SqliteStore& store, const Span& span) {
    return put_event(store, {"trace.spans", span.spot.span_id, span.spot.trace_id,
                             span.spot.traceparent(), span.end, span.to_json()});
}

Result<bool> has_event(io::SqliteStore& store, const std::string& id) {
    auto rows = store.rows("SELECT 1 FROM outbox WHERE id = ?", {id});
    if (!rows) return fail(std::move(rows));
    return !rows->empty();
}

Outbox::Outbox(std::string source, Desk& desk, Broker& broker, port::Timers& timers,
               const port::Clock& clock, port::Log& log)
    : source_{std::move(source)},
      desk_{desk},
      broker_{broker},
      clock_{clock},
      log_{log},
      timer_{timers.make()} {}

void Outbox::nudge() {
    again_ = true;
    if (busy_ || retry_.failing()) return;
    turn();
}

void Outbox::after(const std::string& id, std::function<void(bool)> then) {
    awaited_.emplace(id, std::move(then));
    nudge();
    if (hurried_ && retry_.failing() && !busy_) hurry();
}

void Outbox::hurry() {
    hurried_ = true;
    if (!busy_ && retry_.failing()) tell_all(false);
}

void Outbox::tell_all(bool sent) {
    for (auto& [id, then] : std::exchange(awaited_, {}))
        then(sent);
}

void Outbox::drain(std::function<void()> done) {
    drained_ = std::move(done);
    if (busy_) return;
    timer_->clear();
    turn();
}

void Outbox::report(port::MetricSink& sink, std::string_view service) const {
    sink.put(port::Metric::pizza_outbox_events, waiting_, {service});
    if (parked_ > 0) sink.put(port::Metric::pizza_outcomes_total, parked_, {service, "parked"});
}

Result<Outbox::Batch> Outbox::read(io::SqliteStore& store, const Question& question) {
    auto rows = store.rows(
        "SELECT number, topic, id, key, traceparent, time, data FROM outbox WHERE topic = "
        "(SELECT topic FROM outbox ORDER BY number LIMIT 1) ORDER BY number LIMIT ?",
        {question.events_max});
    if (!rows) return fail(std::move(rows));
    Batch batch;
    if (question.counts) {
        auto count = store.rows("SELECT count(*) FROM outbox");
        if (!count) return fail(std::move(count));
        batch.waiting = static_cast<std::uint64_t>(count->front().number(0));
    }
    for (const io::SqlRow& row : *rows)
        batch.rows.push_back({row.number(0),
                              {row.text(1), row.text(2), row.text(3), row.text(4),
                               WallTime{Duration{row.number(5)}}, row.text(6)}});
    for (const std::string& id : question.awaited) {
        auto waits = has_event(store, id);
        if (!waits) return fail(std::move(waits));
        if (!*waits) batch.gone.push_back(id);
    }
    return batch;
}

std::string Outbox::body_of(const Batch& batch) const {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_array();
    for (const Row& row : batch.rows) {
        const OutEvent& event = row.event;
        json.begin_object()
            .field("id", event.id)
            .field("source", source_)
            .field("type", event.topic)
            .field("key", event.key)
            .field("time", to_rfc3339(event.time))
            .field("traceparent", event.traceparent)
            .key("data")
            .raw(event.data)
            .end_object();
    }
    json.end_array();
    return body;
}

void Outbox::turn() {
    busy_ = true;
    again_ = false;
    Question question{alone_ > 0 ? 1 : batch_max, clock_.steady() >= count_at_, {}};
    if (question.counts) count_at_ = clock_.steady() + count_pause;
    for (const auto& [id, then] : awaited_)
        if (question.awaited.empty() || question.awaited.back() != id)
            question.awaited.push_back(id);
    desk_.ask<Batch>(
        [question = std::move(question)](io::SqliteStore& store) { return read(store, question); },
        [this](Result<Batch> read) {
            if (!read) return failed(read.error());
            waiting_ = read->waiting.value_or(std::max(waiting_, read->rows.size()));
            // Another process may have sent them, and there may always be others here.
            for (const std::string& id : read->gone)
                left(id);
            if (read->rows.empty()) return idle();
            publish(std::make_shared<Batch>(std::move(*read)));
        });
}

void Outbox::publish(std::shared_ptr<Batch> batch) {
    const std::string target =
        "/v1/topics/" + protocol::percent_encode(batch->rows.front().event.topic) + "/events";
    broker_.ask("POST", target, body_of(*batch), timeout,
                [this, batch](Result<Broker::Answer> answer) {
                    if (!answer && is_final(answer.error())) return refused(batch, answer.error());
                    if (!answer) return failed(answer.error());
                    crash_point("published:" + batch->rows.front().event.topic);
                    forget(batch);
                });
}

// Of several it is not known which: they are sent one by one.
void Outbox::refused(const std::shared_ptr<Batch>& batch, const Error& error) {
    if (batch->rows.size() == 1) return park(batch->rows.front(), error);
    alone_ = std::ssize(batch->rows);
    turn();
}

void Outbox::park(const Row& row, const Error& error) {
    desk_.change<bool>(
        [row, why = error.to_string()](io::SqliteStore& store) -> Result<bool> {
            const OutEvent& event = row.event;
            auto put = store.run("INSERT OR REPLACE INTO parked VALUES(?,?,?,?,?,?,?)",
                                 {row.number, event.topic, event.id, event.key,
                                  event.time.time_since_epoch().count(), event.data, why});
            if (!put) return fail(std::move(put));
            auto gone = store.run("DELETE FROM outbox WHERE number = ?", {row.number});
            if (!gone) return fail(std::move(gone));
            return true;
        },
        [this, row, error](Result<bool> done) {
            if (!done) return failed(done.error());
            log_.error(
                "the broker refuses an event; it is put aside in the table parked",
                {{"topic", row.event.topic}, {"id", row.event.id}, {"error", error.to_string()}});
            ++parked_;
            alone_ = std::max<std::int64_t>(0, alone_ - 1);
            left(row.event.id);
            turn();
        });
}

void Outbox::left(const std::string& id) {
    const auto [first, last] = awaited_.equal_range(id);
    std::vector<std::function<void(bool)>> told;
    for (auto each = first; each != last; ++each)
        told.push_back(std::move(each->second));
    awaited_.erase(first, last);
    for (auto& then : told)
        then(true);
}

void Outbox::forget(const std::shared_ptr<Batch>& batch) {
    desk_.change<bool>(
        [batch](io::SqliteStore& store) -> Result<bool> {
            for (const Row& row : batch->rows)
                if (auto done = store.run("DELETE FROM outbox WHERE number = ?", {row.number});
                    !done)
                    return fail(std::move(done));
            return true;
        },
        [this, batch](Result<bool> done) {
            if (!done) return failed(done.error());
            alone_ = std::max<std::int64_t>(0, alone_ - std::ssize(batch->rows));
            if (retry_.failing())
                log_.info("the broker takes events again", {{"waiting", std::to_string(waiting_)}});
            retry_.reset();
            waiting_ -= std::min(waiting_, batch->rows.size());
            crash_point("forgotten:" + batch->rows.front().event.topic);
            for (const Row& row : batch->rows)
                left(row.event.id);
            turn();
        });
}

void Outbox::failed(const Error& error) {
    if (drained_) {
        busy_ = false;
        tell_all(false);
        return std::exchange(drained_, nullptr)();
    }
    if (!retry_.failing())
        log_.warn("events wait for the broker", {{"broker", broker_.url()},
                                                 {"waiting", std::to_string(waiting_)},
                                                 {"error", error.to_string()}});
    busy_ = false;
    timer_->set(clock_.steady() + retry_.next(), [this] { turn(); });
    if (hurried_) hurry();
}

// Nothing waits: what another process with the same store has sent is awaited no longer either, and
// what is put next does not wait for a retry that nobody has set.
void Outbox::idle() {
    busy_ = false;
    waiting_ = 0;
    if (retry_.failing()) log_.info("another process has sent the events that waited");
    retry_.reset();
    alone_ = 0;
    if (again_ && !drained_) return turn();
    tell_all(true);
    if (drained_) return std::exchange(drained_, nullptr)();
    if (again_ && !busy_) turn();
}

}  // namespace taskd::pizza
