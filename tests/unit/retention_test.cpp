// What retention lets go of and when, and what a disk that is nearly full refuses, over the twins.
#include "dispatcher_world.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;
using protocol::JsonView;

namespace {

service::DispatcherSettings keeping(Duration keep, Duration keep_dead, std::uint64_t count) {
    service::DispatcherSettings settings;
    settings.retention.keep = keep;
    settings.retention.keep_dead = keep_dead;
    settings.retention.count = count;
    return settings;
}

struct World : DispatcherWorld {
    explicit World(const service::DispatcherSettings& settings)
        : DispatcherWorld{limits::frame_bytes_max, settings} {}

    std::string submit_one(const std::string& more = {}) {
        const auto answer = ask("POST", "/v1/tasks", R"({"type":"sum","payload":[1])" + more + "}");
        REQUIRE(answer->status == 202);
        return JsonView{answer->body}["id"].text();
    }
    std::string lease() {
        const auto answer = ask("POST", "/v1/leases", R"({"types":["sum"],"worker":"w"})");
        return JsonView{answer->body}["tasks"].items().at(0)["lease"].text();
    }
    std::string succeeded(const std::string& more = {}) {
        const std::string id = submit_one(more);
        CHECK(ask("POST", "/v1/leases/" + lease() + "/complete", R"({"result":1})")->status == 200);
        return id;
    }
    std::string dead() {
        const std::string id = submit_one();
        CHECK(ask("POST", "/v1/leases/" + lease() + "/fail",
                  R"({"error":{"code":"bad","permanent":true}})")
                  ->status == 200);
        return id;
    }
    std::string cancelled() {
        const std::string id = submit_one();
        CHECK(ask("POST", "/v1/tasks/" + id + "/cancel")->status == 200);
        return id;
    }
    bool there(const std::string& id) { return ask("GET", "/v1/tasks/" + id)->status == 200; }
    std::string doctor() { return ask("GET", "/v1/doctor")->body; }
    std::uint64_t kept() { return service->core().engine().totals().kept; }
    void run_for(Duration span) { world.run_for(span); }
};

constexpr std::uint64_t many = 1'000'000;

}  // namespace

TEST_CASE("ended tasks go when their time is over, dead ones later, others never") {
    World world{keeping(2h, 4h, many)};
    const std::string taken = world.submit("other")->body;
    const std::string waits = JsonView{taken}["id"].text();
    const std::string good = world.succeeded(), bad = world.dead(), off = world.cancelled();
    CHECK(world.kept() == 3);
    world.run_for(2h - 2min);
    for (const std::string& id : {good, bad, off, waits})
        CHECK(world.there(id));
    world.run_for(5min);
    CHECK_FALSE(world.there(good));
    CHECK_FALSE(world.there(off));
    CHECK(world.there(bad));
    CHECK(world.there(waits));
    const std::string seen = world.doctor();
    const JsonView found = JsonView{seen}["retention"];
    CHECK(found["kept"].number() == 1u);
    CHECK(found["dropped"].number() == 2u);
    CHECK(found["keep_ms"].number() == 7'200'000u);
    CHECK(found["keep_dead_ms"].number() == 14'400'000u);
    CHECK(found["count_max"].number() == many);
    world.run_for(2h);
    CHECK_FALSE(world.there(bad));
    CHECK(world.there(waits));
    CHECK(world.kept() == 0);
    CHECK(world.table.tasks.size() == 1);
    const std::string metrics = world.ask("GET", "/metrics")->body;
    CHECK_THAT(metrics, Catch::Matchers::Contains("taskd_tasks_dropped_total 3"));
    CHECK_THAT(metrics, Catch::Matchers::Contains("taskd_tasks_kept 0"));
}

TEST_CASE("nobody is told that a task is gone before its deletion is durable") {
    World world{keeping(1h, 1h, many)};
    const std::string id = world.succeeded();
    world.run_for(50min);
    world.journal_lane.hold();
    world.run_for(15min);  // it is dropped, and that is not synced
    CHECK_FALSE(world.ask("GET", "/v1/tasks/" + id).has_value());
    CHECK_FALSE(world.ask("GET", "/v1/tasks/" + id + "/result").has_value());
    CHECK_FALSE(world.ask("POST", "/v1/results", R"({"ids":[")" + id + R"("]})").has_value());
    world.journal_lane.release();
    world.run_for(1s);
    CHECK(problem(world.ask("GET", "/v1/tasks/" + id)) == "404 task_not_found");
}

TEST_CASE("beyond so many the oldest go, but none within an hour of its end") {
    World world{keeping(24h, 24h, 3)};
    std::vector<std::string> ids;
    for (int i = 0; i < 5; ++i) {
        ids.push_back(i == 0 ? world.dead() : world.cancelled());
        world.run_for(1min);
    }
    world.run_for(50min);
    CHECK(world.kept() == 5);
    world.run_for(2h);
    CHECK(world.kept() == 3);
    for (std::size_t i = 0; i < ids.size(); ++i) {
        INFO(i);
        CHECK(world.there(ids[i]) == (i >= 2));
    }
}

TEST_CASE("nothing goes within an hour, whatever the settings say") {
    World world{keeping(1s, 1s, 0)};
    const std::string id = world.succeeded();
    world.run_for(57min);
    CHECK(world.there(id));
    world.run_for(6min);
    CHECK_FALSE(world.there(id));
}

TEST_CASE("a task stays while its idempotency key stands for it") {
    World world{keeping(1h, 1h, 0)};
    const std::string keyed = R"(,"idempotency_key":"order-7")";
    const std::string id = world.succeeded(keyed);
    world.run_for(limits::idempotency_window - 10min);
    CHECK(world.there(id));
    CHECK(world.submit_one(keyed) == id);
    world.run_for(20min);
    CHECK_FALSE(world.there(id));
    CHECK(world.submit_one(keyed) != id);
}

TEST_CASE("a task stays while a group counts it that has not ended") {
    World world{keeping(1h, 1h, many)};
    const auto made =
        world.ask("POST", "/v1/groups", R"({"open":true,"completion":{"type":"after"}})");
    REQUIRE(made->status == 202);
    const std::string group = JsonView{made->body}["id"].text();
    const std::string id = world.succeeded(R"(,"group":")" + group + "\"");
    world.run_for(3h);
    CHECK(world.there(id));
    CHECK(world.ask("POST", "/v1/groups/" + group + "/close")->status == 200);
    world.run_for(5min);
    CHECK_FALSE(world.there(id));
    const std::string now = world.ask("GET", "/v1/groups/" + group)->body;
    CHECK(JsonView{now}["succeeded"].number() == 1u);
}

TEST_CASE("a clock that is set ahead makes nothing old until it has stayed so") {
    World world{keeping(24h, 24h, many)};
    const std::string id = world.succeeded();
    world.run_for(2min);
    world.world.set_wall_offset(world.host, 48h);
    world.run_for(50min);
    CHECK(world.there(id));
    world.world.set_wall_offset(world.host, 0h);
    world.run_for(2h);
    CHECK(world.there(id));
    world.world.set_wall_offset(world.host, 48h);
    world.run_for(64min);
    CHECK_FALSE(world.there(id));
}

TEST_CASE("a clock that is set ahead lets no workflow go until it has stayed so") {
    auto settings = keeping(24h, 24h, many);
    settings.workflows.keep = 24h;
    World world{settings};
    const auto begun = world.ask("POST", "/v1/workflows",
                                 R"({"document":"name: w\nsteps: [{name: a, type: sum}]"})");
    REQUIRE(begun->status == 201);
    const std::string id = JsonView{begun->body}["id"].text();
    const auto there = [&] { return world.ask("GET", "/v1/workflows/" + id)->status == 200; };
    CHECK(world.ask("POST", "/v1/workflows/" + id + "/cancel")->status == 200);
    world.run_for(2min);
    world.world.set_wall_offset(world.host, 48h);
    world.run_for(50min);
    CHECK(there());
    world.world.set_wall_offset(world.host, 0h);
    world.run_for(2h);
    CHECK(there());
    world.world.set_wall_offset(world.host, 48h);
    world.run_for(64min);
    CHECK_FALSE(there());
}

TEST_CASE("a clock that is set ahead frees no idempotency key until it has stayed so") {
    World world{keeping(1h, 1h, many)};
    const std::string keyed = R"(,"idempotency_key":"order-7")";
    const std::string id = world.succeeded(keyed);
    world.run_for(2min);
    world.world.set_wall_offset(world.host, 48h);
    world.run_for(30s);
    CHECK(world.submit_one(keyed) == id);
    world.succeeded();  // the view is written, by the clock as it is
    world.run_for(30s);
    world.world.set_wall_offset(world.host, 0h);
    CHECK(world.submit_one(keyed) == id);
    world.world.set_wall_offset(world.host, 48h);
    world.run_for(64min);
    CHECK(world.submit_one(keyed) != id);
}

TEST_CASE("an id of the future is found by a sweep of everything") {
    World world{keeping(1h, 1h, many)};
    Random random{7};
    const TaskId ahead = TaskId::make(world.host.clock().wall() + 9'000h, random);
    const std::string id = ahead.to_string();
    CHECK(world.succeeded(R"(,"id":")" + id + "\"") == id);
    const std::string other = world.succeeded();
    world.run_for(service::RetentionSettings{}.all_at_first + 3min);
    CHECK_FALSE(world.there(other));
    CHECK(world.there(id) == false);
}

TEST_CASE("many go a few at a time") {
    World world{keeping(1h, 1h, many)};
    std::string tasks = "[";
    for (int i = 0; i < 1'000; ++i)
        tasks += std::string{i == 0 ? "" : ","} + R"({"type":"sum","payload":[1]})";
    REQUIRE(world.ask("POST", "/v1/tasks", tasks + "]")->status == 202);
    CHECK(world.ask("POST", "/v1/operations", R"({"action":"cancel","q":"type:sum"})")->status ==
          202);
    world.run_for(58min);
    CHECK(world.kept() == 1'000);
    const std::size_t before = world.tape.commits.size();
    world.run_for(5min);
    CHECK(world.kept() == 0);
    CHECK(world.table.tasks.empty());
    for (std::size_t i = before; i < world.tape.commits.size(); ++i)
        CHECK(world.tape.commits[i] <= limits::operation_turn_tasks);
}

TEST_CASE("a view that cannot be read ends a sweep, and the next one finds what is old") {
    World world{keeping(1h, 1h, many)};
    const std::string id = world.succeeded();
    world.run_for(59min);
    world.view_lane.hold();
    world.run_for(10min);
    CHECK(world.kept() == 1);
    world.view_lane.release();
    world.run_for(2min);
    CHECK_FALSE(world.there(id));
}

TEST_CASE("a disk that is nearly full refuses new tasks alone, until there is room again") {
    auto settings = service::DispatcherSettings{};
    settings.disk.reserve = 1'000'000;
    World world{settings};
    world.run_for(2s);
    const std::string id = world.submit_one();
    const std::string lease = world.lease();
    world.disk.faults.capacity_bytes = 999'999;
    world.run_for(2s);
    const auto refused = world.submit();
    CHECK(problem(refused) == "507 disk_full");
    CHECK_FALSE(port::find_header(refused->headers, "Retry-After").empty());
    const std::string low = world.doctor();
    CHECK(JsonView{low}["disk"]["low"].is_true());
    CHECK(JsonView{low}["disk"]["free_bytes"].number() == 999'999u);
    CHECK(JsonView{low}["disk"]["reserve_bytes"].number() == 1'000'000u);
    CHECK_THAT(world.ask("GET", "/metrics")->body, Catch::Matchers::Contains("taskd_disk_low 1"));
    // What is there goes on and ends, and can be read.
    CHECK(world.ask("GET", "/readyz")->status == 200);
    CHECK(world.ask("POST", "/v1/leases/" + lease + "/complete", R"({"result":1})")->status == 200);
    CHECK(world.there(id));
    // Room again is more than just enough.
    world.disk.faults.capacity_bytes = 1'200'000;
    world.run_for(2s);
    CHECK(problem(world.submit()) == "507 disk_full");
    world.disk.faults.capacity_bytes = 1'250'000;
    world.run_for(2s);
    CHECK(world.submit()->status == 202);
    world.disk.faults.capacity_bytes = 1'000'000;
    world.run_for(2s);
    CHECK(world.submit()->status == 202);
}

TEST_CASE(
    "a disk that is nearly full lets no dead task begin anew, and an operation waits for it") {
    auto settings = service::DispatcherSettings{};
    settings.disk.reserve = 1'000'000;
    World world{settings};
    const auto dead =
        world.ask("POST", "/v1/tasks", R"({"type":"nobody","queue_timeout_ms":1000})");
    REQUIRE(dead);
    const std::string task = "/v1/tasks/" + std::string{JsonView{dead->body}["id"].text()};
    world.run_for(3s);
    world.disk.faults.capacity_bytes = 999'999;
    world.run_for(2s);
    CHECK(problem(world.ask("POST", task + "/redrive")) == "507 disk_full");
    const auto begun =
        world.ask("POST", "/v1/operations", R"({"action":"redrive","q":"type:nobody"})");
    REQUIRE(begun->status == 202);
    const std::string one = "/v1/operations/" + std::string{JsonView{begun->body}["id"].text()};
    const auto changed = [&] { return JsonView{world.ask("GET", one)->body}["changed"].number(); };
    world.run_for(5s);
    CHECK(changed() == 0u);
    world.disk.faults.capacity_bytes = 0;
    world.run_for(4s);
    CHECK(changed() == 1u);
}

TEST_CASE(
    "how much of a disk is kept free: a share of it, so much at most, or what was asked for") {
    const auto reserve = [](std::optional<std::uint64_t> asked, std::uint64_t capacity) {
        auto settings = service::DispatcherSettings{};
        settings.disk.reserve = asked;
        World world{settings};
        world.disk.faults.capacity_bytes = capacity;
        world.run_for(2s);
        const std::string found = world.doctor();
        return JsonView{found}["disk"]["reserve_bytes"].number();
    };
    CHECK(reserve({}, 1'000'000) == 50'000u);
    CHECK(reserve({}, 0) == limits::disk_reserve_default_most);
    CHECK(reserve(5'000'000, 100'000'000) == 5'000'000u);
    CHECK(reserve(0, 1'000) == 0u);
}

TEST_CASE("a disk whose space nobody can tell refuses nothing") {
    auto settings = service::DispatcherSettings{};
    settings.disk.reserve = 1'000'000;
    World world{settings};
    world.disk.faults.capacity_bytes = 10;
    world.run_for(2s);
    CHECK(problem(world.submit()) == "507 disk_full");
    world.disk.cut_power();
    world.run_for(2s);
    CHECK(world.submit()->status == 202);
}
