// Logs over HTTP beyond what the contract's test asks: following, attempts, and a disk that is slow
// or fails.
#include "catch.hpp"
#include "dispatcher_world.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;
using protocol::JsonView;

namespace {

using Answer = std::shared_ptr<std::optional<port::HttpResponse>>;

struct LogWorld : DispatcherWorld {
    // Under way: the answer comes when the world turns.
    Answer begin(std::string method, std::string target, std::string body = {}) {
        auto got = std::make_shared<std::optional<port::HttpResponse>>();
        world.host("client").http().send(
            "http://dispatcher:4000", {std::move(method), std::move(target), {}, std::move(body)},
            10min, [got](Result<port::HttpResponse> answer) {
                if (answer) *got = std::move(*answer);
            });
        return got;
    }
    std::string submit_one() {
        const auto answer = submit("print");
        return JsonView{answer->body}["id"].text();
    }
    std::string lease() {
        const auto answer = ask("POST", "/v1/leases", R"({"types":["print"],"worker":"w"})");
        return JsonView{answer->body}["tasks"].items().at(0)["lease"].text();
    }
    std::optional<port::HttpResponse> append(const std::string& lease, std::size_t offset,
                                             std::string bytes) {
        return ask("POST", "/v1/leases/" + lease + "/logs?offset=" + std::to_string(offset),
                   std::move(bytes));
    }
};

std::string said(const std::optional<port::HttpResponse>& answer, std::string_view header) {
    return std::string{port::find_header(answer->headers, header)};
}

}  // namespace

TEST_CASE("what a task printed that is gone goes after a start, and no other's") {
    LogWorld world;
    const auto left = [&](const std::string& id) {
        return world.logs.read({*TaskId::parse(id), LeaseEpoch{1}}, 0, 100)->end > 0;
    };
    Random random{3};
    std::vector<std::string> gone, there;
    for (int i = 0; i < 50; ++i) {
        const TaskId id = TaskId::make(world.host.clock().wall(), random);
        REQUIRE(world.logs.append({id, LeaseEpoch{1}}, 0, "left"));
        gone.push_back(id.to_string());
        there.push_back(world.submit_one());
        REQUIRE(world.logs.append({*TaskId::parse(there.back()), LeaseEpoch{1}}, 0, "kept"));
        if (i % 2 == 0) world.ask("POST", "/v1/tasks/" + there.back() + "/cancel");
    }
    world.world.run_for(limits::sweep_at_first + 5s);
    for (const std::string& id : gone)
        CHECK_FALSE(left(id));
    for (const std::string& id : there)
        CHECK(left(id));
}

TEST_CASE("a reader waits for the first attempt, for bytes, and for the end") {
    LogWorld world;
    const std::string id = world.submit_one(), path = "/v1/tasks/" + id + "/logs";
    const Answer early = world.begin("GET", path + "?wait=1h");
    world.world.run_for(2s);
    CHECK(!*early);
    const std::string lease = world.lease();
    world.world.run_for(2s);
    CHECK(!*early);
    CHECK(world.append(lease, 0, "one\n")->status == 200);
    world.world.run_for(1s);
    REQUIRE(*early);
    CHECK((*early)->body == "one\n");
    CHECK(said(*early, "Taskd-Log-Attempt") == "1");
    CHECK(said(*early, "Taskd-Log-Next") == "4");
    CHECK(said(*early, "Taskd-Log-End") == "false");
    const Answer late = world.begin("GET", path + "?from=4&wait=1h");
    world.world.run_for(1s);
    CHECK(!*late);
    CHECK(world.ask("POST", "/v1/leases/" + lease + "/complete", R"({"result":1})")->status == 200);
    world.world.run_for(1s);
    REQUIRE(*late);
    CHECK((*late)->body.empty());
    CHECK(said(*late, "Taskd-Log-End") == "true");
    const auto all = world.ask("GET", path);
    CHECK(all->body == "one\n");
    CHECK(said(all, "Taskd-Log-End") == "true");
    CHECK(problem(world.append(lease, 4, "too late")) == "409 stale_lease");
}

TEST_CASE("readers of logs that have left make room for others") {
    LogWorld world;
    const std::string id = world.submit_one();
    const auto gone = std::make_shared<bool>(false);
    const auto read = [&](std::shared_ptr<const bool> left) {
        auto status = std::make_shared<int>(0);
        world.service->front().handle(
            {.method = "GET",
             .target = "/v1/tasks/" + id + "/logs?wait=60s",
             .client_gone = std::move(left)},
            [status](const port::HttpResponse& response) { *status = response.status; });
        return status;
    };
    for (std::size_t i = 0; i < limits::waiters_max; ++i)
        read(gone);
    world.world.run_for(100ms);
    const auto refused = read(nullptr);
    CHECK(*refused == 429);
    *gone = true;
    const auto waits = read(nullptr);
    world.world.run_for(1s);
    CHECK(*waits == 0);
    CHECK(world.ask("POST", "/v1/tasks/" + id + "/cancel")->status == 200);
    world.world.run_for(1s);
    CHECK(*waits == 200);
}

TEST_CASE("a reader misses no end that is recorded while it comes") {
    LogWorld world;
    const std::string id = world.submit_one(), path = "/v1/tasks/" + id + "/logs";
    const std::string lease = world.lease();
    world.journal_lane.hold();
    world.begin("POST", "/v1/tasks", R"({"type":"other"})");
    world.world.run_for(100ms);  // its batch is being synced, the next one fills
    const Answer reader = world.begin("GET", path + "?wait=1h");
    world.world.run_for(100ms);
    const Answer end = world.begin("POST", "/v1/leases/" + lease + "/complete", R"({"result":1})");
    world.world.run_for(100ms);
    world.journal_lane.release();
    world.world.run_for(1s);
    REQUIRE(*end);
    REQUIRE(*reader);
    CHECK(said(*reader, "Taskd-Log-End") == "true");
}

TEST_CASE("each attempt has a stream of its own, and the next one can be waited for") {
    LogWorld world;
    const std::string id = world.submit_one(), path = "/v1/tasks/" + id + "/logs";
    const std::string first = world.lease();
    CHECK(world.append(first, 0, "first")->status == 200);
    const Answer next = world.begin("GET", path + "?attempt=2&wait=1h");
    const Answer end = world.begin("GET", path + "?attempt=1&from=5&wait=1h");
    world.world.run_for(1s);
    CHECK(!*end);
    CHECK(world.ask("POST", "/v1/leases/" + first + "/fail", R"({"error":{"code":"x"}})"));
    world.world.run_for(100ms);
    REQUIRE(*end);  // it is over although the task is not
    CHECK(said(*end, "Taskd-Log-End") == "true");
    world.world.run_for(5s);
    CHECK(!*next);
    const std::string second = world.lease();
    CHECK(first != second);
    CHECK(world.append(second, 0, "second")->status == 200);
    world.world.run_for(1s);
    REQUIRE(*next);
    CHECK((*next)->body == "second");
    CHECK(world.ask("GET", path)->body == "second");
    CHECK(world.ask("GET", path + "?attempt=1")->body == "first");
}

TEST_CASE("a lease that was given back keeps its log beside the next one's") {
    LogWorld world;
    const std::string id = world.submit_one(), path = "/v1/tasks/" + id + "/logs";
    const std::string first = world.lease();
    CHECK(world.append(first, 0, "nothing yet")->status == 200);
    CHECK(world.ask("POST", "/v1/leases/" + first + "/release")->status == 200);
    const std::string second = world.lease();
    CHECK(world.append(second, 0, "begun")->status == 200);
    CHECK(world.ask("GET", path)->body == "begun");
    CHECK(world.ask("GET", path + "?attempt=1")->body == "nothing yet");
}

TEST_CASE("appends that the disk does not keep up with are refused as overloaded") {
    LogWorld world;
    world.submit_one();
    const std::string lease = world.lease();
    world.log_lane.hold();
    std::vector<Answer> held;
    const std::size_t most = limits::logs_waiting_bytes_max / limits::log_append_bytes_max;
    for (std::size_t i = 0; i < most; ++i)
        held.push_back(world.begin("POST", "/v1/leases/" + lease + "/logs?offset=0",
                                   std::string(limits::log_append_bytes_max, 'x')));
    world.world.run_for(2s);
    CHECK(problem(world.append(lease, 0, "x")) == "429 overloaded");
    world.log_lane.release();
    world.world.run_for(2s);
    for (const Answer& each : held)
        CHECK(((*each) && (*each)->status == 200));
    CHECK(world.append(lease, limits::log_append_bytes_max, "x")->status == 200);
}

TEST_CASE("a disk that fails is told to who appends and who reads, and harms nothing else") {
    LogWorld world;
    const std::string id = world.submit_one();
    const std::string lease = world.lease();
    world.logs.fails_with = ErrorCode::io_failed;
    CHECK(problem(world.append(lease, 0, "x")) == "500 io_failed");
    CHECK(problem(world.ask("GET", "/v1/tasks/" + id + "/logs")) == "500 io_failed");
    world.logs.fails_with = ErrorCode::disk_full;
    CHECK(problem(world.append(lease, 0, "x")) == "507 disk_full");
    world.logs.fails_with.reset();
    CHECK(world.append(lease, 0, "x")->status == 200);
    CHECK(world.ask("POST", "/v1/leases/" + lease + "/complete", R"({"result":1})")->status == 200);
    CHECK(!world.lost);
}

TEST_CASE("logs go with their tasks, and a drain answers who waits") {
    LogWorld world;
    const std::string gone = world.submit_one();
    const std::string lease = world.lease();
    const port::LogStream stream{*TaskId::parse(gone), LeaseEpoch{1}};
    CHECK(world.append(lease, 0, "printed")->status == 200);
    CHECK(world.ask("POST", "/v1/leases/" + lease + "/complete", R"({"result":1})")->status == 200);
    CHECK(world.logs.read(stream, 0, 100).value().bytes == "printed");
    CHECK(world.ask("POST", "/v1/operations", R"({"action":"delete","q":"type:print"})")->status ==
          202);
    world.world.run_for(1s);
    CHECK(problem(world.ask("GET", "/v1/tasks/" + gone + "/logs")) == "404 task_not_found");
    CHECK(world.logs.read(stream, 0, 100).value().end == 0);
    const std::string path = "/v1/tasks/" + world.submit_one() + "/logs";
    const Answer waiting = world.begin("GET", path + "?wait=1h");
    world.world.run_for(1s);
    CHECK(!*waiting);
    world.service->drain([] {});
    world.world.run_for(1s);
    REQUIRE(*waiting);
    CHECK(said(*waiting, "Taskd-Log-End") == "false");
}
