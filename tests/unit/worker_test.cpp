// One worker and a real dispatcher in a simulated world, with a proxy between what they say by
// HTTP: large payloads and large results.
#include "taskd/service/worker.hpp"

#include "catch.hpp"
#include "memory_log.hpp"
#include "sim_cluster.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/service/builtin_runner.hpp"

using namespace taskd;
using namespace taskd::service;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

port::HttpResponse page(int status) {
    return {status, {{"Content-Type", "text/html"}}, "<html>Something went wrong</html>"};
}

port::HttpResponse problem(ErrorCode code) {
    return {row_of(code).http_status, {}, protocol::write_problem({code, {}})};
}

// Stands before the dispatcher: answers what is asked of leases itself for a while.
struct Proxy final : port::HttpHandler {
    explicit Proxy(SimCluster& of) : cluster{of} {
        cluster.host("dispatcher").stop_serving(4000);
        REQUIRE(cluster.host("dispatcher").serve(4000, *this));
    }
    void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
        if (own && request.target.find(where) != std::string::npos && cluster.world().now() < until)
            return ++answered, respond(*own);
        cluster.dispatcher().front().handle(std::move(request), std::move(respond));
    }

    SimCluster& cluster;
    std::string where = "/complete";
    std::optional<port::HttpResponse> own;
    Duration until = Duration::max();
    unsigned answered = 0;
};

struct WorkerWorld {
    WorkerWorld() {
        for (const work::WorkType& type : sim_work_table())
            if (type.name == "heavy") runner.emplace(type, *lane, host.clock(), host.timers());
        WorkerSettings settings;
        settings.registration = {"w", SessionId{7}, "heavy", "worker", 6000, 3, "{}", {}, {}};
        settings.nameservice_url = "http://nameservice:5001";
        worker.emplace(settings, *runner,
                       WorkerPorts{*socket, host.http(), host.clock(), host.timers(), log});
        cluster.run_for(2s);
    }
    // The task of a large result, and a large payload when that is asked for.
    TaskId submit(std::size_t payload_bytes = 1) {
        TaskSpec spec = cluster.make_task("heavy", "\"" + std::string(payload_bytes, 'p') + "\"");
        cluster.submit({spec});
        return spec.id;
    }
    std::string told(const TaskId& id) {
        const auto answer =
            cluster.ask("dispatcher", {"GET", "/v1/tasks/" + id.to_string(), {}, {}});
        REQUIRE(answer);
        std::string text = field(answer->body, "state");
        const std::string attempts = field(answer->body, "attempts");
        const auto each = protocol::split_array(attempts).value();
        for (const std::string_view attempt : each)
            text += " " + field(attempt, "outcome");
        const std::string error = field(answer->body, "error");
        return error.empty() ? text : text + " " + field(error, "code");
    }
    static std::string field(std::string_view json, std::string_view name) {
        const auto fields = protocol::split_object(json).value();
        for (const auto& [key, value] : fields)
            if (key == name) return protocol::read_string(value, key).value_or(std::string{value});
        return {};
    }

    SimCluster cluster{{.seed = 2, .workers = 0}};
    Proxy proxy{cluster};
    SimHost& host = cluster.host("worker");
    std::unique_ptr<port::Background> lane = host.make_lane();
    std::unique_ptr<port::Datagram> socket = *host.bind(6000);
    MemoryLog log;
    std::optional<BuiltinRunner> runner;
    std::optional<Worker> worker;
};

}  // namespace

TEST_CASE("a worker keeps the lease of a large result until the dispatcher takes it") {
    for (const auto& own : {problem(ErrorCode::overloaded), problem(ErrorCode::not_ready),
                            page(503), page(404), page(200)}) {
        INFO(own.status << " " << own.body);
        WorkerWorld world;
        world.proxy.own = own;
        world.proxy.until = world.cluster.world().now() + 20s;  // a lease is 3 s
        const TaskId id = world.submit();
        world.cluster.run_for(19s);
        CHECK(world.told(id) == "running running");
        CHECK(world.worker->running() == 0);
        world.cluster.run_for(10s);
        CHECK(world.told(id) == "succeeded succeeded");
        CHECK(world.proxy.answered > 3);
        CHECK(world.log.count("a result is not taken yet") == 1);
    }
}

TEST_CASE("a worker fetches a large payload past what a proxy says meanwhile") {
    WorkerWorld world;
    world.proxy.where = "/payload";
    world.proxy.own = page(404);
    world.proxy.until = world.cluster.world().now() + 10s;
    const TaskId id = world.submit(5'000);
    world.cluster.run_for(20s);
    CHECK(world.told(id) == "succeeded succeeded");
    CHECK(world.proxy.answered > 3);
}

TEST_CASE("a large result that is refused is told, and is a failure") {
    WorkerWorld world;
    world.proxy.own = problem(ErrorCode::task_too_large);
    const TaskId id = world.submit();
    world.cluster.run_for(5s);
    CHECK(world.told(id) == "dead failed task_too_large");
    CHECK(world.proxy.answered == 1);
    CHECK(world.log.count("a result is refused") == 1);
}

TEST_CASE("a large result that nobody waits for is let go") {
    for (const bool cancelled : {false, true}) {
        WorkerWorld world;
        world.proxy.own = page(503);
        const TaskId id = world.submit();
        world.cluster.run_for(5s);
        if (cancelled) {
            world.cluster.cancel(id);
        } else {
            // While nothing is heard of the worker its lease runs out.
            world.cluster.world().partition(world.host, world.cluster.host("dispatcher"));
            world.cluster.run_for(6s);
            world.cluster.world().heal_all();
        }
        world.cluster.run_for(10s);
        world.proxy.own.reset();
        world.cluster.run_for(30s);
        CHECK(world.told(id) ==
              (cancelled ? "cancelled cancelled cancelled" : "succeeded crashed succeeded"));
        bool gone = false;
        world.worker->drain([&] { gone = true; });
        world.cluster.run_for(5s);
        CHECK(gone);
    }
}
