// Leases in, results out.
#include "taskd/service/worker.hpp"

#include <algorithm>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {

using protocol::Kind;
using protocol::ResultMessage;
using End = ResultMessage::End;

namespace {

constexpr std::size_t done_remembered = 20'000;
constexpr std::size_t dispatchers_max = 64;
constexpr Duration http_patience = std::chrono::seconds{20};
constexpr Duration retry_first = std::chrono::milliseconds{100};
constexpr Duration retry_most = std::chrono::seconds{5};
constexpr Duration rest_first = std::chrono::milliseconds{500};
constexpr Duration rest_most = std::chrono::minutes{1};

// What asking again does not change. A key does: the dispatcher may be started with ours again.
std::optional<Error> refusal_of(const Result<port::HttpResponse>& answer) {
    if (!answer || answer->status == 401 || answer->status == 403) return std::nullopt;
    return protocol::parse_refusal(answer->body, answer->status);
}

std::string why_not(const Result<port::HttpResponse>& answer) {
    return (answer ? protocol::parse_problem(answer->body, answer->status) : answer.error())
        .to_string();
}

}  // namespace

Worker::Dispatcher::Dispatcher(const std::string& instance, std::size_t datagram_bytes_max,
                               port::Timers& timers)
    : outbox{instance, datagram_bytes_max, 64 * limits::kibibyte}, timer{timers.make()} {}

Worker::Worker(WorkerSettings settings, TaskRunner& runner, WorkerPorts ports)
    : settings_{std::move(settings)},
      runner_{runner},
      ports_{ports},
      renew_interval_{limits::lease_duration_default / 3},
      renew_timer_{ports.timers.make()},
      rest_timer_{ports.timers.make()},
      rest_{rest_first},
      give_back_timer_{ports.timers.make()},
      registrar_{
          {settings_.registration, settings_.nameservice_url, settings_.key, settings_.heartbeat},
          {ports.http, ports.clock, ports.timers, ports.log}} {
    ports_.socket.on_receive(
        [this](const port::Endpoint& from, std::string_view bytes) { received(from, bytes); });
}

Worker::~Worker() = default;

Worker::Dispatcher* Worker::dispatcher(const std::string& store_id, const port::Endpoint& at) {
    if (!dispatchers_.contains(store_id) && dispatchers_.size() == dispatchers_max) return nullptr;
    const auto [found, added] = dispatchers_.try_emplace(
        store_id, settings_.registration.instance, settings_.datagram_bytes_max, ports_.timers);
    if (added) renew();  // starts the beat
    Dispatcher& known = found->second;
    if (known.endpoint != at) {
        known.endpoint = at;
        known.outbox.set_datagram_bytes(port::datagram_bytes_to(at, settings_.datagram_bytes_max));
    }
    return &known;
}

void Worker::received(const port::Endpoint& from, std::string_view bytes) {
    const auto opened = protocol::open(bytes, settings_.registration.session, settings_.key);
    ++datagrams_.received;
    if (!opened) {
        ++datagrams_.refused;
        ports_.log.debug("datagram refused",
                         {{"from", from.address}, {"error", opened.error().to_string()}});
        return;
    }
    if (!guard_.accept(opened->header.session, opened->header.sequence)) {
        ++datagrams_.refused;
        return;
    }
    const auto body = protocol::read_body(opened->body);
    if (!body) return;
    Dispatcher* known = dispatcher(body->from, from);
    if (known == nullptr) {
        ports_.log.warn("too many dispatchers", {{"from", from.address}});
        return;
    }
    Dispatcher& sender = *known;
    sender.session = opened->header.session;
    for (const protocol::JsonItem& item : body->items) {
        switch (opened->header.kind) {
            case Kind::hello:
                take_hello(sender, item);
                break;
            case Kind::task:
                take_task(body->from, sender, item);
                break;
            case Kind::result_ack:
                take_result_ack(sender, item);
                break;
            case Kind::revoke:
                take_revoke(body->from, sender, item);
                break;
            case Kind::renew_ack:
                take_lost(item);
                break;
            case Kind::status:
            case Kind::task_ack:
            case Kind::result:
            case Kind::renew:
            case Kind::progress:
                break;  // not for a worker
        }
    }
    flush_soon(body->from, sender);
}

void Worker::take_hello(Dispatcher& from, const protocol::JsonItem& item) {
    const auto hello = protocol::read_hello(item);
    if (!hello) return;
    from.http_port = hello->http_port;
    from.outbox.set_window(hello->window_bytes);
    if (hello->lease / 3 < renew_interval_) {
        renew_interval_ = hello->lease / 3;
        renew();
    }
    say_status(from);
}

void Worker::say_status(Dispatcher& to) {
    const protocol::StatusMessage status{settings_.registration.type, slots(),
                                         ports_.socket.receive_buffer_bytes() / 2};
    to.outbox.say_once(Kind::status, protocol::write_status(status));
}

void Worker::take_task(const std::string& store_id, Dispatcher& from,
                       const protocol::JsonItem& item) {
    auto task = protocol::read_task_message(item);
    if (!task) {
        ports_.log.warn("task not understood", {{"error", task.error().to_string()}});
        return;
    }
    const LeaseKey lease = task->lease;
    const bool known = running_.contains(lease) || done_.contains(lease) ||
                       from.outbox.has(Kind::result, lease) || large_.contains(lease);
    if (!known) begin_task(store_id, from, std::move(*task));
    // A result that leaves now says as much.
    if (known || !from.outbox.has(Kind::result, lease))
        from.outbox.say_once(Kind::task_ack, protocol::write_lease_key(lease));
}

void Worker::begin_task(const std::string& store_id, Dispatcher& from, protocol::TaskMessage task) {
    const LeaseKey lease = task.lease;
    // A newer lease of the same task: the older one no longer counts anywhere.
    const auto older = running_.lower_bound({lease.id, LeaseEpoch{0}});
    if (older != running_.end() && older->first.id == lease.id) {
        if (older->first.epoch > lease.epoch) return;
        forget(LeaseKey{older->first}, false);
    }
    Running& running = running_[lease];
    running.dispatcher = store_id;
    running.payload = std::move(task.payload);
    running.timer = ports_.timers.make();
    running.fetch_wait = retry_first;
    running.attempt = task.attempt;
    running.timeout = task.timeout;
    if (task.http_port != 0) from.http_port = task.http_port;
    // Nobody who keeps to our slots sends more; what is too much goes back untouched.
    const bool full = running_.size() > 2 * std::size_t{settings_.registration.concurrency};
    if (resting_) say_status(from);  // it has not heard
    if (draining_ || resting_ || full) return finish(lease, {lease, End::released, {}, {}});
    const std::string& type = settings_.registration.type;
    if (task.type != type)
        return finish(
            lease, {lease, End::failed, {}, {"unknown_type", "this worker runs " + type, false}});
    if (running.payload)
        run(lease);
    else
        fetch(lease);
}

// Too large for a datagram: the payload is fetched where the task came from.
void Worker::fetch(const LeaseKey& lease) {
    const Running& running = running_.at(lease);
    const Dispatcher& from = dispatchers_.at(running.dispatcher);
    port::HttpRequest request{
        "GET", "/v1/leases/" + protocol::write_lease_path(lease) + "/payload", {}, {}};
    add_key(request.headers, settings_.key);
    ports_.http.send(
        port::base_url(from.endpoint.address, from.http_port), std::move(request), http_patience,
        [this, lease, alive = std::weak_ptr<bool>{alive_}](Result<port::HttpResponse> answer) {
            if (!alive.expired()) fetched(lease, std::move(answer));
        });
}

void Worker::fetched(const LeaseKey& lease, Result<port::HttpResponse> answer) {
    const auto found = running_.find(lease);
    if (found == running_.end()) return;  // revoked or lost meanwhile
    Running& running = found->second;
    if (answer && answer->status == 200) {
        running.payload = std::move(answer->body);
        return run(lease);
    }
    if (const auto refusal = refusal_of(answer)) {
        if (!protocol::ends_lease(*refusal))
            ports_.log.warn("a payload is refused",
                            {{"task_id", lease.id.to_string()}, {"error", refusal->to_string()}});
        return forget(lease, false);
    }
    running.timer->set(ports_.clock.steady() + running.fetch_wait, [this, lease] { fetch(lease); });
    running.fetch_wait = std::min<Duration>(running.fetch_wait * 2, retry_most);
}

void Worker::run(const LeaseKey& lease) {
    Running& running = running_.at(lease);
    const Dispatcher& from = dispatchers_.at(running.dispatcher);
    running.began = ports_.clock.steady();
    TaskRun run{.lease = lease,
                .type = settings_.registration.type,
                .payload = std::move(*running.payload),
                .attempt = running.attempt,
                .timeout = running.timeout,
                .dispatcher_url = port::base_url(from.endpoint.address, from.http_port)};
    running.payload.reset();
    runner_.run(std::move(run), [this, lease, alive = std::weak_ptr<bool>{alive_}](RunEnd end) {
        if (!alive.expired()) ended(lease, std::move(end));
    });
    if (trying_one_) rested();
}

void Worker::give_back_and_rest(const LeaseKey& lease, const TaskError& why) {
    if (!std::exchange(resting_, true)) {
        ports_.log.warn("tasks cannot be begun",
                        {{"error", why.code + ": " + why.message},
                         {"again_in_ms", std::to_string(rest_ / std::chrono::milliseconds{1})}});
        trying_one_ = false;
        rest_timer_->set(ports_.clock.steady() + rest_, [this] { try_one(); });
        rest_ = std::min<Duration>(rest_ * 2, rest_most);
        say_status_to_all();
    }
    finish(lease, {lease, End::released, {}, {}});
}

void Worker::try_one() {
    resting_ = false;
    trying_one_ = true;
    say_status_to_all();
}

void Worker::rested() {
    ports_.log.info("tasks can be begun again");
    trying_one_ = false;
    rest_ = rest_first;
    say_status_to_all();
}

void Worker::ended(const LeaseKey& lease, RunEnd end) {
    if (!end && end.error().not_begun) return give_back_and_rest(lease, end.error().error);
    if (end) return finish(lease, {lease, End::completed, std::move(*end), {}});
    ResultMessage message{lease, End::failed, {}, std::move(end.error().error)};
    message.retry_after = end.error().retry_after;
    finish(lease, std::move(message));
}

void Worker::finish(const LeaseKey& lease, ResultMessage message) {
    const Running& running = running_.at(lease);
    const std::string store_id = running.dispatcher;
    if (running.at_work() && message.end != End::released)
        message.took = ports_.clock.steady() - running.began;
    const Dispatcher& to = dispatchers_.at(store_id);
    running_.erase(lease);
    ++done_count_;
    std::string item = protocol::write_result(message);
    if (to.outbox.fits(item)) return say_end(store_id, lease, std::move(item));
    large_[lease] = {store_id, std::move(message), ports_.timers.make(), retry_first};
    hand_over_large(lease);
}

void Worker::say_end(const std::string& store_id, const LeaseKey& lease, std::string item) {
    Dispatcher& to = dispatchers_.at(store_id);
    to.outbox.say(Kind::result, lease, std::move(item), ports_.clock.steady());
    flush_soon(store_id, to);
}

void Worker::hand_over_large(const LeaseKey& lease) {
    const Large& large = large_.at(lease);
    const ResultMessage& message = large.message;
    const Dispatcher& to = dispatchers_.at(large.dispatcher);
    const bool completed = message.end == End::completed;
    port::HttpRequest request{
        "POST",
        "/v1/leases/" + protocol::write_lease_path(lease) + (completed ? "/complete" : "/fail"),
        {{"Content-Type", std::string{protocol::json_type}}},
        {}};
    std::string error;
    if (!completed) protocol::write_task_error(error, message.error);
    protocol::JsonWriter body{request.body};
    body.begin_object().key(completed ? "result" : "error").raw(completed ? message.result : error);
    if (message.took) body.field("took_us", message.took->count());
    if (message.retry_after)
        body.field("retry_after_ms", *message.retry_after / std::chrono::milliseconds{1});
    body.end_object();
    add_key(request.headers, settings_.key);
    ports_.http.send(
        port::base_url(to.endpoint.address, to.http_port), std::move(request), http_patience,
        [this, lease,
         alive = std::weak_ptr<bool>{alive_}](const Result<port::HttpResponse>& answer) {
            if (!alive.expired()) handed_over(lease, answer);
        });
}

void Worker::handed_over(const LeaseKey& lease, const Result<port::HttpResponse>& answer) {
    const auto found = large_.find(lease);
    if (found == large_.end()) return;  // it was not wanted any more
    if (answer && answer->status == 200 && protocol::check_json(answer->body))
        return settled(lease);
    if (const auto refusal = refusal_of(answer)) return refused(lease, *refusal);
    Large& large = found->second;
    if (large.wait == retry_first)
        ports_.log.warn("a result is not taken yet",
                        {{"task_id", lease.id.to_string()}, {"error", why_not(answer)}});
    large.timer->set(ports_.clock.steady() + large.wait, [this, lease] { hand_over_large(lease); });
    large.wait = std::min<Duration>(large.wait * 2, retry_most);
}

// What is no result for the dispatcher is a failure; that fits into a datagram.
void Worker::refused(const LeaseKey& lease, const Error& why) {
    const Large& large = large_.at(lease);
    if (protocol::ends_lease(why)) return settled(lease);
    ports_.log.warn("a result is refused",
                    {{"task_id", lease.id.to_string()}, {"error", why.to_string()}});
    const TaskError error{std::string{why.name()}, std::string{row_of(why.code).text}, true};
    say_end(large.dispatcher, lease, protocol::write_result({lease, End::failed, {}, error}));
    large_.erase(lease);
}

void Worker::settled(const LeaseKey& lease) {
    large_.erase(lease);
    remember_done(lease);
    check_drained();
}

void Worker::take_result_ack(Dispatcher& from, const protocol::JsonItem& item) {
    const auto lease = protocol::read_lease_key(item);
    if (!lease) return;
    from.outbox.settle(Kind::result, *lease);
    remember_done(*lease);
    check_drained();
}

void Worker::take_revoke(const std::string& store_id, Dispatcher& from,
                         const protocol::JsonItem& item) {
    const auto lease = protocol::read_lease_key(item);
    if (!lease) return;
    if (running_.contains(*lease)) return forget(*lease, true);
    large_.erase(*lease);
    say_stopped(from, store_id, *lease);
}

void Worker::say_stopped(Dispatcher& to, const std::string& store_id, const LeaseKey& lease) {
    const ResultMessage message{lease, End::stopped, {}, {}};
    if (!to.outbox.has(Kind::result, lease))
        to.outbox.say(Kind::result, lease, protocol::write_result(message), ports_.clock.steady());
    flush_soon(store_id, to);
}

// The dispatcher says that this lease is not ours any more.
void Worker::take_lost(const protocol::JsonItem& item) {
    const auto lease = protocol::read_lease_key(item);
    if (!lease) return;
    if (large_.contains(*lease)) return settled(*lease);
    forget(*lease, false);
}

void Worker::forget(const LeaseKey& lease, bool confirms) {
    const auto found = running_.find(lease);
    if (found == running_.end()) return;
    found->second.confirms = found->second.confirms || confirms;
    found->second.given_back = false;  // it is nobody's now
    if (!std::exchange(found->second.stopping, true)) break_off(lease);
}

void Worker::break_off(const LeaseKey& lease) {
    if (!running_.at(lease).at_work()) return stopped(lease);
    // Its slot is taken until nothing of it is left.
    runner_.stop(lease, [this, lease, alive = std::weak_ptr<bool>{alive_}] {
        if (!alive.expired()) stopped(lease);
    });
}

void Worker::stopped(const LeaseKey& lease) {
    const auto found = running_.find(lease);
    if (found == running_.end()) return;
    const std::string store_id = found->second.dispatcher;
    const bool confirms = found->second.confirms;
    if (found->second.given_back) return finish(lease, {lease, End::released, {}, {}});
    running_.erase(found);
    ports_.log.info("task stopped", {{"task_id", lease.id.to_string()}});
    if (confirms) say_stopped(dispatchers_.at(store_id), store_id, lease);
    check_drained();
}

void Worker::remember_done(const LeaseKey& lease) {
    if (!done_.insert(lease).second) return;
    done_order_.push_back(lease);
    if (done_order_.size() <= done_remembered) return;
    done_.erase(done_order_.front());
    done_order_.pop_front();
}

}  // namespace taskd::service
