// Events that are sure to be published: written into the service's store with what they tell of, in
// one transaction; sent to the broker afterwards, again and again until it has answered, and only
// then forgotten. The broker knows an event by its source and id, so that a crash between its
// answer and the forgetting doubles nothing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "taskd/pizza/broker.hpp"
#include "taskd/pizza/desk.hpp"
#include "taskd/pizza/retry.hpp"
#include "taskd/pizza/span.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/timers.hpp"

namespace taskd::pizza {

inline constexpr std::string_view outbox_table =
    "CREATE TABLE outbox(number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, "
    "id TEXT NOT NULL, key TEXT NOT NULL, type TEXT NOT NULL, traceparent TEXT NOT NULL, "
    "time INTEGER NOT NULL, data TEXT NOT NULL)";

struct OutEvent {
    std::string topic;
    std::string id;  // unique among those of its source
    std::string key;
    std::string traceparent;
    WallTime time;
    std::string data;  // one JSON value
};

// Within a transaction, on the lane.
Result<void> put_event(io::SqliteStore& store, const OutEvent& event);
Result<void> put_span(io::SqliteStore& store, const Span& span);

class Outbox {
  public:
    // `source` names the service, the same for all of its instances.
    Outbox(std::string source, Desk& desk, Broker& broker, port::Timers& timers,
           const port::Clock& clock, port::Log& log);

    void start() { nudge(); }
    void nudge();  // something was put
    // Tries what is left once more and says so; what cannot be sent stays for the next start.
    void drain(std::function<void()> done);
    std::uint64_t waiting() const { return waiting_; }
    std::uint64_t sent() const { return sent_; }

  private:
    struct Row {
        std::int64_t number = 0;
        OutEvent event;
    };
    struct Batch {
        std::vector<Row> rows;  // of one topic
        std::uint64_t waiting = 0;
    };
    static Result<Batch> read(io::SqliteStore& store);
    std::string body_of(const Batch& batch) const;
    void turn();
    void publish(std::shared_ptr<Batch> batch);
    void forget(const std::shared_ptr<Batch>& batch);
    void failed(const Error& error);
    void idle();

    std::string source_;
    Desk& desk_;
    Broker& broker_;
    const port::Clock& clock_;
    port::Log& log_;
    std::unique_ptr<port::Timer> timer_;
    Retry retry_;
    bool busy_ = false;
    bool again_ = false;  // something came while it was busy
    std::uint64_t waiting_ = 0;
    std::uint64_t sent_ = 0;
    std::function<void()> drained_;
};

}  // namespace taskd::pizza
