#include "taskd/pizza/outbox.hpp"

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::pizza {
namespace {

constexpr std::int64_t batch_max = 100;
constexpr Duration timeout = std::chrono::seconds{10};

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

void Outbox::drain(std::function<void()> done) {
    drained_ = std::move(done);
    if (busy_) return;
    timer_->clear();
    turn();
}

Result<Outbox::Batch> Outbox::read(io::SqliteStore& store) {
    auto rows = store.rows(
        "SELECT number, topic, id, key, traceparent, time, data FROM outbox WHERE topic = "
        "(SELECT topic FROM outbox ORDER BY number LIMIT 1) ORDER BY number LIMIT ?",
        {batch_max});
    if (!rows) return fail(std::move(rows));
    auto count = store.rows("SELECT count(*) FROM outbox");
    if (!count) return fail(std::move(count));
    Batch batch;
    batch.waiting = static_cast<std::uint64_t>(count->front().number(0));
    for (const io::SqlRow& row : *rows)
        batch.rows.push_back({row.number(0),
                              {row.text(1), row.text(2), row.text(3), row.text(4),
                               WallTime{Duration{row.number(5)}}, row.text(6)}});
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
    desk_.ask<Batch>(read, [this](Result<Batch> read) {
        if (!read) return failed(read.error());
        waiting_ = read->waiting;
        if (read->rows.empty()) return idle();
        publish(std::make_shared<Batch>(std::move(*read)));
    });
}

void Outbox::publish(std::shared_ptr<Batch> batch) {
    const std::string target =
        "/v1/topics/" + protocol::percent_encode(batch->rows.front().event.topic) + "/events";
    broker_.ask("POST", target, body_of(*batch), timeout,
                [this, batch](Result<Broker::Answer> answer) {
                    if (!answer) return failed(answer.error());
                    crash_point("published:" + batch->rows.front().event.topic);
                    forget(batch);
                });
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
            sent_ += batch->rows.size();
            if (retry_.failing())
                log_.info("the broker takes events again", {{"waiting", std::to_string(waiting_)}});
            retry_.reset();
            crash_point("forgotten:" + batch->rows.front().event.topic);
            turn();
        });
}

void Outbox::failed(const Error& error) {
    if (drained_) return idle();
    if (!retry_.failing())
        log_.warn("events wait for the broker", {{"broker", broker_.url()},
                                                 {"waiting", std::to_string(waiting_)},
                                                 {"error", error.to_string()}});
    busy_ = false;
    timer_->set(clock_.steady() + retry_.next(), [this] { turn(); });
}

void Outbox::idle() {
    busy_ = false;
    if (drained_) return std::exchange(drained_, nullptr)();
    if (again_) turn();
}

}  // namespace taskd::pizza
