// The HTTP server over real connections on loopback.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <functional>

#include "catch.hpp"
#include "http_samples.hpp"
#include "raw_client.hpp"
#include "server_fixture.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

// "/hold" waits to be answered by the test, "/drop" never is, "/empty" gets 204, "/big" 4 MiB; all
// else is told its method, target and body.
struct Handler final : port::HttpHandler {
    void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
        seen.push_back(request.method + ' ' + request.target);
        if (request.target == "/hold") {
            gone.push_back(request.client_gone);
            return held.push_back(std::move(respond));
        }
        if (request.target == "/drop") return;
        if (request.target == "/empty") return respond({.status = 204, .headers = {}, .body = {}});
        if (request.target == "/big")
            return respond({.headers = {}, .body = std::string(4 * limits::mebibyte, 'b')});
        if (request.target == "/nasty")
            return respond({.headers = {{"X", "a\r\nSet-Cookie: b"}}, .body = {}});
        respond({.headers = {{"Content-Type", "text/plain"}},
                 .body = request.method + ' ' + request.target + ' ' + request.body});
    }
    bool refuses(const port::HttpRequest& head) const override { return head.target == "/no"; }
    std::vector<std::string> seen;
    std::vector<port::HttpResponder> held;
    std::vector<std::shared_ptr<const bool>> gone;  // beside held
};

using Fixture = ServerFixture<Handler>;

std::string post(std::string_view target, std::string_view body) {
    return "POST " + std::string{target} +
           " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           std::string{body};
}
bool has(const std::string& text, std::string_view part) {
    return text.find(part) != text.npos;
}

}  // namespace

TEST_CASE("malformed requests are answered at once, closed, and nothing behind them is served",
          "[http]") {
    Fixture fixture;
    for (const auto& [what, bytes, status] : malformed_requests()) {
        INFO(what);
        RawClient client{fixture.loop, fixture.server.port()};
        client.send(std::string{bytes});
        client.send(get("/smuggled"));
        REQUIRE(client.wait_for_end());
        const auto responses = client.responses();
        REQUIRE(responses.size() == 1);
        CHECK(responses[0].status == status);
        CHECK(has(responses[0].head, "Connection: close\r\n"));
        CHECK(has(responses[0].head, "Content-Type: application/problem+json\r\n"));
        CHECK(has(responses[0].body, "\"type\":\"https://taskd.dev/errors/"));
        CHECK(has(responses[0].body, "\"status\":" + std::to_string(status)));
        if (status == 400) CHECK(has(responses[0].body, "\"error\":\"bad_request\",\"detail\":"));
        CHECK(fixture.handler.seen.empty());
    }
}

TEST_CASE("malformed requests that stop there are answered without waiting for more", "[http]") {
    Fixture fixture;
    for (const auto& [what, bytes, status] : malformed_requests()) {
        INFO(what);
        RawClient client{fixture.loop, fixture.server.port()};
        client.send(std::string{bytes});
        REQUIRE(client.wait_for_responses(1));
        CHECK(client.responses()[0].status == status);
    }
}

TEST_CASE("requests delivered byte by byte are answered as in one", "[http]") {
    Fixture fixture;
    for (const auto& request : valid_requests()) {
        INFO(request.bytes);
        std::string whole;
        for (const std::size_t piece : {request.bytes.size(), std::size_t{1}}) {
            RawClient client{fixture.loop, fixture.server.port()};
            for (std::size_t at = 0; at < request.bytes.size(); at += piece) {
                REQUIRE(client.send(request.bytes.substr(at, piece)));
                fixture.loop.run_until([] { return true; }, 0ms);
            }
            client.finish_sending();
            REQUIRE(client.wait_for_end());
            auto responses = client.responses(request.method == "HEAD");
            REQUIRE(!responses.empty());
            std::erase_if(responses, [](const auto& each) { return each.status == 100; });
            REQUIRE(responses.size() == 1);
            CHECK(responses[0].status == 200);
            if (request.method != "HEAD")
                CHECK(responses[0].body == std::string{request.method} + ' ' +
                                               std::string{request.target} + ' ' +
                                               std::string{request.body});
            if (piece > 1) whole = responses[0].body;
            CHECK(responses[0].body == whole);
        }
    }
}

TEST_CASE("a connection serves one request after the other", "[http]") {
    Fixture fixture;
    RawClient client{fixture.loop, fixture.server.port()};
    for (std::size_t i = 1; i <= 10; ++i) {
        client.send(post("/x", std::to_string(i)));
        REQUIRE(client.wait_for_responses(i));
        CHECK(client.responses().back().body == "POST /x " + std::to_string(i));
        CHECK_FALSE(has(client.responses().back().head, "Connection:"));
    }
    CHECK(fixture.server.stats().connections == 1);
    CHECK(fixture.server.stats().requests == 10);
}

TEST_CASE("HTTP/1.0 closes unless asked to keep alive", "[http]") {
    Fixture fixture;
    RawClient plain{fixture.loop, fixture.server.port()};
    plain.send("GET / HTTP/1.0\r\n\r\n");
    REQUIRE(plain.wait_for_end());
    CHECK(plain.responses().at(0).status == 200);
    RawClient kept{fixture.loop, fixture.server.port()};
    kept.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    REQUIRE(kept.wait_for_responses(1));
    CHECK(has(kept.responses()[0].head, "Connection: keep-alive\r\n"));
    kept.send("GET / HTTP/1.0\r\n\r\n");
    REQUIRE(kept.wait_for_end());
    CHECK(kept.responses().size() == 2);
}

TEST_CASE("HEAD and 204 have no body", "[http]") {
    Fixture fixture;
    RawClient client{fixture.loop, fixture.server.port()};
    client.send("HEAD /xyz HTTP/1.1\r\nHost: a\r\n\r\n" + get("/empty") +
                get("/", "Connection: close\r\n"));
    REQUIRE(client.wait_for_end());
    const std::string& all = client.received();
    CHECK(has(all, "Content-Length: 10\r\n\r\nHTTP/1.1 204 No Content\r\n"));
    const auto second = all.find("HTTP/1.1 204");
    const auto third = all.find("HTTP/1.1 200", second);
    CHECK_FALSE(has(all.substr(second, third - second), "Content-Length"));
    CHECK(all.ends_with("GET / "));
}

TEST_CASE("pipelined requests are answered in order, whichever is done first", "[http]") {
    Fixture fixture;
    RawClient client{fixture.loop, fixture.server.port()};
    client.send(get("/hold") + get("/a") + get("/hold") + get("/b"));
    REQUIRE(fixture.wait_for_held(2));
    fixture.handler.held[1]({.headers = {}, .body = "second"});
    fixture.turn([] { return true; });
    client.pump();
    CHECK(client.received().empty());
    fixture.handler.held[0]({.headers = {}, .body = "first"});
    REQUIRE(client.wait_for_responses(4));
    const auto responses = client.responses();
    CHECK(responses[0].body == "first");
    CHECK(responses[1].body == "GET /a ");
    CHECK(responses[2].body == "second");
    CHECK(responses[3].body == "GET /b ");
}

TEST_CASE("no more requests are read than may wait, and none is lost", "[http]") {
    Fixture fixture{{.pipelined_max = 4}};
    RawClient client{fixture.loop, fixture.server.port()};
    std::string all;
    for (int i = 0; i < 100; ++i)
        all += get("/hold");
    client.send(all + get("/end"));
    std::size_t answered = 0;
    while (answered < 100) {
        REQUIRE(fixture.turn([&] { return fixture.handler.held.size() > answered; }));
        CHECK(fixture.handler.held.size() <= answered + 4);
        fixture.handler.held[answered]({.headers = {}, .body = std::to_string(answered)});
        ++answered;
    }
    REQUIRE(client.wait_for_responses(101));
    for (std::size_t i = 0; i < 100; ++i)
        CHECK(client.responses()[i].body == std::to_string(i));
}

TEST_CASE("thousands of pipelined requests through any reads and writes", "[http]") {
    Fixture fixture;
    RawClient client{fixture.loop, fixture.server.port()};
    std::string all;
    for (int i = 0; i < 5'000; ++i)
        all += post("/p", std::string(static_cast<std::size_t>(i % 700), 'x'));
    REQUIRE(client.send(all));
    client.finish_sending();
    REQUIRE(client.wait_for_end());
    const auto responses = client.responses();
    REQUIRE(responses.size() == 5'000);
    for (std::size_t i = 0; i < 5'000; ++i)
        REQUIRE(responses[i].body.size() == 8 + i % 700);
}

TEST_CASE("a client that expects 100 Continue gets it, after earlier answers", "[http]") {
    Fixture fixture;
    RawClient client{fixture.loop, fixture.server.port()};
    client.send(get("/hold") +
                "PUT /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    REQUIRE(fixture.wait_for_held(1));
    client.pump();
    CHECK(client.received().empty());
    fixture.handler.held[0]({.headers = {}, .body = "first"});
    REQUIRE(client.wait_for_responses(2));
    CHECK(client.responses()[1].status == 100);
    client.send("hello");
    REQUIRE(client.wait_for_responses(3));
    CHECK(client.responses()[2].body == "PUT /x hello");
}

TEST_CASE("a body beyond the limit is refused before it is sent", "[http]") {
    Fixture fixture{{.parser = {.body_bytes_max = 1000}}};
    RawClient client{fixture.loop, fixture.server.port()};
    client.send(
        "PUT /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n");
    REQUIRE(client.wait_for_responses(1));
    CHECK(client.responses()[0].status == 413);
    CHECK(has(client.responses()[0].body, "body_too_large"));
    // One that is sent all the same: the answer arrives nevertheless.
    RawClient eager{fixture.loop, fixture.server.port()};
    eager.send(post("/x", std::string(200'000, 'x')));
    REQUIRE(eager.wait_for_responses(1));
    CHECK(eager.responses()[0].status == 413);
    CHECK(fixture.handler.seen.empty());
}

TEST_CASE("heads beyond the limits get 431 and 414", "[http]") {
    Fixture fixture;
    RawClient header{fixture.loop, fixture.server.port()};
    header.send(get("/", "X: " + std::string(20'000, 'x') + "\r\n"));
    REQUIRE(header.wait_for_end());
    CHECK(header.responses().at(0).status == 431);
    RawClient target{fixture.loop, fixture.server.port()};
    target.send(get("/" + std::string(9'000, 'x')));
    REQUIRE(target.wait_for_end());
    CHECK(target.responses().at(0).status == 414);
}

TEST_CASE("16 MiB go in and come out whole", "[http]") {
    Fixture fixture;
    RawClient client{fixture.loop, fixture.server.port()};
    std::string body(limits::body_bytes_max, '\0');
    for (std::size_t i = 0; i < body.size(); ++i)
        body[i] = static_cast<char>(i * 31 >> 3);
    REQUIRE(client.send(post("/x", body)));
    REQUIRE(client.wait_for_bytes(body.size() + 8));
    REQUIRE(client.wait_for_responses(1));
    CHECK((client.responses()[0].body == "POST /x " + body));
}

TEST_CASE("slow heads and slow bodies get 408", "[http]") {
    Fixture fixture{{.header_timeout = 50ms, .body_timeout = 50ms}};
    RawClient head{fixture.loop, fixture.server.port()};
    RawClient body{fixture.loop, fixture.server.port()};
    RawClient second{fixture.loop, fixture.server.port()};
    head.send("GET / HT");
    body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
    second.send(get("/a") + "GET / H");
    REQUIRE(head.wait_for_end());
    REQUIRE(body.wait_for_end());
    REQUIRE(second.wait_for_end());
    CHECK(head.responses().at(0).status == 408);
    CHECK(has(head.responses()[0].body, "request_timeout"));
    CHECK(body.responses().at(0).status == 408);
    CHECK(second.responses().at(0).status == 200);
    CHECK(second.responses().at(1).status == 408);
}

TEST_CASE("a head that drips does not win time", "[http]") {
    Fixture fixture{{.header_timeout = 100ms}};
    RawClient client{fixture.loop, fixture.server.port()};
    client.send("GET / HTTP/1.1\r\n");
    while (!client.at_end()) {
        if (!client.send("X: y\r\n")) break;
        fixture.loop.run_until([&] { return false; }, 5ms);
        client.pump();
    }
    CHECK(client.responses().at(0).status == 408);
}

TEST_CASE("idle connections are closed without a word, waiting ones are not", "[http]") {
    Fixture fixture{{.header_timeout = 50ms, .idle_timeout = 50ms}};
    RawClient waiting{fixture.loop, fixture.server.port()};
    waiting.send(get("/hold"));
    RawClient fresh{fixture.loop, fixture.server.port()};
    RawClient used{fixture.loop, fixture.server.port()};
    used.send(get("/a"));
    REQUIRE(fresh.wait_for_end());
    REQUIRE(used.wait_for_end());
    CHECK(fresh.received().empty());
    CHECK(used.responses().size() == 1);
    waiting.pump();
    CHECK_FALSE(waiting.at_end());
    fixture.handler.held.at(0)({.headers = {}, .body = "late"});
    REQUIRE(waiting.wait_for_responses(1));
    CHECK(waiting.responses()[0].body == "late");
}

TEST_CASE("a client that does not read its answer is dropped", "[http]") {
    Fixture fixture{{.write_timeout = 50ms}};
    RawClient client{fixture.loop, fixture.server.port()};
    for (int i = 0; i < 8; ++i)
        client.send(get("/big"));
    REQUIRE(fixture.turn([&] { return fixture.server.stats().requests > 0; }));
    REQUIRE(fixture.turn([&] { return fixture.server.stats().connections == 0; }));
    CHECK(fixture.server.stats().requests < 8);  // and is not served on while it does not read
}

TEST_CASE("connections beyond the limit get 503", "[http]") {
    Fixture fixture{{.connections_max = 2}};
    RawClient one{fixture.loop, fixture.server.port()};
    RawClient two{fixture.loop, fixture.server.port()};
    one.send(get("/"));
    REQUIRE(one.wait_for_responses(1));
    RawClient three{fixture.loop, fixture.server.port()};
    REQUIRE(three.wait_for_end());
    CHECK(three.responses().at(0).status == 503);
    CHECK(has(three.responses()[0].body, "too_many_connections"));
    two.send(get("/"));
    REQUIRE(two.wait_for_responses(1));
}

TEST_CASE("a head that is refused is answered before its body is read", "[http]") {
    Fixture fixture;
    for (const std::string_view more : {"", "Expect: 100-continue\r\n"}) {
        RawClient client{fixture.loop, fixture.server.port()};
        client.send("POST /no HTTP/1.1\r\nHost: a\r\n" + std::string{more} +
                    "Content-Length: 1000000\r\n\r\nthe beginning");
        REQUIRE(client.wait_for_end());
        REQUIRE(client.responses().size() == 1);
        CHECK(client.responses()[0].body == "POST /no ");
        CHECK(has(client.responses()[0].head, "Connection: close\r\n"));
    }
    // Any other's body is awaited.
    RawClient client{fixture.loop, fixture.server.port()};
    client.send("POST /yes HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nwh");
    fixture.loop.run_until([] { return false; }, 20ms);
    client.send("ol" + get("/no"));
    REQUIRE(client.wait_for_responses(2));
    CHECK(client.responses()[0].body == "POST /yes whol");
    CHECK(client.responses()[1].body == "GET /no ");
}

TEST_CASE("bodies of all connections together are bounded", "[http]") {
    Fixture fixture{{.bodies_bytes_max = 115'000}};
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 5; ++i) {
        auto& client =
            *clients.emplace_back(std::make_unique<RawClient>(fixture.loop, fixture.server.port()));
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n");
        client.send(std::string(30'000, 'x'));
    }
    const auto refused = [&] {
        std::size_t count = 0;
        for (const auto& client : clients) {
            client->pump();
            count += client->responses().size();
        }
        return count;
    };
    CHECK(fixture.loop.run_until([&] { return refused() >= 2; }, 10s));
    for (const auto& client : clients)
        for (const auto& response : client->responses()) {
            CHECK(response.status == 429);
            CHECK(has(response.body, "overloaded"));
        }
    // What is whole at once needs no room beside them.
    RawClient small{fixture.loop, fixture.server.port()};
    small.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 25000\r\n\r\n" +
               std::string(25'000, 'x'));
    REQUIRE(small.wait_for_responses(1));
    CHECK(small.responses()[0].status == 200);
    CHECK(refused() == 2);
    clients[0]->send(std::string(20'000, 'x'));
    REQUIRE(clients[0]->wait_for_responses(1));
    CHECK(clients[0]->responses()[0].status == 200);
}

TEST_CASE("a request nobody answers gets 500, and an answer after the client has gone is harmless",
          "[http]") {
    Fixture fixture;
    RawClient dropped{fixture.loop, fixture.server.port()};
    dropped.send(get("/drop"));
    REQUIRE(dropped.wait_for_responses(1));
    CHECK(dropped.responses()[0].status == 500);
    RawClient gone{fixture.loop, fixture.server.port()};
    gone.send(get("/hold"));
    REQUIRE(fixture.wait_for_held(1));
    gone.reset();
    REQUIRE(fixture.turn([&] { return fixture.server.stats().connections == 1; }));
    fixture.handler.held[0]({.headers = {}, .body = "late"});
    dropped.send(get("/a"));
    REQUIRE(dropped.wait_for_responses(2));
}

TEST_CASE("a client may close its side and still gets what it asked", "[http]") {
    Fixture fixture;
    RawClient client{fixture.loop, fixture.server.port()};
    client.send(get("/hold") + get("/a"));
    client.finish_sending();
    REQUIRE(fixture.wait_for_held(1));
    fixture.handler.held[0]({.headers = {}, .body = "late"});
    REQUIRE(client.wait_for_end());
    CHECK(client.responses().size() == 2);
}

TEST_CASE("a header value cannot end its line", "[http]") {
    Fixture fixture;
    RawClient client{fixture.loop, fixture.server.port()};
    client.send(get("/nasty"));
    REQUIRE(client.wait_for_responses(1));
    CHECK(has(client.responses()[0].head, "\r\nX: a  Set-Cookie: b\r\n"));
}

TEST_CASE("a client that leaves while it waits is noticed, also behind its last request",
          "[http]") {
    const std::string more = GENERATE(as<std::string>{}, "", "Connection: close\r\n");
    INFO(more);
    Fixture fixture;
    RawClient client{fixture.loop, fixture.server.port()};
    client.send(get("/hold", more));
    REQUIRE(fixture.wait_for_held(1));
    CHECK_FALSE(*fixture.handler.gone[0]);
    SECTION("without a goodbye") {
        CHECK_NOTHROW(client.reset());
    }
    SECTION("politely") {
        CHECK_NOTHROW(client.finish_sending());
    }
    SECTION("after more bytes than anybody asked for") {
        CHECK(client.send(std::string(20'000, '\n')));
        client.finish_sending();
    }
    CHECK(fixture.turn([&] { return *fixture.handler.gone[0]; }));
}

TEST_CASE("draining closes idle connections, answers what was asked, then says so", "[http]") {
    Fixture fixture;
    RawClient idle{fixture.loop, fixture.server.port()};
    RawClient busy{fixture.loop, fixture.server.port()};
    RawClient half{fixture.loop, fixture.server.port()};
    idle.send(get("/a"));
    busy.send(get("/hold"));
    half.send("GET /b HTTP/1.1\r\nHo");
    REQUIRE(idle.wait_for_responses(1));
    REQUIRE(fixture.wait_for_held(1));
    bool drained = false;
    fixture.server.drain([&] { drained = true; });
    REQUIRE(idle.wait_for_end());
    CHECK_FALSE(drained);
    half.send("st: a\r\n\r\n");
    REQUIRE(half.wait_for_end());
    CHECK(has(half.responses().at(0).head, "Connection: close\r\n"));
    fixture.handler.held[0]({.headers = {}, .body = "done"});
    REQUIRE(busy.wait_for_responses(1));
    CHECK(has(busy.responses()[0].head, "Connection: close\r\n"));
    REQUIRE(busy.wait_for_end());
    busy.finish_sending();
    half.finish_sending();
    REQUIRE(fixture.turn([&] { return drained; }));
    CHECK(fixture.server.stats().connections == 0);
}

TEST_CASE("draining an idle server is done at once", "[http]") {
    Fixture fixture;
    bool drained = false;
    fixture.server.drain([&] { drained = true; });
    REQUIRE(fixture.turn([&] { return drained; }));
}

TEST_CASE("a stopped server may be destroyed before its answers", "[http]") {
    io::Loop loop;
    MemoryLog log;
    Handler handler;
    auto server = std::make_unique<io::HttpServer>(loop, io::HttpServerSettings{}, handler, log);
    REQUIRE(server->listen());
    RawClient client{loop, server->port()};
    client.send(get("/hold"));
    REQUIRE(loop.run_until([&] { return handler.held.size() == 1; }, 20s));
    server.reset();
    handler.held[0]({.headers = {}, .body = "late"});
    REQUIRE(client.wait_for_end());
    CHECK(client.received().empty());
}

TEST_CASE("a port in use and an address that is none are named", "[http]") {
    Fixture fixture;
    io::HttpServer second{
        fixture.loop, {.port = fixture.server.port()}, fixture.handler, fixture.log};
    CHECK(second.listen().error().code == ErrorCode::port_in_use);
    io::HttpServer nowhere{fixture.loop, {.host = "nowhere"}, fixture.handler, fixture.log};
    CHECK(nowhere.listen().error().code == ErrorCode::bad_address);
}

TEST_CASE("the server listens on IPv6 as well", "[http]") {
    Fixture fixture{{.host = "::1"}};
    RawClient client{fixture.loop, fixture.server.port(), "::1"};
    client.send(get("/"));
    REQUIRE(client.wait_for_responses(1));
    CHECK(client.responses()[0].status == 200);
}

TEST_CASE("out of file descriptors the server says so, waits, and goes on", "[http]") {
    Fixture fixture;
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    const rlimit few{256, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
    std::vector<int> held;
    for (int each; (each = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;)
        held.push_back(each);
    REQUIRE(!held.empty());
    close(held.back());
    held.pop_back();
    RawClient client{fixture.loop, fixture.server.port()};  // takes the last one
    client.send(get("/"));
    CHECK(fixture.turn([&] { return !fixture.log.entries.empty(); }));
    for (const int each : held)
        close(each);
    setrlimit(RLIMIT_NOFILE, &before);
    CHECK(fixture.log.entries.at(0).message == "cannot accept a connection");
    REQUIRE(client.wait_for_responses(1));
    CHECK(client.responses()[0].status == 200);
}
