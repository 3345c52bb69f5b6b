// What every HttpExchange and the server behind it promise: the real pair on loopback and the twin.
#include <optional>
#include <set>

#include "catch.hpp"
#include "contract_worlds.hpp"
#include "memory_log.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/http_server.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

struct Handler final : port::HttpHandler {
    void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
        ++asked;
        if (request.target == "/hold") return held.push_back(std::move(respond));
        if (request.target == "/drop") return;
        if (request.target == "/teapot")
            return respond({.status = 418, .headers = {}, .body = "short and stout"});
        if (request.target == "/moved")
            return respond({.status = 307, .headers = {{"Location", moved_to}}, .body = {}});
        if (request.target == "/none") return respond({.status = 204, .headers = {}, .body = {}});
        const std::string echoed{port::find_header(request.headers, "x-ECHO")};
        respond({.status = 200,
                 .headers = {{"X-Echo", echoed}},
                 .body = request.method + ' ' + request.target + ' ' + request.body});
    }
    int asked = 0;
    std::string moved_to;
    std::vector<port::HttpResponder> held;
};

struct RealHttp : RealWorld {
    MemoryLog log;
    Handler handler, elsewhere;
    io::HttpServer server{loop, {}, handler, log};
    io::HttpServer second{loop, {}, elsewhere, log};
    io::HttpExchange client{loop};
    std::string url;

    RealHttp() {
        REQUIRE(server.listen());
        REQUIRE(second.listen());
        url = "http://127.0.0.1:" + std::to_string(server.port());
        handler.moved_to = "http://127.0.0.1:" + std::to_string(second.port()) + "/x";
    }
    port::HttpExchange& http() { return client; }
    // A port nobody listens on: one that has just been given back.
    std::string nobody() {
        io::HttpServer gone{loop, {}, handler, log};
        REQUIRE(gone.listen());
        return "http://127.0.0.1:" + std::to_string(gone.port());
    }
    void end_server() { server.stop(); }
};

struct TwinHttp : TwinWorld {
    Handler handler, elsewhere;
    SimHost& other = world.host("b");
    std::string url = "http://b:80";

    TwinHttp() {
        REQUIRE(other.serve(80, handler));
        REQUIRE(world.host("c").serve(80, elsewhere));
        handler.moved_to = "http://c:80/x";
    }
    port::HttpExchange& http() { return host.http(); }
    std::string nobody() { return "http://b:81"; }
    void end_server() { world.crash(other); }
};

port::HttpRequest request(std::string method, std::string target, std::string body = {}) {
    return {.method = std::move(method),
            .target = std::move(target),
            .headers = {},
            .body = std::move(body)};
}

template <class World>
Result<port::HttpResponse> ask(World& world, const std::string& url, port::HttpRequest what,
                               Duration timeout = 10s) {
    std::optional<Result<port::HttpResponse>> answer;
    world.http().send(url, std::move(what), timeout,
                      [&](Result<port::HttpResponse> result) { answer = std::move(result); });
    CHECK_FALSE(answer.has_value());  // never within the call
    REQUIRE(world.run_until([&] { return answer.has_value(); }));
    return *answer;
}

}  // namespace

TEMPLATE_TEST_CASE("method, target, headers and body go over, status, headers and body come back",
                   "[http]", RealHttp, TwinHttp) {
    TestType world;
    for (const char* method : {"POST", "PUT", "DELETE", "GET", "PATCH"}) {
        port::HttpRequest sent = request(method, "/v1/x?a=b%20c", "{\"a\":1}");
        sent.headers = {{"X-Echo", "hello"}, {"Content-Type", "application/json"}};
        const auto answer = ask(world, world.url, sent);
        REQUIRE(answer);
        CHECK(answer->status == 200);
        CHECK(answer->body == std::string{method} + " /v1/x?a=b%20c {\"a\":1}");
        CHECK(port::find_header(answer->headers, "x-echo") == "hello");
    }
}

TEMPLATE_TEST_CASE("any status is an answer", "[http]", RealHttp, TwinHttp) {
    TestType world;
    const auto teapot = ask(world, world.url, request("GET", "/teapot"));
    REQUIRE(teapot);
    CHECK(teapot->status == 418);
    CHECK(teapot->body == "short and stout");
    const auto none = ask(world, world.url, request("GET", "/none"));
    REQUIRE(none);
    CHECK(none->status == 204);
    CHECK(none->body.empty());
    const auto dropped = ask(world, world.url, request("GET", "/drop"));
    REQUIRE(dropped);
    CHECK(dropped->status == 500);
    const auto head = ask(world, world.url, request("HEAD", "/x"));
    REQUIRE(head);
    CHECK(head->status == 200);
    CHECK(head->body.empty());
}

TEMPLATE_TEST_CASE("a redirect is an answer and nobody else is asked", "[http]", RealHttp,
                   TwinHttp) {
    TestType world;
    for (const char* method : {"GET", "POST"}) {
        const auto answer = ask(world, world.url, request(method, "/moved", "{}"));
        REQUIRE(answer);
        CHECK(answer->status == 307);
        CHECK(port::find_header(answer->headers, "location") == world.handler.moved_to);
    }
    CHECK(world.handler.asked == 2);
    CHECK(world.elsewhere.asked == 0);
}

TEMPLATE_TEST_CASE("large bodies go both ways", "[http]", RealHttp, TwinHttp) {
    TestType world;
    const std::string body(5 * limits::mebibyte, 'z');
    const auto answer = ask(world, world.url, request("POST", "/x", body));
    REQUIRE(answer);
    CHECK((answer->body == "POST /x " + body));
}

TEMPLATE_TEST_CASE("nobody there is unreachable", "[http]", RealHttp, TwinHttp) {
    TestType world;
    const auto answer = ask(world, world.nobody(), request("GET", "/"));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == ErrorCode::unreachable);
}

TEMPLATE_TEST_CASE("an address that is none is bad_address", "[http]", RealHttp, TwinHttp) {
    TestType world;
    for (const char* url : {"", "a:80", "ftp://a", "http://", "http://a:x", "http://:80"}) {
        INFO(url);
        const auto answer = ask(world, url, request("GET", "/"));
        REQUIRE_FALSE(answer);
        CHECK(answer.error().code == ErrorCode::bad_address);
    }
}

TEMPLATE_TEST_CASE("no answer in time is timed_out, and a late one changes nothing", "[http]",
                   RealHttp, TwinHttp) {
    TestType world;
    const auto start = world.clock().steady();
    const auto answer = ask(world, world.url, request("GET", "/hold"), 50ms);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == ErrorCode::timed_out);
    CHECK(world.clock().steady() >= start + 50ms);
    REQUIRE(world.handler.held.size() == 1);
    world.handler.held[0]({.headers = {}, .body = "late"});
    const auto next = ask(world, world.url, request("GET", "/x"));
    REQUIRE(next);
    CHECK(next->body == "GET /x ");
}

TEMPLATE_TEST_CASE("a server that ends over a request leaves an error, not silence", "[http]",
                   RealHttp, TwinHttp) {
    TestType world;
    std::optional<Result<port::HttpResponse>> answer;
    world.http().send(world.url, request("POST", "/hold"), 5s,
                      [&](Result<port::HttpResponse> result) { answer = std::move(result); });
    REQUIRE(world.run_until([&] { return world.handler.held.size() == 1; }));
    world.end_server();
    REQUIRE(world.run_until([&] { return answer.has_value(); }));
    REQUIRE_FALSE(*answer);
    const ErrorCode code = answer->error().code;
    CHECK((code == ErrorCode::unreachable || code == ErrorCode::timed_out));
}

TEMPLATE_TEST_CASE("many exchanges at once are each answered once", "[http]", RealHttp, TwinHttp) {
    TestType world;
    std::multiset<std::string> answers;
    for (int i = 0; i < 200; ++i)
        world.http().send(world.url, request("POST", "/x", std::to_string(i)), 10s,
                          [&](Result<port::HttpResponse> result) {
                              REQUIRE(result);
                              answers.insert(result->body);
                          });
    REQUIRE(world.run_until([&] { return answers.size() == 200; }));
    CHECK(std::set<std::string>(answers.begin(), answers.end()).size() == 200);
    CHECK(world.handler.asked == 200);
}
