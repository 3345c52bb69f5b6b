// A worker: takes leases over UDP, runs the work, renews what it holds and says how each lease
// ended until the dispatcher has it durably. Registers itself and deregisters when it has finished.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

#include "taskd/model/registration.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/datagram.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/protocol/outbox.hpp"
#include "taskd/service/registrar.hpp"
#include "taskd/service/task_runner.hpp"
#include "taskd/service/vitals.hpp"

namespace taskd::service {

struct WorkerSettings {
    Registration registration;  // instance, session, type, host, port, concurrency, meta
    std::string nameservice_url;
    protocol::ClusterKey key;
    std::size_t datagram_bytes_max = limits::datagram_bytes_max;
    Duration heartbeat = limits::heartbeat_interval;
    // Once it drains: when what still runs is broken off and given back.
    std::optional<Duration> give_back_after;
};

struct WorkerPorts {
    port::Datagram& socket;
    port::HttpExchange& http;
    port::Clock& clock;
    port::Timers& timers;
    port::Log& log;
};

class Worker {
  public:
    // The runner outlives it.
    Worker(WorkerSettings settings, TaskRunner& runner, WorkerPorts ports);
    ~Worker();

    bool registered() const { return registrar_.registered(); }
    // No task could be begun lately; it takes none for a while.
    bool resting() const { return resting_; }
    std::size_t running() const { return running_.size(); }
    std::uint64_t done() const { return done_count_; }
    void report(port::MetricSink& sink) const;

    // Takes no more, finishes what it holds, hands all results over, deregisters, then `done`.
    void drain(std::function<void()> done);

  private:
    // A dispatcher as its store id names it; it may come back at another address.
    struct Dispatcher {
        Dispatcher(const std::string& instance, std::size_t datagram_bytes_max,
                   port::Timers& timers);
        port::Endpoint endpoint;
        SessionId session;  // that it has spoken in last
        std::uint16_t http_port = 0;
        protocol::Outbox outbox;
        std::unique_ptr<port::Timer> timer;
        bool flush_posted = false;
    };
    struct Running {
        std::string dispatcher;
        std::optional<std::string> payload;  // until it is worked on
        std::unique_ptr<port::Timer> timer;  // waiting to fetch again
        Duration fetch_wait{};
        std::uint32_t attempt = 0;
        std::optional<Duration> timeout;
        SteadyTime began{};       // the work itself
        bool stopping = false;    // the runner breaks it off
        bool confirms = false;    // and then that is told
        bool given_back = false;  // and then that is
        bool at_work() const { return began != SteadyTime{}; }
    };
    // A result that no datagram holds, on its way by HTTP. Its lease is renewed until it is taken.
    struct Large {
        std::string dispatcher;
        protocol::ResultMessage message;
        std::unique_ptr<port::Timer> timer;
        Duration wait{};
    };
    using LeaseKey = protocol::LeaseKey;

    void received(const port::Endpoint& from, std::string_view bytes);
    Dispatcher* dispatcher(const std::string& store_id, const port::Endpoint& at);
    void take_hello(Dispatcher& from, const protocol::JsonItem& item);
    void take_task(const std::string& store_id, Dispatcher& from, const protocol::JsonItem& item);
    void begin_task(const std::string& store_id, Dispatcher& from, protocol::TaskMessage task);
    void take_result_ack(Dispatcher& from, const protocol::JsonItem& item);
    void take_revoke(const std::string& store_id, Dispatcher& from, const protocol::JsonItem& item);
    void take_lost(const protocol::JsonItem& item);

    void fetch(const LeaseKey& lease);
    void fetched(const LeaseKey& lease, Result<port::HttpResponse> answer);
    void run(const LeaseKey& lease);
    void ended(const LeaseKey& lease, RunEnd end);
    void finish(const LeaseKey& lease, protocol::ResultMessage message);
    void say_end(const std::string& store_id, const LeaseKey& lease, std::string item);
    void hand_over_large(const LeaseKey& lease);
    void handed_over(const LeaseKey& lease, const Result<port::HttpResponse>& answer);
    void refused(const LeaseKey& lease, const Error& why);
    void settled(const LeaseKey& lease);
    // The lease does not count any more; `confirms` when the dispatcher waits for the end of it.
    void forget(const LeaseKey& lease, bool confirms);
    void break_off(const LeaseKey& lease);
    void stopped(const LeaseKey& lease);
    void say_stopped(Dispatcher& to, const std::string& store_id, const LeaseKey& lease);
    void remember_done(const LeaseKey& lease);

    void renew();
    void say_status(Dispatcher& to);
    void flush(Dispatcher& to);
    void flush_soon(const std::string& store_id, Dispatcher& to);

    // What cannot be begun goes back, and no more is taken until a pause, longer each time, is
    // over; then one task shows whether it can be.
    void give_back_and_rest(const LeaseKey& lease, const TaskError& why);
    void try_one();
    void rested();
    std::uint32_t slots() const;
    void say_status_to_all();

    void give_back_running();
    void check_drained();

    WorkerSettings settings_;
    TaskRunner& runner_;
    WorkerPorts ports_;
    std::map<std::string, Dispatcher> dispatchers_;
    std::map<LeaseKey, Running> running_;
    std::map<LeaseKey, Large> large_;
    struct LeaseHash {
        std::size_t operator()(const LeaseKey& lease) const noexcept {
            return std::hash<TaskId>{}(lease.id) ^ lease.epoch.value << 4;
        }
    };
    // Ended and acknowledged lately: not to be run again.
    std::unordered_set<LeaseKey, LeaseHash> done_;
    std::deque<LeaseKey> done_order_;
    std::uint64_t done_count_ = 0;
    protocol::ReplayGuard guard_;
    std::uint64_t sequence_ = 0;
    DatagramFigures datagrams_;
    Duration renew_interval_;
    std::unique_ptr<port::Timer> renew_timer_;
    std::unique_ptr<port::Timer> rest_timer_;
    Duration rest_;  // the next one
    bool resting_ = false;
    bool trying_one_ = false;  // after a rest
    std::unique_ptr<port::Timer> give_back_timer_;
    bool draining_ = false;
    bool deregistering_ = false;
    std::function<void()> drained_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers may come after our end
    Registrar registrar_;
};

}  // namespace taskd::service
