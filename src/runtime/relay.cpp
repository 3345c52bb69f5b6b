#include "taskd/runtime/relay.hpp"

#include <fmt/format.h>
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <unordered_map>

#include "taskd/base/assert.hpp"

namespace taskd::runtime {
namespace {

constexpr const char* shutting_down = "the node is shutting down";

struct Waiting {
    Package package;
    Delivered delivered;
};

// FNV-1a, 64 bits.
class Fnv {
  public:
    void add(std::string_view bytes) {
        for (const char c : bytes)
            sum_ = (sum_ ^ static_cast<unsigned char>(c)) * 1099511628211U;
    }
    std::uint64_t sum() const { return sum_; }

  private:
    std::uint64_t sum_ = 14695981039346656037U;
};

}  // namespace

struct Relay::Impl {
    // One thread with a bounded queue; senders that would rather wait stand in a queue behind it,
    // each with one package, because a sender that waits sends nothing more.
    struct Lane {
        std::mutex mutex;  // guards what follows
        std::condition_variable filled;
        std::deque<Waiting> queue;
        std::deque<Waiting> senders;
        bool ending = false;
        std::jthread thread;
    };

    Impl(RelaySettings its_settings, NodeLink* its_link)
        : settings{std::move(its_settings)}, link{its_link}, lanes(settings.lanes) {}

    void carry(Lane& lane);
    void hand_over(Waiting waiting);
    void put(Lane& lane, Package package, Delivered delivered);

    const RelaySettings settings;
    NodeLink* const link;
    mutable std::shared_mutex peers_mutex;  // guards found_peers
    std::map<std::string, std::string, std::less<>> found_peers;
    std::shared_mutex receivers_mutex;  // shared while one is delivered to
    std::unordered_map<std::string, Receiver*> receivers;
    std::atomic<std::uint64_t> local = 0;
    std::atomic<std::uint64_t> peer = 0;
    std::atomic<std::uint64_t> internode = 0;
    std::atomic<std::uint64_t> refused = 0;
    std::vector<Lane> lanes;
};

void Relay::Impl::hand_over(Waiting waiting) {
    const std::shared_lock lock{receivers_mutex};
    const auto found = receivers.find(waiting.package.to.host);
    if (found == receivers.end())
        return waiting.delivered(fail(ErrorCode::process_not_found,
                                      fmt::format("no host '{}' here", waiting.package.to.host)));
    local.fetch_add(1, std::memory_order_relaxed);
    found->second->deliver(std::move(waiting.package), std::move(waiting.delivered));
}

void Relay::Impl::carry(Lane& lane) {
    pthread_setname_np(pthread_self(), "relay");
    std::deque<Waiting> batch;
    std::unique_lock lock{lane.mutex};
    for (;;) {
        lane.filled.wait(lock, [&] { return lane.ending || !lane.queue.empty(); });
        if (lane.ending) return;
        batch.swap(lane.queue);
        while (!lane.senders.empty() && lane.queue.size() < settings.lane_packages_max) {
            lane.queue.push_back(std::move(lane.senders.front()));
            lane.senders.pop_front();
        }
        lock.unlock();
        for (Waiting& waiting : batch)
            hand_over(std::move(waiting));
        batch.clear();
        lock.lock();
    }
}

void Relay::Impl::put(Lane& lane, Package package, Delivered delivered) {
    const bool waits = package.wait > Duration{0};
    bool full = false;
    bool ending = false;
    {
        const std::lock_guard lock{lane.mutex};
        ending = lane.ending;
        full = lane.queue.size() >= settings.lane_packages_max;
        if (!ending && (!full || waits))
            (full ? lane.senders : lane.queue)
                .push_back({std::move(package), std::move(delivered)});
    }
    if (ending) return delivered(fail(ErrorCode::process_ended, shutting_down));
    if (!full) return lane.filled.notify_one();
    if (waits) return;
    refused.fetch_add(1, std::memory_order_relaxed);
    delivered(fail(ErrorCode::mailbox_full, "of the node"));
}

Relay::Relay(RelaySettings settings, NodeLink* link)
    : impl_{std::make_unique<Impl>(std::move(settings), link)} {
    TASKD_ASSERT(!impl_->lanes.empty());
    for (Impl::Lane& lane : impl_->lanes)
        lane.thread = std::jthread{[this, &lane] { impl_->carry(lane); }};
}

Relay::~Relay() {
    stop();
}

void Relay::stop() {
    for (Impl::Lane& lane : impl_->lanes) {
        {
            const std::lock_guard lock{lane.mutex};
            lane.ending = true;
        }
        lane.filled.notify_one();
    }
    for (Impl::Lane& lane : impl_->lanes) {
        if (lane.thread.joinable()) lane.thread.join();
        for (auto* queue : {&lane.queue, &lane.senders})
            for (Waiting& waiting : std::exchange(*queue, {}))
                waiting.delivered(fail(ErrorCode::process_ended, shutting_down));
    }
}

void Relay::attach(const std::string& host, Receiver& receiver) {
    const std::lock_guard lock{impl_->receivers_mutex};
    TASKD_ASSERT(impl_->receivers.emplace(host, &receiver).second);
}

void Relay::detach(const std::string& host) {
    const std::lock_guard lock{impl_->receivers_mutex};
    impl_->receivers.erase(host);
}

void Relay::send(Package package, Delivered delivered) {
    const RelaySettings& settings = impl_->settings;
    if (package.to.node == settings.node) {
        const std::size_t lane = lane_of(package.from, impl_->lanes.size());
        return impl_->put(impl_->lanes[lane], std::move(package), std::move(delivered));
    }
    auto way = way_to(package.to.node);
    if (!way) return delivered(fail(std::move(way)));
    (way->peer ? impl_->peer : impl_->internode).fetch_add(1, std::memory_order_relaxed);
    impl_->link->send(way->base_url, std::move(package), std::move(delivered));
}

void Relay::set_peers(std::map<std::string, std::string, std::less<>> peers) {
    const std::lock_guard lock{impl_->peers_mutex};
    impl_->found_peers = std::move(peers);
}

Result<Relay::Way> Relay::way_to(const std::string& node) const {
    const RelaySettings& settings = impl_->settings;
    if (impl_->link == nullptr) return fail(ErrorCode::node_unknown, node);
    if (const auto found = settings.peers.find(node); found != settings.peers.end())
        return Way{found->second, true};
    {
        const std::shared_lock lock{impl_->peers_mutex};
        if (const auto found = impl_->found_peers.find(node); found != impl_->found_peers.end())
            return Way{found->second, true};
    }
    if (node.find(':') != std::string::npos &&
        (settings.remotes.contains(node) || settings.remotes.contains("*")))
        return Way{"http://" + node, false};
    return fail(ErrorCode::node_unknown, node);
}

const std::string& Relay::node() const {
    return impl_->settings.node;
}

RelayCounts Relay::counts() const {
    return {.local = impl_->local.load(),
            .peer = impl_->peer.load(),
            .internode = impl_->internode.load(),
            .refused = impl_->refused.load()};
}

std::size_t Relay::lane_of(const ProcessId& sender, std::size_t lanes) {
    Fnv sum;
    sum.add(sender.node);
    sum.add("@");
    sum.add(sender.host);
    const std::uint64_t number = sender.number;
    sum.add({reinterpret_cast<const char*>(&number), sizeof number});
    return static_cast<std::size_t>(sum.sum() % lanes);
}

}  // namespace taskd::runtime
