// Random lives of a whole cluster: what was acknowledged ends, once, whatever happens.
// TASKD_SIM_SEEDS=N and TASKD_SIM_FIRST=S choose how many and which; a failure prints its seed.
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "catch.hpp"
#include "sim_cluster.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

using Act = std::function<void(SimCluster&)>;
struct Step {
    const char* name;
    unsigned weight;
    Act act;
    bool on_many = false;  // on whatever a search finds: then much is forgiven to every task
};

TaskSpec any_task(SimCluster& cluster) {
    Random& random = cluster.random();
    static constexpr const char* types[] = {"echo",  "echo",   "sleep", "sleep",
                                            "flaky", "broken", "heavy"};
    const std::string type = types[random.below(std::size(types))];
    std::string payload = std::to_string(random.below(4'000));
    if (type == "heavy" && random.chance(1, 2)) payload = "\"" + std::string(2'500, 'p') + "\"";
    TaskSpec spec = cluster.make_task(type, payload);
    spec.priority = static_cast<std::uint8_t>(random.below(10));
    spec.attempts_max = static_cast<std::uint32_t>(1 + random.below(4));
    spec.crashes_max = random.chance(1, 3) ? 1 : 20;
    spec.backoff.initial = std::chrono::milliseconds{random.below(8'000)};
    spec.backoff.kind = static_cast<BackoffKind>(random.below(3));
    if (random.chance(1, 6)) spec.delay = std::chrono::milliseconds{random.below(20'000)};
    static constexpr const char* keys[] = {"", "", "acme", "bolt"};
    spec.key = keys[random.below(4)];
    if (random.chance(1, 4)) spec.idempotency_key = "order-" + spec.id.to_string();
    if (random.chance(1, 12)) spec.no_retry = {"not_now"};
    if (random.chance(1, 8)) spec.timeout = std::chrono::milliseconds{100 + random.below(4'000)};
    if (random.chance(1, 6))
        spec.queue_timeout = std::chrono::milliseconds{100 + random.below(20'000)};
    if (random.chance(1, 4))
        spec.total_timeout = std::chrono::milliseconds{500 + random.below(20'000)};
    return spec;
}

std::optional<TaskId> any_known(SimCluster& cluster) {
    if (cluster.promises().empty()) return std::nullopt;
    auto each = cluster.promises().begin();
    std::advance(each,
                 static_cast<std::ptrdiff_t>(cluster.random().below(cluster.promises().size())));
    return each->first;
}

// Mostly one of the newest: those are on their way.
std::optional<TaskId> any_recent(SimCluster& cluster) {
    if (cluster.promises().empty()) return std::nullopt;
    auto each = cluster.promises().end();
    std::advance(each, -1 - static_cast<std::ptrdiff_t>(cluster.random().below(
                                std::min<std::size_t>(8, cluster.promises().size()))));
    return each->first;
}

SimHost& any_host(SimCluster& cluster) {
    static constexpr const char* names[] = {"dispatcher", "nameservice", "worker0", "worker1",
                                            "client"};
    return cluster.host(names[cluster.random().below(std::size(names))]);
}

unsigned any_worker(SimCluster& cluster) {
    return static_cast<unsigned>(cluster.random().below(2));
}

// An operator: limits, rates, pauses. All is taken back before the end.
void change_queue(SimCluster& c) {
    static constexpr const char* types[] = {"echo", "sleep", "flaky", "heavy"};
    const std::string queue = std::string{"/v1/queues/"} + types[c.random().below(4)];
    const auto number = [&](std::uint64_t most) { return std::to_string(c.random().below(most)); };
    switch (c.random().below(4)) {
        case 0:
            return c.post(queue + "/pause", c.random().chance(1, 2) ? "{\"key\":\"acme\"}" : "");
        case 1:
            return c.post(queue + "/resume", c.random().chance(1, 2) ? "{\"key\":\"acme\"}" : "");
        default:
            c.post(queue,
                   "{\"concurrency\":" + number(4) + ",\"key_concurrency\":" + number(3) +
                       ",\"rate\":{\"count\":" + number(3) +
                       "},\"key_rate\":{\"count\":" + number(2) + "},\"weights\":{\"bolt\":3}}",
                   "PUT");
    }
}

// On their way to a worker that takes no more: they come back untouched.
void submit_and_drain(SimCluster& c) {
    std::vector<TaskSpec> tasks;
    for (int i = 0; i < 8; ++i)
        tasks.push_back(c.make_task("echo", std::to_string(i)));
    c.submit(std::move(tasks));
    c.drain_worker(any_worker(c));
}

void redrive_many(SimCluster& c) {
    c.operate(OperationAction::redrive,
              c.random().chance(1, 2) ? "type:*" : "state:dead -key:acme");
}

// What clients and the dispatcher's machine do.
std::vector<Step> steps_of_the_dispatcher() {
    return {
        {"submit_one", 20, [](SimCluster& c) { c.submit({any_task(c)}); }},
        {"submit_many", 8,
         [](SimCluster& c) {
             std::vector<TaskSpec> tasks;
             for (std::uint64_t i = 2 + c.random().below(10); i > 0; --i)
                 tasks.push_back(any_task(c));
             c.submit(std::move(tasks));
         }},
        {"submit_group", 6,
         [](SimCluster& c) {
             std::vector<TaskSpec> tasks;
             for (std::uint64_t i = 1 + c.random().below(6); i > 0; --i)
                 tasks.push_back(any_task(c));
             c.submit_group(std::move(tasks));
         }},
        {"submit_again", 6,
         [](SimCluster& c) {
             if (auto id = any_known(c)) c.submit_again(*id);
         }},
        {"submit_under_its_key", 8,
         [](SimCluster& c) {
             if (auto id = any_known(c)) c.submit_under_its_key(*id);
         }},
        {"submit_and_drain", 5, submit_and_drain},
        {"change_queue", 8, change_queue},
        {"hold_worker", 4, [](SimCluster& c) { c.hold_worker(); }},
        {"make_schedule", 3, [](SimCluster& c) { c.schedules().make(); }},
        {"disturb_schedule", 5, [](SimCluster& c) { c.schedules().disturb(); }},
        {"change_priority", 4,
         [](SimCluster& c) {
             if (auto id = any_recent(c))
                 c.post("/v1/tasks/" + id->to_string() + "/priority",
                        "{\"priority\":" + std::to_string(c.random().below(10)) + "}");
         }},
        {"cancel", 12,
         [](SimCluster& c) {
             if (auto id = any_recent(c)) c.cancel(*id);
         }},
        {"redrive", 8,
         [](SimCluster& c) {
             if (auto id = any_known(c)) c.redrive(*id);
         }},
        {"redrive_many", 3, redrive_many, true},
        {"cancel_many", 1,
         [](SimCluster& c) { c.operate(OperationAction::cancel, "key:bolt age>1s"); }, true},
        {"delete_many", 1,
         [](SimCluster& c) { c.operate(OperationAction::remove, "type:broken,echo age>2s"); },
         true},
        {"look", 12,
         [](SimCluster& c) {
             if (auto id = any_known(c)) c.look(*id);
         }},
        {"kill_dispatcher", 4, [](SimCluster& c) { c.kill_dispatcher(); }},
        {"cut_power", 3, [](SimCluster& c) { c.cut_power(); }},
        {"cut_power_at_a_write", 4,
         [](SimCluster& c) {
             c.disk().faults.cut_at = c.disk().operations() + 1 + c.random().below(40);
         }},
        {"fail_a_sync", 2,
         [](SimCluster& c) {
             c.disk().faults.sync_fails_at = c.disk().syncs() + 1 + c.random().below(10);
         }},
    };
}

// What happens to disks, the others and the network.
std::vector<Step> steps_of_the_rest() {
    return {
        {"fill_disk", 3,
         [](SimCluster& c) {
             c.disk().faults.capacity_bytes = c.disk().bytes_used() + c.random().below(200'000);
         }},
        {"empty_disk", 6, [](SimCluster& c) { c.disk().faults.capacity_bytes = 0; }},
        {"start_dispatcher", 14, [](SimCluster& c) { c.start_dispatcher(); }},
        {"kill_worker", 4, [](SimCluster& c) { c.kill_worker(any_worker(c)); }},
        {"start_worker", 12, [](SimCluster& c) { c.start_worker(any_worker(c)); }},
        {"drain_worker", 3, [](SimCluster& c) { c.drain_worker(any_worker(c)); }},
        {"kill_nameservice", 2, [](SimCluster& c) { c.kill_nameservice(); }},
        {"start_nameservice", 6, [](SimCluster& c) { c.start_nameservice(); }},
        {"partition", 6,
         [](SimCluster& c) {
             c.world().partition(c.host("dispatcher"),
                                 c.host("worker" + std::to_string(any_worker(c))));
         }},
        {"partition_all_workers", 4,
         [](SimCluster& c) {
             for (const char* worker : {"worker0", "worker1"})
                 c.world().partition(c.host("dispatcher"), c.host(worker));
         }},
        {"partition_any", 4,
         [](SimCluster& c) {
             SimHost& a = any_host(c);
             SimHost& b = any_host(c);
             if (&a != &b) c.world().partition(a, b);
         }},
        {"late_results", 5,
         [](SimCluster& c) {
             for (const char* worker : {"worker0", "worker1"})
                 c.world().partition(c.host("dispatcher"), c.host(worker));
             c.run_for(std::chrono::milliseconds{4'000 + c.random().below(10'000)});
             c.world().heal_all();
         }},
        {"heal", 10, [](SimCluster& c) { c.world().heal_all(); }},
        {"pause", 4,
         [](SimCluster& c) {
             c.world().pause(any_host(c), std::chrono::milliseconds{c.random().below(8'000)});
         }},
        {"jump_clock", 4,
         [](SimCluster& c) {
             const auto hours = static_cast<std::int64_t>(c.random().below(5)) - 2;
             c.world().set_wall_offset(any_host(c), std::chrono::hours{hours});
         }},
        {"bad_network", 4,
         [](SimCluster& c) {
             auto& options = c.world().options();
             options.net.loss = 300;
             options.net.duplicate = 300;
             options.net.late = 300;
             options.http.request_loss = options.http.answer_loss = 150;
         }},
        {"good_network", 6,
         [](SimCluster& c) {
             auto& options = c.world().options();
             options.net.loss = options.net.duplicate = options.net.late = 0;
             options.http.request_loss = options.http.answer_loss = 0;
         }},
    };
}

const std::vector<Step>& steps() {
    static const std::vector<Step> all = [] {
        auto made = steps_of_the_dispatcher();
        const auto rest = steps_of_the_rest();
        made.insert(made.end(), rest.begin(), rest.end());
        return made;
    }();
    return all;
}

const Step& any_step(Random& random, bool on_many) {
    const auto weight_of = [&](const Step& step) {
        return step.on_many && !on_many ? 0 : step.weight;
    };
    unsigned total = 0;
    for (const Step& step : steps())
        total += weight_of(step);
    auto left = random.below(total);
    for (const Step& step : steps()) {
        if (left < weight_of(step)) return step;
        left -= weight_of(step);
    }
    return steps().back();
}

using Tally = std::map<std::string, std::uint64_t>;

// One seed, one story. Answers what was broken.
std::vector<std::string> live(std::uint64_t seed, Tally& faults, std::vector<std::uint64_t>& rows) {
    // Some forget soon, some keep the last of the disk for what is there.
    SimCluster cluster{
        {.seed = seed, .forgetful = seed % 3 == 0, .disk_reserve = seed % 2 == 0 ? 20'000U : 0U}};
    cluster.run_for(200ms);
    // In every fourth nobody is forgiven for what an operation may have done.
    const bool on_many = seed % 20 >= 5;
    for (int i = 0; i < 60; ++i) {
        const Step& step = any_step(cluster.random(), on_many);
        ++faults[std::string{"step "} + step.name];
        step.act(cluster);
        cluster.run_for(std::chrono::milliseconds{cluster.random().below(1'500)});
    }
    const bool settled = cluster.settle(6h);
    auto broken = cluster.broken_promises();
    if (!settled) broken.push_back("did not settle");
    for (std::string& each : cluster.schedules().broken())
        broken.push_back(std::move(each));
    for (const auto& [name, count] : cluster.world().counts().rows())
        faults[std::string{name}] += count;
    const auto& disk = cluster.disk().hits();
    faults["disk cuts"] += disk.cuts;
    faults["disk sectors lost"] += disk.sectors_lost;
    faults["disk sectors torn"] += disk.sectors_torn;
    faults["disk syncs failed"] += disk.syncs_failed;
    faults["disk full"] += disk.disk_full;
    faults["starts failed"] += cluster.failed_starts();
    faults["lives that forgive nothing"] += on_many || cluster.operated() ? 0 : 1;
    faults["keys met again"] += cluster.keys_met();
    faults["groups done"] += cluster.groups_done();
    faults["tasks gone"] += cluster.gone();
    faults["bodies read back"] += cluster.bodies_read();
    const auto& hits = cluster.row_hits();
    for (std::size_t i = 0; i < hits.size(); ++i)
        rows[i] += hits[i];
    return broken;
}

}  // namespace

TEST_CASE("whatever happens, what was acknowledged ends once") {
    const std::uint64_t first = number_from("TASKD_SIM_FIRST", 1);
    const std::uint64_t seeds = number_from("TASKD_SIM_SEEDS", 2'000);
    Tally faults;
    std::vector<std::uint64_t> rows(state_table().size(), 0);
    for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
        const auto broken = live(seed, faults, rows);
        for (const std::string& each : broken) {
            UNSCOPED_INFO(each);
        }
        INFO("replay: TASKD_SIM_FIRST=" << seed << " TASKD_SIM_SEEDS=1 test_sim");
        REQUIRE(broken.empty());
    }
    std::printf("%llu seeds\n", static_cast<unsigned long long>(seeds));
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const StateRow& row = state_table()[i];
        std::printf("  row %s + %s: %llu\n", std::string{to_text(row.from)}.c_str(),
                    std::string{to_text(row.event)}.c_str(),
                    static_cast<unsigned long long>(rows[i]));
    }
    for (const auto& [name, count] : faults)
        std::printf("  %s: %llu\n", name.c_str(), static_cast<unsigned long long>(count));
    if (seeds < 1'000) return;  // a single replay need not meet everything
    for (std::size_t i = 0; i < rows.size(); ++i) {
        INFO(to_text(state_table()[i].from) << " + " << to_text(state_table()[i].event));
        CHECK(rows[i] >= 100);
    }
    for (const auto& [name, count] : faults) {
        INFO(name);
        CHECK(count >= 100);
    }
}
