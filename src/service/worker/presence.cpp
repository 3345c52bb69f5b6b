// How a worker is known: its renewals, its figures, its way out.
#include <algorithm>
#include <vector>

#include "taskd/protocol/task_json.hpp"
#include "taskd/service/worker.hpp"

namespace taskd::service {

using protocol::Kind;

// The loop that runs the tasks renews their leases: when it hangs, they run out. A result that is
// on its way is ours until the dispatcher has it.
void Worker::renew() {
    std::map<std::string, std::size_t> renewed;
    for (const auto& [lease, running] : running_) {
        if (running.stopping && !running.given_back) continue;
        dispatchers_.at(running.dispatcher)
            .outbox.say_once(Kind::renew, protocol::write_lease_key(lease));
        ++renewed[running.dispatcher];
        auto progress = runner_.progress(lease);
        if (!progress) continue;
        auto& outbox = dispatchers_.at(running.dispatcher).outbox;
        std::string item = protocol::write_progress_message({lease, *progress});
        // Escapes may have made the note too long for a datagram: then the percentage alone.
        if (!outbox.fits(item))
            item =
                protocol::write_progress_message({lease, Progress{.percent = progress->percent}});
        outbox.say_once(Kind::progress, std::move(item));
    }
    for (const auto& [lease, large] : large_) {
        dispatchers_.at(large.dispatcher)
            .outbox.say_once(Kind::renew, protocol::write_lease_key(lease));
        ++renewed[large.dispatcher];
    }
    for (const auto& [store_id, count] : renewed)
        flush_soon(store_id, dispatchers_.at(store_id));
    renew_timer_->set(ports_.clock.steady() + renew_interval_, [this] { renew(); });
}

void Worker::flush_soon(const std::string& store_id, Dispatcher& to) {
    if (to.flush_posted) return;
    to.flush_posted = true;
    ports_.timers.post([this, store_id, alive = std::weak_ptr<bool>{alive_}] {
        if (alive.expired()) return;
        Dispatcher& still = dispatchers_.at(store_id);
        still.flush_posted = false;
        flush(still);
    });
}

void Worker::flush(Dispatcher& to) {
    for (const auto& packet : to.outbox.collect(ports_.clock.steady())) {
        const protocol::Header header{packet.kind, settings_.registration.session, ++sequence_};
        ++datagrams_.sent;
        ports_.socket.send(to.endpoint,
                           protocol::seal(header, packet.body, to.session, settings_.key));
    }
    datagrams_.resent += to.outbox.take_resent();
    if (const auto next = to.outbox.next_deadline())
        to.timer->set(*next, [this, &to] { flush(to); });
    else
        to.timer->clear();
}

void Worker::report(port::MetricSink& sink) const {
    using port::Metric;
    datagrams_.report(sink);
    sink.put(Metric::worker_running, running_.size());
    sink.put(Metric::worker_concurrency, std::uint64_t{settings_.registration.concurrency});
    sink.put(Metric::worker_ended_total, done_count_);
    sink.put(Metric::worker_registered, registered() ? 1.0 : 0.0);
}

void Worker::drain(std::function<void()> done) {
    draining_ = true;
    drained_ = std::move(done);
    rest_timer_->clear();
    say_status_to_all();
    ports_.log.info("draining", {{"running", std::to_string(running_.size())}});
    if (settings_.give_back_after)
        give_back_timer_->set(ports_.clock.steady() + *settings_.give_back_after,
                              [this] { give_back_running(); });
    check_drained();
}

// What would not end in time is another worker's before we are gone, and no crash.
void Worker::give_back_running() {
    std::vector<LeaseKey> left;
    for (const auto& [lease, running] : running_)
        if (!running.stopping) left.push_back(lease);
    if (left.empty()) return;
    ports_.log.warn("giving back what still runs", {{"tasks", std::to_string(left.size())}});
    for (const LeaseKey& lease : left) {
        Running& running = running_.at(lease);
        running.stopping = true;
        running.given_back = true;
        break_off(lease);
    }
}

std::uint32_t Worker::slots() const {
    if (draining_ || resting_) return 0;
    const std::uint32_t all = settings_.registration.concurrency;
    return trying_one_ ? std::min(all, static_cast<std::uint32_t>(running_.size()) + 1) : all;
}

void Worker::say_status_to_all() {
    for (auto& [store_id, dispatcher] : dispatchers_) {
        say_status(dispatcher);
        flush_soon(store_id, dispatcher);
    }
}

void Worker::check_drained() {
    if (!draining_ || deregistering_ || !running_.empty() || !large_.empty()) return;
    for (const auto& [store_id, dispatcher] : dispatchers_)
        if (dispatcher.outbox.pending() > 0) return;
    deregistering_ = true;
    registrar_.leave(std::exchange(drained_, nullptr));
}

}  // namespace taskd::service
