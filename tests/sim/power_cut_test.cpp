// Cuts the power at every write the dispatcher's machine makes, one run for each.
#include "catch.hpp"
#include "sim_cluster.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

// The same short life up to the cut. Answers whether the power went at all.
bool live(std::uint64_t seed, std::uint64_t cut, bool at_start) {
    SimCluster cluster{{.seed = seed}};
    // Half the runs cut while a dispatcher recovers, which writes too.
    if (!at_start) cluster.disk().faults.cut_at = cluster.disk().operations() + cut;
    cluster.run_for(300ms);
    std::vector<TaskSpec> tasks;
    for (int i = 0; i < 3; ++i)
        tasks.push_back(cluster.make_task("echo", std::to_string(i)));
    cluster.submit(tasks);
    cluster.submit({cluster.make_task("sleep", "400")});
    cluster.submit({cluster.make_task("broken", "1")});
    const std::string longer = "\"" + std::string(2'500, 'p') + "\"";  // beside the view
    cluster.submit({cluster.make_task("heavy", longer), cluster.make_task("heavy", longer)});
    cluster.run_for(1s);
    cluster.cancel(cluster.promises().rbegin()->first);
    cluster.run_for(1s);
    if (at_start) {
        cluster.kill_dispatcher();
        cluster.disk().faults.cut_at = cluster.disk().operations() + cut;
        cluster.start_dispatcher();
        cluster.run_for(500ms);
    }
    const bool was_cut = cluster.disk().hits().cuts > 0;
    INFO("seed " << seed << ", cut at operation " << cut << (at_start ? " of a restart" : ""));
    const bool settled = cluster.settle(10min);
    for (const std::string& each : cluster.broken_promises()) {
        UNSCOPED_INFO(each);
        CHECK(each.empty());
    }
    CHECK(settled);
    return was_cut;
}

std::uint64_t try_every_cut(std::uint64_t seed, bool at_start) {
    std::uint64_t cut = 1;
    while (live(seed, cut, at_start))
        ++cut;
    return cut - 1;
}

}  // namespace

TEST_CASE("a cut at any write loses no acknowledged task") {
    for (std::uint64_t seed = 1; seed <= 3; ++seed)
        CHECK(try_every_cut(seed, false) > 30);
}

TEST_CASE("a cut at any write of a recovery loses no acknowledged task") {
    for (std::uint64_t seed = 1; seed <= 3; ++seed)
        CHECK(try_every_cut(seed, true) > 10);
}
