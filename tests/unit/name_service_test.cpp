// The name service and its file: what it hands out, and a disk that has no room for it.
#include "taskd/service/name_service.hpp"

#include "catch.hpp"
#include "memory_log.hpp"
#include "sim_files.hpp"
#include "sim_world.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/service/registrar.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

// One life of it.
struct Life {
    Life(SimWorld& world, support::SimFiles& disk, service::NameServiceSettings settings = {})
        : host{world.host("names")},
          lane{host.make_lane()},
          service{with_dir(std::move(settings)), disk, *lane, host.clock(), host.timers(), log} {}

    static service::NameServiceSettings with_dir(service::NameServiceSettings settings) {
        settings.dir = "registry";
        return settings;
    }

    SimHost& host;
    std::unique_ptr<port::Background> lane;
    MemoryLog log;
    service::NameService service;
};

std::uint64_t version_in(const support::SimFiles& disk) {
    const std::string text = disk.content("registry/registry.json").value_or("{}");
    return protocol::JsonView{text}["version"].number().value_or(0);
}

}  // namespace

TEST_CASE("a name service starts on a full disk, and writes when there is room") {
    SimWorld world{1};
    support::SimFiles disk{1};
    REQUIRE(Life{world, disk}.service.load());
    const std::uint64_t written = version_in(disk);
    CHECK(written > 0);
    world.run_for(1min);
    disk.faults.capacity_bytes = 1;
    std::vector<std::uint64_t> versions{written};
    for (int i = 0; i < 3; ++i) {
        Life life{world, disk};
        REQUIRE(life.service.load());
        versions.push_back(life.service.registry().version);
        world.run_for(1min);
        CHECK(version_in(disk) == written);
        CHECK(life.log.entries.size() >= 1);
    }
    disk.faults.capacity_bytes = 0;
    {
        Life life{world, disk};
        REQUIRE(life.service.load());
        versions.push_back(life.service.registry().version);
        CHECK(version_in(disk) == versions.back());
    }
    // No two lives may hand out the same: each has room for many.
    std::ranges::sort(versions);
    for (std::size_t i = 1; i < versions.size(); ++i)
        CHECK(versions[i] - versions[i - 1] >= 1 << 20);
}

TEST_CASE("those who watched the registry and have left make room for others") {
    SimWorld world{1};
    support::SimFiles disk{1};
    Life life{world, disk};
    REQUIRE(life.service.load());
    service::HttpFront front{{}, "nameservice", [] { return std::nullopt; }};
    life.service.add_routes(front);
    const auto gone = std::make_shared<bool>(false);
    const std::string target =
        "/v1/registrations?wait=60s&watch=" + std::to_string(life.service.registry().version);
    const auto watch = [&](std::shared_ptr<const bool> left) {
        auto status = std::make_shared<int>(0);
        front.handle({.method = "GET", .target = target, .client_gone = std::move(left)},
                     [status](const port::HttpResponse& got) { *status = got.status; });
        return status;
    };
    for (std::size_t i = 0; i < limits::waiters_max; ++i)
        watch(gone);
    CHECK(*watch(nullptr) == 429);
    *gone = true;
    const auto waits = watch(nullptr);
    CHECK(*waits == 0);
    life.service.let_go();
    CHECK(*waits == 200);
}

TEST_CASE("a heartbeat that comes behind the end of its session brings nothing back") {
    SimWorld world{1};
    support::SimFiles disk{1};
    Life life{world, disk};
    REQUIRE(life.service.load());
    service::HttpFront front{{}, "nameservice", [] { return std::nullopt; }};
    life.service.add_routes(front);
    const auto ask = [&](const std::string& method, const std::string& more,
                         const std::string& body = {}) {
        auto status = std::make_shared<int>(0);
        front.handle({method,
                      "/v1/registrations/sum-1" + more,
                      {{"Content-Type", "application/json"}},
                      body},
                     [status](const port::HttpResponse& got) { *status = got.status; });
        world.run_for(1s);
        return *status;
    };
    const auto put = [&](const std::string& session) {
        return ask("PUT", "",
                   R"({"type":"sum","host":"10.0.0.1","port":6000,"session":")" + session +
                       R"(","concurrency":1})");
    };
    const std::string old = "0000000000000001", fresh = "0000000000000002";
    CHECK(put(old) == 201);
    CHECK(ask("DELETE", "?session=" + old) == 204);
    CHECK(put(old) == 409);
    CHECK(life.service.registry().registrations.empty());
    CHECK(put(fresh) == 201);  // the name is free
    CHECK(put(old) == 409);
    CHECK(ask("DELETE", "?session=" + fresh) == 204);
    CHECK(ask("DELETE", "?session=0000000000000003") == 404);  // its first is still on the way
    CHECK(put("0000000000000003") == 409);
    world.run_for(limits::registration_expiry);
    CHECK(put(old) == 201);  // by now nothing of then can be on the way
}

TEST_CASE("what a name service could not write it writes later") {
    SimWorld world{1};
    support::SimFiles disk{1};
    REQUIRE(disk.make_dir("registry"));
    disk.faults.capacity_bytes = 1;
    Life life{world, disk};
    REQUIRE(life.service.load());
    world.run_for(1min);
    CHECK(version_in(disk) == 0);
    const std::size_t told = life.log.entries.size();
    world.run_for(1min);
    CHECK(life.log.entries.size() == told);
    disk.faults.capacity_bytes = 0;
    world.run_for(1min);
    CHECK(version_in(disk) == life.service.registry().version);
    disk.faults.sync_fails_at = disk.syncs() + 1;
    support::SimFiles broken{1};
    broken.faults.sync_fails_at = 1;
    Life other{world, broken};
    CHECK(other.service.load().error().code == ErrorCode::io_failed);
}

TEST_CASE("a worker of default settings lives at a name service that forgets sooner") {
    SimWorld world{1};
    support::SimFiles disk{1};
    Life life{world, disk, {.dir = {}, .heartbeat = 1s, .expiry = 3s}};
    REQUIRE(life.service.load());
    service::HttpFront front{{}, "nameservice", [] { return std::nullopt; }};
    life.service.add_routes(front);
    REQUIRE(world.host("names").serve(5001, front));
    SimHost& worker = world.host("worker");
    MemoryLog log;
    service::Registrar registrar{
        {{"sum-1", SessionId{7}, "sum", "worker", 6000, 1, "{}", {}, {}}, "http://names:5001", {}},
        {worker.http(), worker.clock(), worker.timers(), log}};
    world.run_for(1s);
    REQUIRE(life.service.registry().registrations.size() == 1);
    const std::uint64_t version = life.service.registry().version;
    world.run_for(5min);
    CHECK(life.service.registry().version == version);  // it never went, and never came again
    CHECK(life.log.count("registration expired") == 0);
}

TEST_CASE("a name service that asks for nothing sensible is told as often as the settings say") {
    struct Asks final : port::HttpHandler {
        void handle(port::HttpRequest&&, port::HttpResponder respond) override {
            ++asked;
            respond({200, {}, body});
        }
        std::string body;
        int asked = 0;
    };
    const std::pair<std::string, int> cases[] = {{R"({"heartbeat_ms":0})", 600},
                                                 {R"({"heartbeat_ms":99999999999999})", 6},
                                                 {R"({"heartbeat_ms":"1"})", 6},
                                                 {"{}", 6},
                                                 {"<html>", 6},
                                                 {"", 6}};
    for (const auto& [body, asked_a_minute] : cases) {
        INFO(body);
        SimWorld world{1};
        Asks names;
        names.body = body;
        REQUIRE(world.host("names").serve(5001, names));
        SimHost& worker = world.host("worker");
        MemoryLog log;
        service::Registrar registrar{
            {{"sum-1", SessionId{7}, "sum", "worker", 6000, 1, "{}", {}, {}},
             "http://names:5001",
             {}},
            {worker.http(), worker.clock(), worker.timers(), log}};
        world.run_for(1min);
        CHECK(registrar.registered());
        CHECK(names.asked >= asked_a_minute * 9 / 10);
        CHECK(names.asked <= asked_a_minute + 1);
    }
}

TEST_CASE("a restart of the name service forgets not since when somebody is there") {
    SimWorld world{1};
    support::SimFiles disk{1};
    const auto now = [&] { return world.host("names").clock().wall(); };
    const WallTime came = [&] {
        Life life{world, disk};
        REQUIRE(life.service.load());
        service::HttpFront front{{}, "nameservice", [] { return std::nullopt; }};
        life.service.add_routes(front);
        front.handle({"PUT",
                      "/v1/registrations/sum-1",
                      {{"Content-Type", "application/json"}},
                      R"({"type":"sum","host":"h","port":6000,"session":"0000000000000001"})"},
                     [](const port::HttpResponse& got) { CHECK(got.status == 201); });
        world.run_for(10s);
        REQUIRE(life.service.registry().registrations.size() == 1);
        return life.service.registry().registrations[0].registered_at;
    }();
    Life life{world, disk};
    REQUIRE(life.service.load());
    REQUIRE(life.service.registry().registrations.size() == 1);
    CHECK(came < now());
    CHECK(life.service.registry().registrations[0].registered_at == came);
    CHECK(life.service.registry().registrations[0].renewed_at == now());
}
