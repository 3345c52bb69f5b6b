// The C++ client and worker as far as no dispatcher is needed, and one lease of a worker against
// answers that are made up.
#include <atomic>
#include <thread>

#include "catch.hpp"
#include "client/held_lease.hpp"
#include "memory_log.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/http_server.hpp"
#include "taskd/worker.hpp"

using namespace taskd;
using namespace std::chrono_literals;

namespace {

std::string name_of(const Error& error) {
    return std::string{error.name()};
}

template <class Any>
std::string fault(const Result<Any>& result) {
    return result ? "none" : name_of(result.error());
}

TaskResult done(LeasedTask&) {
    return "1";
}

std::string run_fault(WorkerSettings settings, const std::string& type = "a",
                      Handler handler = done) {
    Worker worker{std::move(settings)};
    if (!type.empty()) worker.on(type, std::move(handler));
    return fault(worker.run());
}

// Notes what a lease sends; answers come when the test gives them.
struct Host final : client::LeaseHost {
    struct Sent {
        std::string target;
        std::string body;
        Answer then;
    };

    void send(std::string target, std::string body, Answer then) override {
        sent.push_back({std::move(target), std::move(body), std::move(then)});
    }
    service::LogSenderPorts log_ports() override { return {http, *clock, loop_}; }
    const protocol::ClusterKey& key() const override { return key_; }
    const std::string& url() const override { return url_; }
    io::Loop& loop() override { return loop_; }
    SteadyTime now() const override { return clock->steady(); }
    Duration longer(Duration pause) override { return pause; }
    void ended(const std::string& lease) override { ended_leases.push_back(lease); }
    void refused(const Error& error) override { refusals.push_back(name_of(error)); }

    bool turn(const std::function<bool()>& until) { return loop_.run_until(until, 20s); }
    // The answer to what was sent last.
    void answer(int status, std::string body = "{}") {
        const auto then = sent.back().then;
        then(port::HttpResponse{status, {}, std::move(body)});
    }

    io::Loop loop_;
    std::unique_ptr<port::Clock> clock = io::make_system_clock();
    io::HttpExchange http{loop_};
    protocol::ClusterKey key_;
    std::string url_ = "http://127.0.0.1:1";
    std::vector<Sent> sent;
    std::vector<std::string> ended_leases;
    std::vector<std::string> refusals;
};

struct Fixture {
    Host host;
    const std::string text = "018bcfe5-687b-7000-8000-0000000000ab.3";
    client::TakenTask task = *client::read_task(protocol::JsonView{raw});
    client::HeldLease lease{host, task};

    // What the worker sends for what its handler gives.
    const Host::Sent& finish(TaskResult result) {
        const std::size_t before = host.sent.size();
        lease.finish({std::move(result), 5us});
        REQUIRE(host.turn([&] { return host.sent.size() > before; }));
        return host.sent.back();
    }

    static constexpr std::string_view raw =
        R"({"lease":"018bcfe5-687b-7000-8000-0000000000ab.3","id":"i","type":"sum",)"
        R"("payload":[1, 2],"attempt":3})";
};

}  // namespace

TEST_CASE("a worker whose settings cannot be says which, and asks for nothing") {
    CHECK(run_fault({}, "") == "invalid_field");
    CHECK(run_fault({}, "a b") == "invalid_field");
    CHECK(run_fault({}, "a", nullptr) == "invalid_field");
    CHECK(run_fault({.name = "a b"}) == "invalid_field");
    CHECK(run_fault({.concurrency = 0}) == "invalid_field");
    CHECK(run_fault({.concurrency = 257}) == "invalid_field");
    CHECK(run_fault({.url = "nowhere"}) == "bad_address");
    Worker many{{}};
    for (std::size_t i = 0; i <= limits::lease_types_max; ++i)
        many.on("type" + std::to_string(i), done);
    CHECK(fault(many.run()) == "invalid_field");
}

TEST_CASE("a worker that is told to stop before it runs returns at once") {
    Worker worker{{.url = "http://127.0.0.1:1"}};
    worker.on("a", done);
    worker.stop();
    CHECK(worker.run().has_value());
}

TEST_CASE("a worker waits for a dispatcher that is not there, and says so once") {
    Worker* self = nullptr;
    int told = 0;
    Worker worker{{.url = "http://127.0.0.1:1", .trying_again = [&](const Error& error) {
                       CHECK(name_of(error) == "unreachable");
                       ++told;
                       self->stop();
                   }}};
    self = &worker;
    worker.on("a", done);
    CHECK(worker.run().has_value());
    CHECK(told == 1);
}

TEST_CASE("a worker pauses where something else than a dispatcher answers") {
    struct Page final : port::HttpHandler {
        void handle(port::HttpRequest&&, port::HttpResponder respond) override {
            ++asked;
            respond({200, {}, "<html>Welcome</html>"});
        }
        int asked = 0;
    } page;
    io::Loop loop;
    test::MemoryLog log;
    io::HttpServer server{loop, {}, page, log};
    REQUIRE(server.listen());
    std::atomic<int> told = 0;
    std::atomic<bool> ended = false;
    Worker worker{{.url = "http://127.0.0.1:" + std::to_string(server.port()),
                   .trying_again = [&](const Error& error) {
                       CHECK(name_of(error) == "bad_answer");
                       ++told;
                   }}};
    worker.on("a", done);
    std::jthread works{[&] {
        std::ignore = worker.run();
        ended = true;
    }};
    loop.run_until([] { return false; }, 500ms);
    CHECK(page.asked < 20);
    CHECK(loop.run_until([&] { return told > 0 && page.asked > 0; }, 10s));
    worker.stop();
    CHECK(loop.run_until([&] { return ended.load(); }, 10s));
    works.join();
    CHECK(told == 1);
}

TEST_CASE("a worker works on past a proxy that has nothing to lead to for a while") {
    // Each request is met by pages at first, as while a dispatcher is moved.
    struct Moving final : port::HttpHandler {
        void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
            const std::string target = request.target.substr(request.target.rfind('/') + 1);
            if (pages[target]++ < (target == "renew" ? 1 : 3))
                return respond({404, {{"Content-Type", "text/html"}}, "<html>404</html>"});
            ++served[target];
            if (target == "leases" && served[target] > 2)
                return waiting.push_back(std::move(respond));
            if (target == "leases") {
                pages["complete"] = pages["renew"] = 0;
                std::string task{Fixture::raw};
                task[task.find(".3") + 1] = served[target] == 1 ? '3' : '4';
                return respond({200, {}, R"({"tasks":[)" + task + R"(],"lease_ms":300})"});
            }
            if (target == "renew") ++renewed;
            respond({200, {}, R"({"cancelled":false})"});
        }
        std::atomic<int> renewed = 0;
        std::map<std::string, int> pages;
        std::map<std::string, int> served;
        std::vector<port::HttpResponder> waiting;
    } moving;
    io::Loop loop;
    test::MemoryLog log;
    io::HttpServer server{loop, {}, moving, log};
    REQUIRE(server.listen());
    std::atomic<int> told = 0, begun = 0;
    Worker worker{{.url = "http://127.0.0.1:" + std::to_string(server.port()),
                   .trying_again = [&](const Error& error) {
                       CHECK(name_of(error) == "bad_answer");
                       ++told;
                   }}};
    worker.on("sum", [&](LeasedTask& task) -> TaskResult {
        for (++begun; moving.renewed < begun;)
            std::this_thread::sleep_for(5ms);
        CHECK(task.wanted());
        return "7";
    });
    std::jthread works{[&] { CHECK(worker.run().has_value()); }};
    CHECK(loop.run_until([&] { return !moving.waiting.empty(); }, 20s));
    worker.stop();
    works.join();
    CHECK(begun == 2);
    CHECK(told == 1);
    CHECK(moving.served["complete"] == 2);
}

TEST_CASE("a worker gives back tasks of types that it has no handler for") {
    struct Odd final : port::HttpHandler {
        void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
            if (request.target == "/v1/leases" && asked++ > 0)
                return waiting.push_back(std::move(respond));
            targets.push_back(request.target);
            respond(
                {200, {}, R"({"tasks":[)" + std::string{Fixture::raw} + R"(],"lease_ms":900})"});
        }
        int asked = 0;
        std::vector<std::string> targets;
        std::vector<port::HttpResponder> waiting;
    } odd;
    io::Loop loop;
    test::MemoryLog log;
    io::HttpServer server{loop, {}, odd, log};
    REQUIRE(server.listen());
    Worker worker{{.url = "http://127.0.0.1:" + std::to_string(server.port())}};
    worker.on("a", done);
    std::jthread works{[&] { CHECK(worker.run().has_value()); }};
    CHECK(loop.run_until([&] { return odd.targets.size() == 2 && !odd.waiting.empty(); }, 10s));
    worker.stop();
    works.join();
    CHECK(odd.targets ==
          std::vector<std::string>{"/v1/leases",
                                   "/v1/leases/018bcfe5-687b-7000-8000-0000000000ab.3/release"});
}

TEST_CASE("a client refuses what it could not say, and gives up when it should") {
    int told = 0;
    Client client{{.url = "http://127.0.0.1:1",
                   .retry_for = 100ms,
                   .trying_again = [&](const Error&) { ++told; }}};
    CHECK(fault(client.submit({.type = "a", .payload = "{"})) == "bad_json");
    CHECK(fault(client.submit({.type = "a", .payload = "1,2"})) == "bad_json");
    CHECK(fault(client.submit({.type = "a", .id = "7"})) == "invalid_id");
    CHECK(fault(client.run({.type = "a", .priority = 10}, 1s)) == "invalid_field");
    CHECK(fault(client.submit_many(std::vector<NewTask>{{.type = "a"}, {.payload = ""}})) ==
          "bad_json");
    CHECK(client.submit_many({}).value().empty());
    CHECK(client.results({}, 1s).value().empty());
    CHECK(told == 0);
    CHECK(fault(client.submit({.type = "a"})) == "unreachable");
    CHECK(told == 1);
    Client lost{{.url = "nowhere"}};
    CHECK(fault(lost.get("7")) == "bad_address");
}

TEST_CASE("texts are JSON and back") {
    const std::string text = "a \"b\"\\\n\t\x01 \xc3\xa9";
    CHECK(text_of(json_of(text)).value() == text);
    CHECK(text_of(" \"a\"\n").value() == "a");
    CHECK(fault(text_of("7")) == "invalid_field");
    CHECK(fault(text_of("\"a")) == "bad_json");
}

TEST_CASE("a result is handed over until it is taken") {
    Fixture fixture;
    CHECK(fixture.lease.shared()->payload == "[1, 2]");
    CHECK(fixture.lease.shared()->attempt == 3);
    const auto& sent = fixture.finish("7");
    CHECK(sent.target == "/v1/leases/" + fixture.text + "/complete");
    CHECK(sent.body == R"({"result":7,"took_us":5})");
    Host& host = fixture.host;
    const std::string page = "<html>Something went wrong</html>";
    for (const auto& [status, body] : {std::pair{503, std::string{"{}"}},
                                       {429, "{}"},
                                       {507, "{}"},
                                       {404, page},
                                       {409, page},
                                       {401, page},
                                       {403, "{}"},
                                       {302, page},
                                       {200, page},
                                       {404, R"({"error":"not_found"})"},
                                       {404, R"({"error":"of_somebody_else"})"}}) {
        INFO(status << " " << body);
        const std::size_t before = host.sent.size();
        host.answer(status, body);
        REQUIRE(host.turn([&] { return host.sent.size() > before; }));
        CHECK(host.sent.back().body == R"({"result":7,"took_us":5})");
    }
    CHECK(host.ended_leases.empty());
    CHECK(host.refusals.empty());
    host.answer(200);
    CHECK(host.ended_leases == std::vector{fixture.text});
}

TEST_CASE("a lease that is somebody else's is let go") {
    for (const auto& [status, body] : {std::pair{404, R"({"error":"task_not_found"})"},
                                       {409, R"({"error":"stale_lease"})"},
                                       {409, R"({"error":"task_finished"})"}}) {
        Fixture fixture;
        fixture.finish("7");
        fixture.host.answer(status, body);
        CHECK(fixture.host.ended_leases.size() == 1);
        CHECK(fixture.host.refusals.empty());
    }
    Fixture fixture;
    fixture.finish("7");
    fixture.host.answer(403, R"({"error":"wrong_key"})");
    CHECK(fixture.host.ended_leases.size() == 1);
    CHECK(fixture.host.refusals == std::vector<std::string>{"wrong_key"});
}

TEST_CASE("a result that cannot be one is a failure for good") {
    const auto body_of = [](TaskResult result) {
        Fixture fixture;
        const auto& sent = fixture.finish(std::move(result));
        CHECK(sent.target.ends_with("/fail"));
        return sent.body;
    };
    CHECK_THAT(body_of("{"), Catch::Matchers::StartsWith(R"({"error":{"code":"bad_json",)"));
    CHECK_THAT(body_of(""), Catch::Matchers::Contains(R"("permanent":true)"));
    CHECK_THAT(body_of(json_of(std::string(limits::result_bytes_max, 'x'))),
               Catch::Matchers::StartsWith(R"({"error":{"code":"task_too_large",)"));
    CHECK(body_of(std::unexpected{Failure{"c", "m", false, 1500ms}}) ==
          R"({"error":{"code":"c","message":"m","permanent":false},"took_us":5,)"
          R"("retry_after_ms":1500})");
    CHECK_THAT(body_of(std::unexpected{Failure{}}),
               Catch::Matchers::Contains(R"("code":"worker_failed")"));
    CHECK_THAT(body_of(std::unexpected{Failure{"\xff", "\xff"}}),
               Catch::Matchers::Contains(R"("message":"not UTF-8")"));
}

TEST_CASE("what the dispatcher does not take as a result becomes a failure, once") {
    Fixture fixture;
    fixture.finish("7");
    fixture.host.answer(413, R"({"error":"body_too_large"})");
    CHECK(fixture.host.sent.back().target.ends_with("/fail"));
    CHECK_THAT(fixture.host.sent.back().body, Catch::Matchers::Contains("body_too_large"));
    fixture.host.answer(422, R"({"error":"invalid_field"})");
    CHECK(fixture.host.ended_leases.size() == 1);
}

TEST_CASE("a result that is too large for a proxy becomes a failure") {
    Fixture fixture;
    fixture.finish("7");
    fixture.host.answer(413, "<html>413 Request Entity Too Large</html>");
    CHECK(fixture.host.sent.back().target.ends_with("/fail"));
    CHECK_THAT(fixture.host.sent.back().body, Catch::Matchers::Contains("body_too_large"));
}

TEST_CASE("a handler hears that its work is not wanted any more") {
    for (const auto& [status, body, wanted] : {std::tuple{200, R"({"cancelled":false})", true},
                                               {200, R"({"cancelled":true})", false},
                                               {409, R"({"error":"stale_lease"})", false},
                                               {404, R"({"error":"task_not_found"})", false},
                                               {409, "<html>", true},
                                               {404, "{}", true},
                                               {503, "{}", true}}) {
        Fixture fixture;
        fixture.lease.renew();
        CHECK(fixture.host.sent.back().target.ends_with("/renew"));
        fixture.host.answer(status, body);
        CHECK(LeasedTask{fixture.lease.shared()}.wanted() == wanted);
    }
}

TEST_CASE("of what is said while one report is on its way the newest is said next") {
    Fixture fixture;
    Host& host = fixture.host;
    LeasedTask task{fixture.lease.shared()};
    task.progress(1, "one");
    REQUIRE(host.turn([&] { return host.sent.size() == 1; }));
    CHECK(host.sent[0].body == R"({"percent":1,"note":"one"})");
    task.progress(2);
    task.progress(300, std::string(999, 'n') + "\xc3\xa9");
    bool passed = false;
    host.loop_.post_from_any_thread([&] { passed = true; });
    REQUIRE(host.turn([&] { return passed; }));
    CHECK(host.sent.size() == 1);
    host.answer(200);
    REQUIRE(host.sent.size() == 2);
    CHECK(host.sent[1].body == R"({"percent":100,"note":")" + std::string(999, 'n') + "\"}");
}

TEST_CASE("what a handler throws is a failure") {
    const auto shared = std::make_shared<LeasedTask::Shared>();
    const auto code = [&](const Handler& handler) {
        return client::run_handler(handler, shared).result.error();
    };
    const auto thrown = code([](LeasedTask&) -> TaskResult { throw std::runtime_error{"why"}; });
    CHECK(thrown.code == "exception");
    CHECK(thrown.message == "why");
    CHECK_FALSE(thrown.permanent);
    CHECK(code([](LeasedTask&) -> TaskResult { throw 7; }).code == "exception");
}
