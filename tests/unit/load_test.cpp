// Load on a dispatcher: the rate holds whatever the server does, every task is followed to its end,
// and a server that loses or spoils one is found out.
#include "taskd/service/load.hpp"

#include "catch.hpp"
#include "sim_cluster.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/task_json.hpp"

using namespace taskd;
using namespace taskd::service;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

LoadSettings settings(std::string mix, double rate, Duration span) {
    LoadSettings made;
    made.url = "http://dispatcher:4000";
    made.mix = *parse_load_mix(mix);
    made.rate = rate;
    made.span = span;
    made.seed = 3;
    return made;
}

LoadReport run(SimWorld& world, LoadSettings made) {
    SimHost& host = world.host("loader");
    Load load{std::move(made), host.http(), host.clock(), host.timers()};
    std::optional<LoadReport> report;
    load.start([&](LoadReport done) { report = std::move(done); });
    CHECK(world.run_until([&] { return report.has_value(); }, 300s));
    REQUIRE(report);
    return std::move(*report);
}

// Answers as a dispatcher does, but gives results as it is told to.
struct FakeDispatcher final : port::HttpHandler {
    std::string result = "\"\"";  // of every task
    std::size_t missing_after = 1'000'000;
    std::optional<ErrorCode> refuses;
    int refusals_left = 1'000'000;
    std::size_t submits = 0;
    std::set<std::string> taken;

    void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
        if (request.target == "/v1/tasks") return take(request.body, respond);
        const auto fields = *protocol::split_object(request.body);
        std::string tasks;
        std::string missing;
        const auto ids = *protocol::split_array(fields.front().second);
        for (const std::string_view id : ids) {
            const bool lost = taken.size() > missing_after;
            std::string& list = lost ? missing : tasks;
            if (!list.empty()) list += ',';
            list += lost ? std::string{id}
                         : R"({"id":)" + std::string{id} + R"(,"state":"succeeded","result":)" +
                               result + "}";
        }
        respond({200, {}, R"({"tasks":[)" + tasks + R"(],"missing":[)" + missing + "]}"});
    }

    void take(const std::string& body, port::HttpResponder& respond) {
        ++submits;
        if (refuses && refusals_left-- > 0)
            return respond(
                {row_of(*refuses).http_status, {}, protocol::write_problem({*refuses, ""})});
        const auto parsed = protocol::parse_submit(body, [] { return TaskId{}; });
        REQUIRE(parsed);
        for (const TaskSpec& spec : parsed->tasks)
            taken.insert(spec.id.to_string());
        respond({202, {}, R"({"tasks":[]})"});
    }
};

}  // namespace

TEST_CASE("a mix is types and weights") {
    CHECK(*parse_load_mix("sum=5,hash=2,wait") ==
          std::vector<LoadShare>{{"sum", 5}, {"hash", 2}, {"wait", 1}});
    for (const char* bad :
         {"", ",", "sum,", "sum=0", "sum=x", "sum=", "=1", "a b", "sum=1x", "sum=99999999999"}) {
        const auto mix = parse_load_mix(bad);
        REQUIRE_FALSE(mix);
        CHECK(mix.error().code == ErrorCode::bad_usage);
    }
}

TEST_CASE("percentiles are values that were measured") {
    Latencies latencies;
    CHECK(latencies.percentile(0.5) == 0us);
    for (int i = 100; i >= 1; --i)
        latencies.add(std::chrono::milliseconds{i});
    CHECK(latencies.percentile(0.5) == 50ms);
    CHECK(latencies.percentile(0.9) == 90ms);
    CHECK(latencies.percentile(0.99) == 99ms);
    CHECK(latencies.percentile(1.0) == 100ms);
    CHECK(latencies.percentile(0.0) == 1ms);
}

TEST_CASE("a real dispatcher bears load through a crash, and every task comes back") {
    ClusterOptions options;
    options.seed = 11;
    options.slots = 50;
    SimCluster cluster{options};
    cluster.start_nameservice();
    cluster.start_dispatcher();
    cluster.start_worker(0);
    cluster.start_worker(1);
    const Duration begin = cluster.world().now();
    cluster.world().at(begin + 1'500ms, [&] { cluster.kill_dispatcher(); });
    cluster.world().at(begin + 2s, [&] { cluster.start_dispatcher(); });
    LoadReport report = run(cluster.world(), settings("echo", 100, 4s));
    CHECK(report.offered == 400);
    CHECK(report.submitted == 400);
    CHECK(report.came_back() == 400);
    CHECK(report.missing == 0);
    CHECK(report.repeated > 0);
    CHECK(report.all_came_back());
    CHECK(report.to_result.percentile(1.0) >= 500ms);  // those that were due while it was down
    CHECK(report.to_result.percentile(0.5) < 500ms);
}

TEST_CASE("a slow server does not lower the rate") {
    SimOptions slow;
    slow.http = {.delay_min = 400ms, .delay_max = 800ms};
    SimWorld world{5, slow};
    FakeDispatcher server;
    (void)world.host("dispatcher").serve(4000, server);
    const LoadReport report = run(world, settings("echo", 200, 3s));
    CHECK(report.offered == 600);
    CHECK(report.submitted == 600);
    CHECK(server.taken.size() == 600);
}

TEST_CASE("a wrong result and a lost task are found out") {
    SimWorld world{5};
    FakeDispatcher server;
    (void)world.host("dispatcher").serve(4000, server);
    server.result = "\"wrong\"";
    LoadReport report = run(world, settings("hash", 50, 1s));
    CHECK(report.succeeded == 50);
    CHECK(report.wrong == 50);
    CHECK_FALSE(report.all_came_back());

    server.taken.clear();
    server.missing_after = 10;
    report = run(world, settings("echo", 50, 1s));
    CHECK(report.missing > 0);
    CHECK(report.missing + report.came_back() == 50);
    CHECK_FALSE(report.all_came_back());
}

TEST_CASE("what may get through later is repeated with the same ids, a refusal is counted") {
    SimWorld world{5};
    FakeDispatcher server;
    (void)world.host("dispatcher").serve(4000, server);
    server.refuses = ErrorCode::overloaded;
    server.refusals_left = 5;
    LoadReport report = run(world, settings("echo", 50, 1s));
    CHECK(report.repeated == 5);
    CHECK(report.all_came_back());
    CHECK(server.taken.size() == 50);

    server.refuses = ErrorCode::disk_full;
    server.refusals_left = 1'000'000;
    report = run(world, settings("echo", 50, 1s));
    CHECK(report.refused["disk_full"] == 50);
    CHECK(report.submitted == 0);
    CHECK_FALSE(report.all_came_back());
}

TEST_CASE("patience ends with a server that is not there") {
    SimWorld world{5};
    auto made = settings("echo", 50, 1s);
    made.patience = 5s;
    const LoadReport report = run(world, std::move(made));
    CHECK(report.offered == 50);
    CHECK(report.came_back() == 0);
    CHECK(report.repeated > 0);
    CHECK(world.now() < 10s);
}

TEST_CASE("as fast as it goes keeps to the bound of tasks out") {
    SimWorld world{5};
    FakeDispatcher server;
    (void)world.host("dispatcher").serve(4000, server);
    auto made = settings("echo=2,other", 0, 200ms);
    made.outstanding_max = 300;
    made.batch_max = 100;
    const LoadReport report = run(world, std::move(made));
    CHECK(report.offered > 600);  // more than one fill
    CHECK(report.all_came_back());
    CHECK(server.submits >= report.offered / 100);
}
