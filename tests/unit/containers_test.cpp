// The monitor's rounds over a container engine: what it shows, and what it says when there is none.
#include "taskd/service/containers.hpp"

#include "catch.hpp"
#include "memory_log.hpp"
#include "sim_world.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

// An engine as values: answers by the beginning of the target.
class FakeEngine final : public port::HttpExchange {
  public:
    explicit FakeEngine(port::Timers& timers) : timers_{timers} {}

    void send(const std::string& base_url, port::HttpRequest request, Duration,
              std::function<void(Result<port::HttpResponse>)> then) override {
        CHECK(base_url == "unix:/engine.sock");
        asked.push_back(request.target);
        timers_.post([this, target = request.target, then = std::move(then)] {
            if (fault) return then(std::unexpected{*fault});
            for (const std::string& begin : hanging)
                if (target.starts_with(begin)) return then(fail(ErrorCode::timed_out, target));
            for (const auto& [begin, body] : answers)
                if (target.starts_with(begin)) return then(port::HttpResponse{200, {}, body});
            then(port::HttpResponse{404, {}, "{}"});
        });
    }

    std::optional<Error> fault;
    std::vector<std::string> hanging;
    std::vector<std::pair<std::string, std::string>> answers;
    std::vector<std::string> asked;

  private:
    port::Timers& timers_;
};

struct World {
    protocol::JsonView shown() {
        text.clear();
        protocol::JsonWriter json{text};
        containers.write(json);
        REQUIRE(protocol::check_json(text));
        return protocol::JsonView{text};
    }

    SimWorld world{1};
    SimHost& host = world.host("monitor");
    FakeEngine engine{host.timers()};
    MemoryLog log;
    service::Containers containers{
        {.socket = "/engine.sock", .shown_max = 2}, engine, host.clock(), host.timers(), log};
    std::string text;
};

std::string use(std::uint64_t cpu_ns) {
    return R"({"cpu_stats":{"cpu_usage":{"total_usage":)" + std::to_string(cpu_ns) +
           R"(}},"memory_stats":{"usage":5}})";
}

}  // namespace

TEST_CASE("containers are shown with what each of them does") {
    World world;
    world.engine.answers = {
        {"/containers/json", R"([{"Id":"b","Names":["/two"],"Image":"i","State":"exited"},)"
                             R"({"Id":"a","Names":["/one"],"Image":"i","State":"running"},)"
                             R"({"Id":"c","Names":["/three"],"Image":"i","State":"running"}])"},
        {"/containers/a/json", R"({"State":{"Status":"running","Health":{"Status":"healthy"}}})"},
        {"/containers/a/logs", std::string{"\1\0\0\0\0\0\0\3hi\n", 11}},
        {"/containers/a/stats", use(1'000'000'000)},
        {"/events", ""}};
    world.containers.start();
    CHECK(world.shown()["state"].text() == "unreachable");  // not asked yet
    world.world.run_for(1s);
    CHECK(world.shown()["state"].text() == "shown");
    const auto list = world.shown()["list"].items();
    REQUIRE(list.size() == 2);
    CHECK(world.shown()["left_out"].text() == "1");
    CHECK(list[0]["name"].text() == "one");
    CHECK(list[0]["health"].text() == "healthy");
    CHECK(list[0]["log"].items().front().text() == "hi");
    CHECK(list[0]["memory_bytes"].text() == "5");
    CHECK(list[0]["cpu_share"].empty());  // of one answer nobody knows
    // One that went between two questions stays with what the list said.
    CHECK(list[1]["name"].text() == "three");
    CHECK(list[1]["state"].text() == "running");
    world.engine.answers[3].second = use(2'000'000'000);
    world.world.run_for(2s);
    const double share = std::stod(world.shown()["list"].items().front()["cpu_share"].text());
    CHECK(share > 0.4);
    CHECK(share < 0.6);
}

TEST_CASE("a container that hangs is shown with what is known, and the others with all") {
    World world;
    world.engine.answers = {
        {"/containers/json", R"([{"Id":"a","Names":["/one"],"Image":"i","State":"running"},)"
                             R"({"Id":"b","Names":["/two"],"Image":"i","State":"running"}])"},
        {"/containers/a/json", R"({"State":{"Status":"running","Health":{"Status":"healthy"}}})"},
        {"/containers/b/json", R"({"State":{"Status":"running"}})"},
        {"/containers/b/logs", std::string{"\1\0\0\0\0\0\0\3hi\n", 11}},
        {"/containers/b/stats", use(1'000'000'000)},
        {"/events", ""}};
    world.containers.start();
    for (const char* hangs : {"/containers/a/stats", "/containers/a/logs", "/containers/a/json"}) {
        INFO(hangs);
        world.engine.hanging.emplace_back(hangs);
        world.world.run_for(10s);
        CHECK(world.shown()["state"].text() == "shown");
        const auto list = world.shown()["list"].items();
        REQUIRE(list.size() == 2);
        CHECK(list[0]["name"].text() == "one");
        REQUIRE(list[1]["log"].items().size() == 1);
        CHECK(list[1]["log"].items().front().text() == "hi");
        CHECK(list[1]["memory_bytes"].text() == "5");
    }
    for (const char* hangs : {"/events", "/containers/json"}) {
        INFO(hangs);
        world.engine.hanging = {hangs};
        world.world.run_for(30s);
        CHECK(world.shown()["state"].text() == "unreachable");
    }
}

TEST_CASE("events follow each other without a gap and without a double") {
    World world;
    const auto event = [](int at, std::string_view action) {
        return R"({"Action":")" + std::string{action} +
               R"(","Actor":{"ID":"a","Attributes":{"name":"one"}},"timeNano":)" +
               std::to_string(at) + "}\n";
    };
    world.engine.answers = {{"/containers/json", "[]"},
                            {"/events", event(1, "start") + event(2, "health_status: healthy")}};
    world.containers.start();
    world.world.run_for(3s);  // the first round has no span yet
    world.engine.answers[1].second =
        event(2, "health_status: healthy") + event(3, "health_status: healthy") + event(4, "die");
    world.world.run_for(2s);
    std::vector<std::string> actions;
    for (const auto& shown : world.shown()["events"].items())
        actions.push_back(shown["action"].text());
    CHECK(actions == std::vector<std::string>{"die", "health_status: healthy", "start"});
    std::vector<std::string> spans;
    for (const std::string& target : world.engine.asked)
        if (target.starts_with("/events")) spans.push_back(target);
    REQUIRE(spans.size() >= 2);
    const auto part = [](const std::string& target, const std::string& name) {
        const auto at = target.find(name) + name.size();
        return target.substr(at, target.find('&', at) - at);
    };
    for (std::size_t i = 1; i < spans.size(); ++i)
        CHECK(std::stod(part(spans[i], "since=")) < std::stod(part(spans[i - 1], "until=")));
}

TEST_CASE("no engine, a forbidden one and a broken one are shown as such, once in the log") {
    World world;
    const auto state_with = [&](Error fault) {
        world.engine.fault = std::move(fault);
        world.world.run_for(30s);
        return world.shown()["state"].text();
    };
    world.engine.fault = Error{ErrorCode::socket_missing, "/engine.sock"};
    world.containers.start();
    CHECK(state_with({ErrorCode::socket_missing, "/engine.sock"}) == "absent");
    CHECK(world.log.entries.size() == 1);
    CHECK(state_with({ErrorCode::socket_forbidden, "/engine.sock"}) == "forbidden");
    CHECK(state_with({ErrorCode::timed_out, "/engine.sock"}) == "unreachable");
    world.engine.fault.reset();
    world.world.run_for(30s);
    CHECK(world.shown()["detail"].text().find("refuses") != std::string::npos);
    world.engine.answers = {{"/containers/json", "<html>"}};
    world.world.run_for(30s);
    CHECK(world.shown()["detail"].text().find("cannot be read") != std::string::npos);
    world.engine.answers = {{"/containers/json", "[]"}};
    world.world.run_for(30s);
    CHECK(world.shown()["state"].text() == "shown");
    CHECK(world.log.entries.size() == 5);
}
