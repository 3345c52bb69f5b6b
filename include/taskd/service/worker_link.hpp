// The dispatcher's side of the datagrams: hands leases to workers until they have them, takes
// results until they are durable, and knows who can be reached.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "taskd/model/registration.hpp"
#include "taskd/port/datagram.hpp"
#include "taskd/protocol/outbox.hpp"
#include "taskd/service/core.hpp"
#include "taskd/service/vitals.hpp"

namespace taskd::service {

struct WorkerLinkSettings {
    std::string store_id;  // stands for this dispatcher across restarts
    protocol::ClusterKey key;
    SessionId session;
    std::uint16_t http_port = 0;  // where workers fetch what is too large
    Duration lease_duration = limits::lease_duration_default;
    Duration hello_interval = std::chrono::seconds{1};  // at most; a short lease makes it shorter
    Duration silence_max = std::chrono::seconds{5};     // then a worker gets nothing new; the same
    std::size_t datagram_bytes_max = limits::datagram_bytes_max;
};

struct WorkerFigures {
    Registration registration;
    std::uint32_t slots = 0;
    bool reachable = false;
    std::optional<WallTime> heard_at;
};

class WorkerLink {
  public:
    WorkerLink(WorkerLinkSettings settings, Core& core, port::Datagram& socket,
               port::Resolver& resolver, port::Clock& clock, port::Timers& timers, port::Log& log);

    // The name service's list as it now is.
    void set_registrations(const std::vector<Registration>& registrations);
    // Takes the outputs that concern workers.
    void on_output(const engine::Output& output);
    std::vector<WorkerFigures> figures() const;
    // Whether a worker reached by datagrams has this name.
    bool knows(const std::string& instance) const { return peers_.contains(instance); }
    void report(port::MetricSink& sink) const;
    void set_http_port(std::uint16_t port) { settings_.http_port = port; }

  private:
    struct Peer {
        Peer(std::string name, const WorkerLinkSettings& settings, port::Timers& timers);

        Registration registration;
        bool registered = false;
        std::optional<port::Endpoint> endpoint;
        bool resolving = false;
        std::uint32_t slots = 0;  // as it said itself
        bool up = false;          // heard and taking tasks
        std::optional<SteadyTime> heard;
        std::optional<WallTime> heard_at;
        protocol::Outbox outbox;
        std::unique_ptr<port::Timer> timer;
        bool flush_posted = false;
    };
    // Where a worker speaks from, and in which of its lives.
    struct Speaker {
        port::Endpoint at;
        SessionId session;
        friend auto operator<=>(const Speaker&, const Speaker&) = default;
    };
    using Acks = std::map<std::pair<Speaker, protocol::Kind>, std::vector<std::string>>;

    void greet_all();
    void greet(Peer& peer);
    void resolve(Peer& peer);
    void received(const port::Endpoint& from, std::string_view bytes);
    void heard(Peer& peer, const port::Endpoint& from);
    void reach_at(Peer& peer, const port::Endpoint& at);
    void take_status(Peer& peer, const protocol::JsonItem& item);
    void take_progress(const std::string& from, const protocol::JsonItem& item);
    void take_task_ack(Peer& peer, const protocol::JsonItem& item);
    void take_result(const std::string& from, const Speaker& by, const protocol::JsonItem& item);
    void take_renew(const std::string& from, const Speaker& by,
                    const std::vector<protocol::JsonItem>& items);
    void send_lease(const engine::SendLease& output);
    void send_again(Peer& peer);
    void set_up(Peer& peer, bool up);
    void flush(Peer& peer);
    void flush_soon(Peer& peer);
    void ack(const Speaker& to, protocol::Kind kind, std::string item);
    void flush_acks();
    void transmit(const Speaker& to, protocol::Kind kind, std::string_view body);
    Peer* find(const std::string& instance);

    WorkerLinkSettings settings_;
    Core& core_;
    port::Datagram& socket_;
    port::Resolver& resolver_;
    port::Clock& clock_;
    port::Timers& timers_;
    port::Log& log_;
    std::map<std::string, std::shared_ptr<Peer>> peers_;
    protocol::ReplayGuard guard_;
    std::uint64_t sequence_ = 0;
    DatagramFigures datagrams_;
    Acks acks_;
    bool acks_wait_ = false;
    std::unique_ptr<port::Timer> ack_timer_;
    std::unique_ptr<port::Timer> hello_timer_;
};

}  // namespace taskd::service
