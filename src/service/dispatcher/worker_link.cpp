#include "taskd/service/worker_link.hpp"

#include <algorithm>

#include "taskd/protocol/task_json.hpp"

namespace taskd::service {

using protocol::Kind;
using protocol::LeaseKey;
using End = protocol::ResultMessage::End;

namespace {

// Nobody waits for the answer to a result: those of a moment share a datagram. Far below the time
// after which a worker says it again.
constexpr Duration ack_delay = std::chrono::milliseconds{2};
static_assert(ack_delay * 10 <= limits::resend_initial);
constexpr std::size_t window_at_first = 64 * limits::kibibyte;  // until the peer says its own

// Who fell silent must be known before a lease it let run out is given again.
WorkerLinkSettings within_lease(WorkerLinkSettings settings) {
    settings.hello_interval = std::min(settings.hello_interval, settings.lease_duration / 5);
    settings.silence_max = std::min(settings.silence_max, settings.lease_duration * 3 / 5);
    return settings;
}

// Two leases may not share the key of a message that is said until it is answered.
LeaseKey key_of(const engine::LeaseRef& lease) {
    return {lease.id, lease.epoch};
}

engine::Command command_of(protocol::ResultMessage&& message) {
    const engine::LeaseRef lease{message.lease.id, message.lease.epoch};
    switch (message.end) {
        case End::completed:
            return engine::Complete{lease, Blob{std::move(message.result)}, message.took};
        case End::failed:
            return engine::Fail{lease, std::move(message.error), message.took, message.retry_after};
        case End::released:
            return engine::Release{lease};
        case End::stopped:
            break;
    }
    return engine::ConfirmRevoked{lease};
}

}  // namespace

WorkerLink::Peer::Peer(std::string name, const WorkerLinkSettings& settings, port::Timers& timers)
    : outbox{settings.store_id, settings.datagram_bytes_max, window_at_first},
      timer{timers.make()} {
    registration.instance = std::move(name);
}

WorkerLink::WorkerLink(WorkerLinkSettings settings, Core& core, port::Datagram& socket,
                       port::Resolver& resolver, port::Clock& clock, port::Timers& timers,
                       port::Log& log)
    : settings_{within_lease(std::move(settings))},
      core_{core},
      socket_{socket},
      resolver_{resolver},
      clock_{clock},
      timers_{timers},
      log_{log},
      ack_timer_{timers.make()},
      hello_timer_{timers.make()} {
    socket_.on_receive(
        [this](const port::Endpoint& from, std::string_view bytes) { received(from, bytes); });
    greet_all();
}

WorkerLink::Peer* WorkerLink::find(const std::string& instance) {
    const auto found = peers_.find(instance);
    return found == peers_.end() ? nullptr : found->second.get();
}

void WorkerLink::set_registrations(const std::vector<Registration>& registrations) {
    for (auto& [name, peer] : peers_)
        peer->registered = false;
    for (const Registration& registration : registrations) {
        auto& peer = peers_[registration.instance];
        if (!peer) peer = std::make_shared<Peer>(registration.instance, settings_, timers_);
        const bool moved = peer->registration.host != registration.host ||
                           peer->registration.port != registration.port;
        peer->registration = registration;
        peer->registered = true;
        if (moved) {
            peer->endpoint.reset();
            resolve(*peer);
        }
    }
}

void WorkerLink::resolve(Peer& peer) {
    if (peer.resolving) return;
    peer.resolving = true;
    const std::weak_ptr<Peer> weak = peers_.at(peer.registration.instance);
    resolver_.resolve(peer.registration.host, peer.registration.port,
                      [this, weak](Result<port::Endpoint> found) {
                          const auto still = weak.lock();
                          if (!still) return;
                          still->resolving = false;
                          if (!found) return;  // tried again with the next greeting
                          reach_at(*still, *found);
                          greet(*still);
                      });
}

// Once an interval: says hello to all, notices who fell silent, forgets who left.
void WorkerLink::greet_all() {
    const SteadyTime now = clock_.steady();
    for (auto each = peers_.begin(); each != peers_.end();) {
        Peer& peer = *each->second;
        const bool silent = !peer.heard || now - *peer.heard > settings_.silence_max;
        if (silent && peer.up) {
            log_.warn("worker unreachable", {{"worker", peer.registration.instance}});
            set_up(peer, false);
            // Until it is back these leases may be somebody else's; what is left is said anew then.
            peer.outbox.drop(Kind::task);
        }
        if (!peer.registered && (silent || peer.slots == 0)) {
            set_up(peer, false);
            each = peers_.erase(each);
            continue;
        }
        if (!peer.endpoint || silent) resolve(peer);  // its name may have a new address
        if (peer.endpoint) greet(peer);
        ++each;
    }
    hello_timer_->set(now + settings_.hello_interval, [this] { greet_all(); });
}

void WorkerLink::greet(Peer& peer) {
    const protocol::HelloMessage hello{settings_.lease_duration, settings_.http_port,
                                       socket_.receive_buffer_bytes() / 2};
    peer.outbox.say_once(Kind::hello, protocol::write_hello(hello));
    flush_soon(peer);
}

void WorkerLink::received(const port::Endpoint& from, std::string_view bytes) {
    const auto opened = protocol::open(bytes, settings_.session, settings_.key);
    ++datagrams_.received;
    if (!opened) {
        ++datagrams_.refused;
        log_.debug("datagram refused",
                   {{"from", from.address}, {"error", opened.error().to_string()}});
        return;
    }
    if (!guard_.accept(opened->header.session, opened->header.sequence)) {
        ++datagrams_.refused;
        return;
    }
    const auto body = protocol::read_body(opened->body);
    if (!body) return;
    Peer* peer = find(body->from);
    if (peer != nullptr) heard(*peer, from);
    const Speaker by{from, opened->header.session};
    if (opened->header.kind == Kind::renew) take_renew(body->from, by, body->items);
    for (const protocol::JsonItem& item : body->items) {
        if (opened->header.kind == Kind::result) take_result(body->from, by, item);
        if (opened->header.kind == Kind::progress) take_progress(body->from, item);
        if (peer == nullptr) continue;
        if (opened->header.kind == Kind::status) take_status(*peer, item);
        if (opened->header.kind == Kind::task_ack) take_task_ack(*peer, item);
    }
}

void WorkerLink::heard(Peer& peer, const port::Endpoint& from) {
    peer.heard = clock_.steady();
    peer.heard_at = clock_.wall();
    reach_at(peer, from);  // what it speaks from is where it is reached
}

void WorkerLink::reach_at(Peer& peer, const port::Endpoint& at) {
    if (peer.endpoint == at) return;
    peer.endpoint = at;
    peer.outbox.set_datagram_bytes(port::datagram_bytes_to(at, settings_.datagram_bytes_max));
}

void WorkerLink::take_status(Peer& peer, const protocol::JsonItem& item) {
    const auto status = protocol::read_status(item);
    if (!status) return;
    peer.outbox.set_window(status->window_bytes);
    const bool changed = peer.slots != status->slots;
    peer.slots = status->slots;
    if (changed && peer.up) peer.up = false;  // told anew below
    set_up(peer, status->slots > 0);
}

void WorkerLink::set_up(Peer& peer, bool up) {
    const std::string& instance = peer.registration.instance;
    if (!up) {
        peer.up = false;
        core_.execute(engine::WorkerGone{instance}, [](const auto&) { return Core::Reply{}; });
        return;
    }
    if (peer.up) return;
    peer.up = true;
    log_.info("worker up", {{"worker", instance}, {"type", peer.registration.type}});
    send_again(peer);
    core_.execute(engine::WorkerUp{instance, {peer.registration.type}, peer.slots},
                  [](const auto&) { return Core::Reply{}; });
}

// After a restart of this process nobody remembers what was sent: the worker drops what it has.
void WorkerLink::send_again(Peer& peer) {
    for (const engine::LeaseRef& lease : core_.engine().leases_of(peer.registration.instance))
        if (!peer.outbox.has(Kind::task, key_of(lease)))
            core_.when_durable([this, output = engine::SendLease{peer.registration.instance,
                                                                 lease}] { send_lease(output); });
}

void WorkerLink::take_progress(const std::string& from, const protocol::JsonItem& item) {
    auto said = protocol::read_progress_message(item);
    if (!said) return;
    said->progress.at = core_.now().wall;
    core_.execute(
        engine::Report{from, {said->lease.id, said->lease.epoch}, std::move(said->progress)},
        [](const auto&) { return Core::Reply{}; });
}

void WorkerLink::take_task_ack(Peer& peer, const protocol::JsonItem& item) {
    if (const auto lease = protocol::read_lease_key(item)) peer.outbox.settle(Kind::task, *lease);
    flush_soon(peer);  // its window has room again
}

void WorkerLink::take_result(const std::string& from, const Speaker& by,
                             const protocol::JsonItem& item) {
    auto message = protocol::read_result(item);
    if (!message) {
        log_.warn("result not understood",
                  {{"from", from}, {"error", message.error().to_string()}});
        return;
    }
    const LeaseKey lease = message->lease;
    if (Peer* peer = find(from)) {
        peer->outbox.settle(Kind::task, lease);
        peer->outbox.settle(Kind::revoke, lease);
        if (peer->outbox.holds_back()) flush_soon(*peer);
    }
    core_.execute(command_of(std::move(*message)),
                  [this, by, lease](const engine::Decision& decision) -> Core::Reply {
                      // What may be taken later is not answered: the worker says it again.
                      if (decision.refused && row_of(decision.refused->code).retryable) return {};
                      return [this, by, lease] {
                          ack(by, Kind::result_ack, protocol::write_lease_key(lease));
                      };
                  });
}

void WorkerLink::take_renew(const std::string& from, const Speaker& by,
                            const std::vector<protocol::JsonItem>& items) {
    engine::Renew renew{from, {}};
    Peer* peer = find(from);
    for (const protocol::JsonItem& item : items) {
        const auto lease = protocol::read_lease_key(item);
        if (!lease) continue;
        renew.leases.push_back({lease->id, lease->epoch});
        if (peer != nullptr) peer->outbox.settle(Kind::task, *lease);
    }
    if (peer != nullptr && peer->outbox.holds_back()) flush_soon(*peer);
    const auto leases = renew.leases;
    core_.execute(std::move(renew), [this, by, leases](const engine::Decision&) -> Core::Reply {
        std::vector<std::string> lost;
        for (const engine::LeaseRef& lease : leases)
            if (core_.engine().standing(lease) == engine::LeaseStanding::lost)
                lost.push_back(protocol::write_lease_key(key_of(lease)));
        return [this, by, lost] {
            acks_[{by, Kind::renew_ack}];  // answered even when nothing is lost
            for (const std::string& each : lost)
                ack(by, Kind::renew_ack, each);
            flush_acks();
        };
    });
}

void WorkerLink::on_output(const engine::Output& output) {
    if (const auto* lease = std::get_if<engine::SendLease>(&output)) send_lease(*lease);
    if (const auto* revoke = std::get_if<engine::SendRevoke>(&output)) {
        Peer* peer = find(revoke->worker);
        const LeaseKey lease = key_of(revoke->lease);
        if (peer == nullptr || peer->outbox.has(Kind::revoke, lease)) return;
        peer->outbox.settle(Kind::task, lease);
        peer->outbox.say(Kind::revoke, lease, protocol::write_lease_key(lease), clock_.steady());
        flush_soon(*peer);
    }
}

void WorkerLink::send_lease(const engine::SendLease& output) {
    Peer* peer = find(output.worker);
    if (peer == nullptr) return;  // its lease runs out
    if (core_.engine().standing(output.lease) != engine::LeaseStanding::held) return;
    const Task& task = *core_.engine().find(output.lease.id);
    protocol::TaskMessage message;
    message.lease = key_of(output.lease);
    message.type = task.spec.type;
    message.duration = settings_.lease_duration;
    message.attempt = task.attempts_made;
    if (task.lease->timeout_at)
        message.timeout = std::max(*task.lease->timeout_at - core_.now().engine, Duration{0});
    if (peer->outbox.fits(task.spec.payload.view()))
        message.payload = std::string{task.spec.payload.view()};
    std::string item = protocol::write_task_message(message);
    if (!message.payload || !peer->outbox.fits(item)) {
        message.payload.reset();
        message.http_port = settings_.http_port;
        item = protocol::write_task_message(message);
    }
    peer->outbox.say(Kind::task, message.lease, std::move(item), clock_.steady());
    flush_soon(*peer);
}

void WorkerLink::flush_soon(Peer& peer) {
    if (peer.flush_posted) return;
    peer.flush_posted = true;
    timers_.post([this, weak = std::weak_ptr<Peer>{peers_.at(peer.registration.instance)}] {
        if (const auto still = weak.lock()) {
            still->flush_posted = false;
            flush(*still);
        }
    });
}

void WorkerLink::flush(Peer& peer) {
    if (!peer.endpoint) return;
    for (const auto& packet : peer.outbox.collect(clock_.steady()))
        transmit({*peer.endpoint, peer.registration.session}, packet.kind, packet.body);
    datagrams_.resent += peer.outbox.take_resent();
    if (const auto next = peer.outbox.next_deadline())
        peer.timer->set(*next, [this, &peer] { flush(peer); });
    else
        peer.timer->clear();
}

void WorkerLink::ack(const Speaker& to, Kind kind, std::string item) {
    acks_[{to, kind}].push_back(std::move(item));
    if (std::exchange(acks_wait_, true)) return;
    ack_timer_->set(clock_.steady() + ack_delay, [this] { flush_acks(); });
}

void WorkerLink::flush_acks() {
    acks_wait_ = false;
    for (auto& [where, items] : std::exchange(acks_, {})) {
        const std::size_t room =
            port::datagram_bytes_to(where.first.at, settings_.datagram_bytes_max) -
            protocol::header_bytes - protocol::body_overhead - settings_.store_id.size();
        std::vector<std::string> together;
        std::size_t bytes = 0;
        for (const std::string& item : items) {
            if (bytes + item.size() + 1 > room) {
                transmit(where.first, where.second,
                         protocol::write_body(settings_.store_id, together));
                together.clear();
                bytes = 0;
            }
            together.push_back(item);
            bytes += item.size() + 1;
        }
        transmit(where.first, where.second, protocol::write_body(settings_.store_id, together));
    }
}

void WorkerLink::transmit(const Speaker& to, Kind kind, std::string_view body) {
    const protocol::Header header{kind, settings_.session, ++sequence_};
    ++datagrams_.sent;
    socket_.send(to.at, protocol::seal(header, body, to.session, settings_.key));
}

void WorkerLink::report(port::MetricSink& sink) const {
    datagrams_.report(sink);
    const auto reachable =
        std::ranges::count_if(peers_, [](const auto& each) { return each.second->up; });
    sink.put(port::Metric::workers_reachable, static_cast<double>(reachable));
}

std::vector<WorkerFigures> WorkerLink::figures() const {
    std::vector<WorkerFigures> all;
    for (const auto& [name, peer] : peers_)
        all.push_back({peer->registration, peer->slots, peer->up, peer->heard_at});
    return all;
}

}  // namespace taskd::service
