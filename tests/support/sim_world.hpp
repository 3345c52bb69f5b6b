// One deterministic world for tests: virtual time, hosts with their own clocks, timers and lanes, a
// network that loses, doubles, delays and cuts, HTTP as values. The same seed and the same calls
// give the same story. One thread; nothing here reads the machine's clock.
//
// A host crashes like a process that is killed: everything scheduled for it is dropped and never
// runs. Crash it, destroy its objects, boot() it, make the objects anew. Objects of a former life
// are inert. The world outlives everything made on it.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim_queue.hpp"
#include "taskd/base/random.hpp"
#include "taskd/base/time.hpp"
#include "taskd/port/background.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/datagram.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/sim/memory_calendar.hpp"

namespace taskd::test {

// Shares are in a thousand. Each delay is drawn evenly from its range, so datagrams overtake.
struct SimNetOptions {
    unsigned loss = 0;
    unsigned duplicate = 0;
    unsigned late = 0;  // these take up to late_max instead of delay_max
    Duration delay_min{50};
    Duration delay_max{500};
    Duration late_max{200'000};
};

struct SimHttpOptions {
    unsigned request_loss = 0;  // both end as timed_out at the caller
    unsigned answer_loss = 0;
    Duration delay_min{100};
    Duration delay_max{1'000};
};

struct SimLaneOptions {
    Duration job_min{20};
    Duration job_max{2'000};
};

struct SimOptions {
    SimNetOptions net;
    SimHttpOptions http;
    SimLaneOptions lane;
};

// What really happened, so that a test can tell a fault that was asked for from one that hit.
struct SimCounts {
    std::uint64_t steps = 0;
    std::uint64_t datagrams_sent = 0;
    std::uint64_t datagrams_delivered = 0;
    std::uint64_t datagrams_lost = 0;
    std::uint64_t datagrams_doubled = 0;
    std::uint64_t datagrams_reordered = 0;
    std::uint64_t datagrams_cut = 0;        // by a partition
    std::uint64_t datagrams_to_nobody = 0;  // host down, or port not bound
    std::uint64_t http_sent = 0;
    std::uint64_t http_answered = 0;
    std::uint64_t http_requests_lost = 0;
    std::uint64_t http_answers_lost = 0;
    std::uint64_t http_cut = 0;
    std::uint64_t http_refused = 0;
    std::uint64_t http_broken_by_crash = 0;
    std::uint64_t http_timed_out = 0;
    std::uint64_t crashes = 0;
    std::uint64_t crashes_between_job_and_then = 0;
    std::uint64_t events_dropped_by_crash = 0;
    std::uint64_t pauses = 0;
    std::uint64_t wall_jumps = 0;

    std::vector<std::pair<std::string_view, std::uint64_t>> rows() const;
};

class SimHost;

class SimWorld {
  public:
    explicit SimWorld(std::uint64_t seed, SimOptions options = {});
    ~SimWorld();
    SimWorld(const SimWorld&) = delete;
    SimWorld& operator=(const SimWorld&) = delete;

    // Made at first use, up, with an address of its own ("10.0.0.1", "10.0.0.2", ...).
    SimHost& host(const std::string& name);

    Duration now() const { return now_; }  // since the world began
    bool step();                           // one event; false when there is none
    void run_until(Duration time);         // every event up to and at `time`, then now() is `time`
    void run_for(Duration span) { run_until(now_ + span); }
    // Until nothing is scheduled (true) or the next event lies beyond `limit` from now (false).
    bool run_until_idle(Duration limit);
    // Until `done` holds; false when it does not within `limit` from now or nothing is left to do.
    bool run_until(const std::function<bool()>& done, Duration limit);

    // Script: belongs to no host and survives every crash.
    void at(Duration time, std::function<void()> act);

    void crash(SimHost& host);
    void boot(SimHost& host);
    void pause(SimHost& host, Duration span);  // as SIGSTOP and SIGCONT: all it does waits
    void set_wall_offset(SimHost& host, Duration offset);
    void partition(SimHost& a, SimHost& b);  // both directions
    void block(SimHost& from, SimHost& to);  // one direction
    void heal(SimHost& a, SimHost& b);
    void heal_all() { blocked_.clear(); }

    SimOptions& options() { return options_; }
    const SimCounts& counts() const { return counts_; }
    Random fork_random() { return Random{random_.next()}; }

  private:
    friend class SimHost;
    friend class SimTimer;
    friend class SimLane;
    friend class SimSocket;
    friend class SimResponder;
    using Job = SimQueue::Job;

    struct Call {
        std::uint32_t caller;
        std::uint32_t server;
        std::function<void(Result<port::HttpResponse>)> then;
        SimQueue::Ticket timeout;
        bool at_server = false;
        bool head = false;
    };

    // Events of a host that is down, or of an earlier life, are dropped.
    SimQueue::Ticket schedule(SimHost& host, Duration at, Job job);
    Duration draw(Duration min, Duration max);
    bool hits(unsigned share) { return share != 0 && random_.chance(share, 1000); }
    bool is_blocked(std::uint32_t from, std::uint32_t to) const;
    SimHost* find(std::string_view name_or_address, SimHost& asking);
    bool settle_pauses();

    void send_datagram(SimHost& from, const port::Endpoint& source, const port::Endpoint& to,
                       std::string_view bytes);
    void fly(SimHost& from, SimHost& to, const port::Endpoint& source, std::uint16_t port,
             const std::shared_ptr<const std::string>& bytes);

    void send_http(SimHost& caller, const std::string& base_url, port::HttpRequest request,
                   Duration timeout, std::function<void(Result<port::HttpResponse>)> then);
    void arrive(std::uint64_t call, SimHost& server, std::uint16_t port, port::HttpRequest request);
    void answer(std::uint64_t call, port::HttpResponse response);
    void answer_when_over(std::uint64_t call, port::HttpResponse response);
    void finish_later(std::uint64_t call, Result<port::HttpResponse> result);
    void finish(std::uint64_t call, Result<port::HttpResponse> result);

    SimOptions options_;
    Random random_;
    SimCounts counts_;
    SimQueue queue_;
    Duration now_{0};
    std::vector<std::unique_ptr<SimHost>> hosts_;  // by owner number minus one; 0 is the script
    std::set<std::pair<std::uint32_t, std::uint32_t>> blocked_;
    std::map<std::pair<std::uint32_t, std::uint32_t>, Duration> last_arrival_;
    std::map<std::uint64_t, Call> calls_;
    std::map<std::uint64_t, std::shared_ptr<port::HttpStream>> streams_;  // beside calls_
    std::uint64_t next_call_ = 0;
};

class SimHost final : private port::Timers,
                      private port::Clock,
                      private port::HttpExchange,
                      private port::Resolver {
  public:
    SimHost(SimWorld& world, std::uint32_t number, std::string name);

    const std::string& name() const { return name_; }
    const std::string& address() const { return address_; }
    bool is_up() const { return up_; }
    bool clock_was_set() const { return clock_was_set_; }  // ever

    port::Clock& clock() { return *this; }
    port::Timers& timers() { return *this; }
    port::HttpExchange& http() { return *this; }
    port::Resolver& resolver() { return *this; }
    port::Calendar& calendar() { return calendar_; }
    std::unique_ptr<port::Background> make_lane();
    // Port 0 picks a free one; port_in_use when it is taken.
    Result<std::unique_ptr<port::Datagram>> bind(std::uint16_t port);
    // Requests to "http://NAME:PORT" and "http://ADDRESS:PORT" go to the handler until the host
    // crashes or stop_serving(). Port 0 picks a free one; answers the port.
    Result<std::uint16_t> serve(std::uint16_t port, port::HttpHandler& handler);
    void stop_serving(std::uint16_t port) { handlers_.erase(port); }

  private:
    friend class SimWorld;
    friend class SimTimer;
    friend class SimLane;
    friend class SimSocket;
    friend class SimResponder;

    std::unique_ptr<port::Timer> make() override;
    void post(std::function<void()> job) override;
    WallTime wall() const override;
    SteadyTime steady() const override;
    void send(const std::string& base_url, port::HttpRequest request, Duration timeout,
              std::function<void(Result<port::HttpResponse>)> then) override;
    void resolve(const std::string& host, std::uint16_t port,
                 std::function<void(Result<port::Endpoint>)> then) override;

    SimWorld& world_;
    std::uint32_t number_;
    std::string name_;
    std::string address_;
    bool up_ = true;
    std::uint64_t life_ = 1;  // grows with every crash
    Duration steady_base_;    // another one each life: steady time means nothing across it
    Duration wall_offset_{0};
    bool clock_was_set_ = false;
    Duration paused_until_{0};
    sim::MemoryCalendar calendar_;
    std::uint64_t thens_due_ = 0;  // background jobs done whose `then` has not run
    std::map<std::uint16_t, class SimSocket*> sockets_;
    std::map<std::uint16_t, port::HttpHandler*> handlers_;
};

}  // namespace taskd::test
