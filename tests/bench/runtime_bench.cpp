// Figures of the runtime: reads of the sealed context beside a mutex, and events delivered a second
// while one subscriber is slow.
#include <fmt/format.h>

#include <atomic>
#include <latch>
#include <mutex>
#include <thread>

#include "taskd/runtime/app_context.hpp"
#include "taskd/runtime/event_bus.hpp"
#include "thread_loop.hpp"

using namespace taskd;
using namespace taskd::runtime;

namespace {

constexpr ContextKey<int> key{"supervisor"};

double seconds_of(const std::function<void()>& act) {
    const auto begin = std::chrono::steady_clock::now();
    act();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// The same look-up by so many threads at once; nanoseconds of one.
double read_by(std::size_t threads, const std::function<int*()>& look) {
    constexpr std::size_t rounds = 5'000'000;
    const double seconds = seconds_of([&] {
        std::vector<std::jthread> readers;
        for (std::size_t i = 0; i < threads; ++i)
            readers.emplace_back([&] {
                for (std::size_t round = 0; round < rounds; ++round)
                    if (look() == nullptr) std::abort();
            });
    });
    return seconds * 1e9 / rounds;
}

void bench_context() {
    AppContext context;
    int part = 0;
    const std::vector<std::string> names{"clock", "timers", "log", "bus", "metrics", "pidgen"};
    for (const auto& name : names)
        context.put(ContextKey<int>{name}, part);
    context.put(key, part);
    std::unordered_map<std::string_view, int*> guarded;
    for (const auto& name : names)
        guarded.emplace(name, &part);
    guarded.emplace(key.name, &part);
    std::mutex mutex;
    context.seal();
    for (const std::size_t threads : {1, 2}) {
        const double sealed = read_by(threads, [&] { return context.find(key); });
        const double locked = read_by(threads, [&] {
            const std::lock_guard lock{mutex};
            return guarded.find(key.name)->second;
        });
        fmt::print("context, {} threads: sealed {:.1f} ns a read, with a mutex {:.1f} ns\n",
                   threads, sealed, locked);
    }
}

// Subscribers, each on a loop and thread of its own; those behind `quick` never take anything.
void bench_bus(std::size_t quick, std::size_t slow) {
    constexpr std::size_t events = 1'000'000;
    test::RealClock clock;
    std::vector<std::unique_ptr<test::ThreadLoop>> loops;
    std::vector<std::jthread> threads;
    EventBus bus{clock};
    std::vector<EventBus::Subscription> subscriptions;
    std::atomic<std::size_t> taken = 0;
    std::latch gate{1};
    for (std::size_t i = 0; i < quick + slow; ++i) {
        auto* loop = loops.emplace_back(std::make_unique<test::ThreadLoop>()).get();
        const bool is_slow = i >= quick;
        auto made = bus.subscribe(
            "task.*", [loop](std::function<void()> job) { loop->post(std::move(job)); },
            [&, is_slow](const bus::Delivery&) {
                if (is_slow) gate.wait();
                if (!is_slow) ++taken;
            },
            {.capacity = is_slow ? limits::bus_queue_default : 2 * events});
        if (!made) std::abort();
        subscriptions.push_back(std::move(*made));
        threads.emplace_back([loop] { loop->run(); });
    }
    // Never further ahead than half of what may wait for delivery.
    constexpr std::size_t ahead_max = limits::bus_inbox_max / 2;
    const double seconds = seconds_of([&] {
        for (std::size_t i = 0; i < events; ++i) {
            while (i - taken / quick > ahead_max)
                std::this_thread::yield();
            bus.publish("task.succeeded", {{"task_id", "01"}});
        }
        while (taken < quick * events)
            std::this_thread::yield();
    });
    // And one burst into a bus that nobody else holds up: what a publisher waits for one event.
    constexpr std::size_t burst = ahead_max;
    const double publishing = seconds_of([&] {
        for (std::size_t i = 0; i < burst; ++i)
            bus.publish("task.succeeded", {{"task_id", "01"}});
    });
    const BusCounts counts = bus.counts();
    fmt::print(
        "bus, {} quick and {} slow: {:.0f} k events/s, {:.0f} k deliveries/s to the quick, "
        "{} lost by the slow, {} at the door; {:.0f} ns a publish in a burst\n",
        quick, slow, static_cast<double>(events) / seconds / 1e3,
        static_cast<double>(events * quick) / seconds / 1e3, counts.lost, counts.lost_at_door,
        publishing * 1e9 / burst);
    gate.count_down();
    subscriptions.clear();
    for (const auto& loop : loops)
        loop->stop();
}

}  // namespace

int main() {
    bench_context();
    bench_bus(1, 0);
    bench_bus(1, 1);
    bench_bus(4, 1);
}
