// The monitor on a simulated world: it asks by itself, and shows what it last heard.
#include "taskd/service/monitor.hpp"

#include "catch.hpp"
#include "memory_log.hpp"
#include "sim_world.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/problem.hpp"

using namespace taskd;
using namespace taskd::service;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view secret = "a key of 16 bytes or more";

// A role that answers from a table and counts what it is asked.
struct FakeRole final : port::HttpHandler {
    std::map<std::string, port::HttpResponse> answers;
    std::map<std::string, int> asked;
    std::string key_seen;

    void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
        ++asked[request.target];
        key_seen = port::find_header(request.headers, "Authorization");
        respond(answers.at(request.target));
    }
};

struct Setting {
    SimWorld world{7};
    SimHost* host = &world.host("monitor");
    FakeRole dispatcher;
    FakeRole nameservice;
    MemoryLog log;
    std::unique_ptr<Monitor> monitor;
    std::unique_ptr<HttpFront> front;

    Setting() {
        dispatcher.answers["/v1/stats"] = {200, {}, R"({"totals":{"submitted":1}})"};
        dispatcher.answers["/v1/workers"] = {200, {}, R"({"workers":[{"instance":"w"}]})"};
        nameservice.answers["/v1/registrations"] = {
            200, {}, R"({"version":3,"registrations":[{"instance":"w"}]})"};
        serve();
        monitor = std::make_unique<Monitor>(
            MonitorSettings{.dispatcher_url = "http://dispatcher:4000",
                            .nameservice_url = "http://nameservice:5001",
                            .key = protocol::ClusterKey{std::string{secret}}},
            "<!doctype html><title>page</title>", host->http(), host->clock(), host->timers(), log);
        front = std::make_unique<HttpFront>(protocol::ClusterKey{std::string{secret}}, "monitor",
                                            [] { return std::nullopt; });
        monitor->add_routes(*front);
    }
    ~Setting() { world.crash(world.host("monitor")); }
    WallTime wall() const { return host->clock().wall(); }

    void serve() {
        (void)world.host("dispatcher").serve(4000, dispatcher);
        (void)world.host("nameservice").serve(5001, nameservice);
    }

    port::HttpResponse get(const std::string& target, bool with_key = true) const {
        port::HttpRequest request{"GET", target, {}, {}};
        if (with_key)
            request.headers.emplace_back("Authorization", "Bearer " + std::string{secret});
        port::HttpResponse seen;
        front->handle(std::move(request), [&](port::HttpResponse answer) { seen = answer; });
        return seen;
    }
};

// All is well, at this time of the monitor.
std::string all_well(const Setting& setting) {
    return R"({"now":")" + to_rfc3339(setting.wall()) +
           R"(","dispatcher":{"reachable":true,"stats":{"totals":{"submitted":1}},)"
           R"("workers":[{"instance":"w"}]},)"
           R"("nameservice":{"reachable":true,"registrations":[{"instance":"w"}]},)"
           R"("containers":{"state":"off"}})";
}

}  // namespace

TEST_CASE("the overview is not ready before the first answers, and complete after them") {
    Setting setting;
    CHECK(setting.get("/v1/overview").status == 503);
    REQUIRE(setting.monitor->start());
    CHECK(setting.get("/v1/overview").status == 503);
    setting.world.run_for(500ms);
    const auto answer = setting.get("/v1/overview");
    CHECK(answer.status == 200);
    CHECK(answer.body == all_well(setting));
    CHECK(setting.dispatcher.key_seen == "Bearer " + std::string{secret});
    CHECK(setting.nameservice.key_seen == setting.dispatcher.key_seen);
}

TEST_CASE("it asks each second, however often it is asked itself") {
    Setting setting;
    REQUIRE(setting.monitor->start());
    setting.world.run_for(500ms);
    for (int i = 0; i < 1'000; ++i)
        CHECK(setting.get("/v1/overview").status == 200);
    setting.world.run_for(10s);
    for (const auto& [target, count] : setting.dispatcher.asked) {
        CHECK(count >= 9);
        CHECK(count <= 11);
    }
}

TEST_CASE("a role that cannot be reached is told as that, once in the log, and comes back") {
    Setting setting;
    REQUIRE(setting.monitor->start());
    setting.world.run_for(500ms);
    setting.world.crash(setting.world.host("dispatcher"));
    setting.world.run_for(5s);
    const std::string away = setting.get("/v1/overview").body;
    CHECK_THAT(away, Catch::Matchers::Contains(
                         R"("dispatcher":{"reachable":false,"detail":"unreachable)"));
    CHECK_THAT(away, Catch::Matchers::Contains(R"("nameservice":{"reachable":true)"));
    CHECK(protocol::check_json(away));
    CHECK(setting.log.entries.size() == 2);  // one each of the two things asked there

    setting.world.boot(setting.world.host("dispatcher"));
    setting.serve();
    setting.world.run_for(5s);
    CHECK(setting.get("/v1/overview").body == all_well(setting));
    CHECK(setting.log.entries.size() == 4);
}

TEST_CASE("an answer that is none is told as that") {
    const std::pair<port::HttpResponse, std::string> bad[] = {
        {{200, {}, "<html>"}, "bad_answer"},
        {{200, {}, "[]"}, "bad_answer"},
        {{200, {}, R"({"version":1})"}, "bad_answer"},
        {{403, {}, protocol::write_problem({ErrorCode::wrong_key, ""})}, "wrong_key"},
        {{503, {}, protocol::write_problem({ErrorCode::not_ready, ""})}, "not_ready"},
    };
    for (const auto& [answer, name] : bad) {
        Setting setting;
        setting.nameservice.answers["/v1/registrations"] = answer;
        REQUIRE(setting.monitor->start());
        setting.world.run_for(500ms);
        CHECK_THAT(
            setting.get("/v1/overview").body,
            Catch::Matchers::Contains(R"("nameservice":{"reachable":false,"detail":")" + name));
    }
}

TEST_CASE("the page needs no key, the figures do; unknown parameters are refused") {
    Setting setting;
    REQUIRE(setting.monitor->start());
    setting.world.run_for(500ms);
    const auto page = setting.get("/?key=anything", false);
    CHECK(page.status == 200);
    CHECK(page.body == "<!doctype html><title>page</title>");
    CHECK(port::find_header(page.headers, "Content-Type") == "text/html; charset=utf-8");
    CHECK_THAT(std::string{port::find_header(page.headers, "Content-Security-Policy")},
               Catch::Matchers::StartsWith("default-src 'none'"));
    CHECK(setting.get("/v1/overview", false).status == 401);
    CHECK(setting.get("/v1/overview?x=1").status == 422);
    CHECK(setting.get("/other").status == 404);
}

TEST_CASE("a search is passed on to the dispatcher, and its answer back") {
    Setting setting;
    std::optional<port::HttpResponse> seen;
    const auto ask = [&](const std::string& target) {
        seen.reset();
        port::HttpRequest request{"GET", target, {}, {}};
        request.headers.emplace_back("Authorization", "Bearer " + std::string{secret});
        setting.front->handle(std::move(request),
                              [&](port::HttpResponse answer) { seen = std::move(answer); });
        setting.world.run_for(10s);
        REQUIRE(seen);
        return seen->status;
    };
    const std::string target = "/v1/tasks?q=state%3Adead&limit=5";
    setting.dispatcher.answers[target] = {
        200, {{"Content-Type", "application/json"}}, R"({"tasks":[],"next":null})"};
    CHECK(ask(target) == 200);
    CHECK(seen->body == R"({"tasks":[],"next":null})");
    CHECK(port::find_header(seen->headers, "Content-Type") == "application/json");
    CHECK(setting.dispatcher.key_seen == "Bearer " + std::string{secret});
    const std::string bad = "/v1/tasks?q=a:";
    setting.dispatcher.answers[bad] = {
        422, {}, protocol::write_problem({ErrorCode::invalid_field, "in 'a:'"})};
    CHECK(ask(bad) == 422);
    CHECK_THAT(seen->body, Catch::Matchers::Contains("in 'a:'"));
    CHECK(ask("/v1/tasks?wait=1") == 422);

    setting.world.options().http.answer_loss = 1000;
    CHECK(ask(target) == 504);
    CHECK_THAT(seen->body, Catch::Matchers::Contains("\"timed_out\""));
    setting.world.options().http.answer_loss = 0;
    setting.world.crash(setting.world.host("dispatcher"));
    CHECK(ask(target) == 502);
    CHECK_THAT(seen->body, Catch::Matchers::Contains("\"unreachable\""));
}

TEST_CASE("a search that takes the dispatcher longer than its figures is waited for") {
    Setting setting;
    struct Slow final : port::HttpHandler {
        explicit Slow(SimWorld& of) : world{of} {}
        void handle(port::HttpRequest&&, port::HttpResponder respond) override {
            auto later = std::make_shared<port::HttpResponder>(std::move(respond));
            world.at(world.now() + 5s, [later] { (*later)({200, {}, R"({"tasks":[]})"}); });
        }
        SimWorld& world;
    } slow{setting.world};
    setting.world.host("dispatcher").stop_serving(4000);
    REQUIRE(setting.world.host("dispatcher").serve(4000, slow));
    port::HttpRequest request{"GET", "/v1/tasks?q=type%3Asum", {}, {}};
    request.headers.emplace_back("Authorization", "Bearer " + std::string{secret});
    int status = 0;
    setting.front->handle(std::move(request),
                          [&](const port::HttpResponse& answer) { status = answer.status; });
    setting.world.run_for(4s);
    CHECK(status == 0);
    setting.world.run_for(2s);
    CHECK(status == 200);
}
