// Events that are sure to be published: written into the service's store with what they tell of, in
// one transaction; sent to the broker afterwards, again and again until it has answered, and only
// then forgotten. The broker knows an event by its source and id, so that a crash between its
// answer and the forgetting doubles nothing. An event that the broker refuses for good is put
// aside, so that it holds up no other.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "taskd/pizza/broker.hpp"
#include "taskd/pizza/desk.hpp"
#include "taskd/pizza/retry.hpp"
#include "taskd/pizza/span.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/metrics.hpp"
#include "taskd/port/timers.hpp"

namespace taskd::pizza {

inline constexpr std::string_view outbox_table =
    "CREATE TABLE outbox(number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, "
    "id TEXT NOT NULL, key TEXT NOT NULL, type TEXT NOT NULL, traceparent TEXT NOT NULL, "
    "time INTEGER NOT NULL, data TEXT NOT NULL)";

// What the broker would not take, and why: for people to look at.
inline constexpr const char* parked_table =
    "CREATE TABLE parked(number INTEGER PRIMARY KEY, topic TEXT NOT NULL, id TEXT NOT NULL, "
    "key TEXT NOT NULL, time INTEGER NOT NULL, data TEXT NOT NULL, error TEXT NOT NULL)";

// For a service that asks whether an event of its own still waits.
inline constexpr const char* outbox_index = "CREATE INDEX outbox_by_id ON outbox(id)";

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
// Whether an event of this id still waits. Asks for outbox_index.
Result<bool> has_event(io::SqliteStore& store, const std::string& id);

class Outbox {
  public:
    // `source` names the service, the same for all of its instances.
    Outbox(std::string source, Desk& desk, Broker& broker, port::Timers& timers,
           const port::Clock& clock, port::Log& log);

    void start() { nudge(); }
    void nudge();  // something was put
    // Says true once the event of this id, which was put, waits no longer; false when hurry() has
    // been said and the broker does not answer.
    void after(const std::string& id, std::function<void(bool)> then);
    void hurry();
    // Tries what is left once more and says so; what cannot be sent stays for the next start.
    void drain(std::function<void()> done);
    void report(port::MetricSink& sink, std::string_view service) const;

  private:
    struct Row {
        std::int64_t number = 0;
        OutEvent event;
    };
    struct Question {
        std::int64_t events_max = 0;
        bool counts = false;
        std::vector<std::string> awaited;  // each once
    };
    struct Batch {
        std::vector<Row> rows;                 // of one topic
        std::optional<std::uint64_t> waiting;  // when it was to be counted
        std::vector<std::string> gone;         // of the awaited: sent, by whomever
    };
    static Result<Batch> read(io::SqliteStore& store, const Question& question);
    std::string body_of(const Batch& batch) const;
    void turn();
    void publish(std::shared_ptr<Batch> batch);
    void refused(const std::shared_ptr<Batch>& batch, const Error& error);
    void park(const Row& row, const Error& error);
    void forget(const std::shared_ptr<Batch>& batch);
    void left(const std::string& id);
    void tell_all(bool sent);
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
    bool hurried_ = false;
    std::int64_t alone_ = 0;  // so many are sent one by one: one of them was refused
    std::multimap<std::string, std::function<void(bool)>> awaited_;
    std::uint64_t waiting_ = 0;  // as last counted, less what was sent since
    SteadyTime count_at_{};
    std::uint64_t parked_ = 0;
    std::function<void()> drained_;
};

}  // namespace taskd::pizza
