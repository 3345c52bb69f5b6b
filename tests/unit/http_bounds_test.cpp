// What the HTTP server keeps for others: descriptors, memory, and the places of clients that left.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "catch.hpp"
#include "raw_client.hpp"
#include "server_fixture.hpp"
#include "slow_reader.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

// "/hold" waits to be answered by the test, "/big" gets 4 MiB, "/huge" 64, all else a word.
struct Handler final : port::HttpHandler {
    void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
        ++seen;
        if (request.target == "/hold") {
            gone.push_back(request.client_gone);
            return held.push_back(std::move(respond));
        }
        std::size_t bytes = 4;
        if (request.target == "/big") bytes = 4 * limits::mebibyte;
        if (request.target == "/huge") bytes = 64 * limits::mebibyte;
        respond({.headers = {}, .body = std::string(bytes, 'b')});
    }
    std::size_t seen = 0;
    std::vector<port::HttpResponder> held;
    std::vector<std::shared_ptr<const bool>> gone;  // beside held
};

using Fixture = ServerFixture<Handler>;

}  // namespace

TEST_CASE("a connection whose descriptor others may need is refused", "[http]") {
    Fixture fixture;
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    const rlimit few{256, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
    std::vector<int> held;
    for (int each = 0; each < 130; held.push_back(each))
        each = open("/dev/null", O_RDONLY | O_CLOEXEC);
    RawClient client{fixture.loop, fixture.server.port()};
    CHECK(client.wait_for_responses(1));
    for (const int each : held)
        close(each);
    RawClient next{fixture.loop, fixture.server.port()};
    next.send(get("/"));
    CHECK(next.wait_for_responses(1));
    setrlimit(RLIMIT_NOFILE, &before);
    CHECK(client.responses().at(0).status == 503);
    CHECK(client.received().find("too_many_connections") != std::string::npos);
    CHECK(next.responses().at(0).status == 200);
}

TEST_CASE("the kernel looks whether a silent client is still there", "[http]") {
    Fixture fixture;
    RawClient client{fixture.loop, fixture.server.port()};
    client.send(get("/hold"));
    REQUIRE(fixture.wait_for_held(1));
    // Of the server's end: its port, "established", and a keep-alive timer in hundredths.
    char port[16];
    std::snprintf(port, sizeof port, ":%04X ", fixture.server.port());
    std::ifstream table{"/proc/net/tcp"};
    std::string found;
    for (std::string line; std::getline(table, line);)
        if (line.find(port) < 20 && line.find(" 01 ") != line.npos) found = line;
    REQUIRE_FALSE(found.empty());
    const std::size_t timer = found.find(" 02:");
    REQUIRE(timer != found.npos);
    CHECK(std::stoul(found.substr(timer + 4, 8), nullptr, 16) <= 1'600);
}

TEST_CASE("what connections hold together follows the memory there is", "[http]") {
    CHECK(io::http_bytes_of(64 * limits::mebibyte) == 32 * limits::mebibyte);
    CHECK(io::http_bytes_of(1024 * limits::mebibyte) == 128 * limits::mebibyte);
    CHECK(io::http_bytes_of(UINT64_MAX) == 512 * limits::mebibyte);
}

TEST_CASE("while too many answers wait for their readers new requests are overloaded", "[http]") {
    Fixture fixture{{.answers_bytes_max = 100 * limits::kibibyte}};
    RawClient slow{fixture.loop, fixture.server.port()};
    slow.send(get("/big"));  // and reads nothing of it
    REQUIRE(fixture.turn([&] { return fixture.handler.seen == 1; }));
    RawClient other{fixture.loop, fixture.server.port()};
    other.send(get("/"));
    other.send(get("/healthz"));
    REQUIRE(other.wait_for_responses(2));
    CHECK(other.responses()[0].status == 429);
    CHECK(other.responses()[1].status == 200);
    REQUIRE(slow.wait_for_responses(1));
    other.send(get("/"));
    REQUIRE(other.wait_for_responses(3));
    CHECK(other.responses()[2].status == 200);
}

TEST_CASE("what workers say of their leases is answered even while others are overloaded",
          "[http]") {
    Fixture fixture{{.answers_bytes_max = 100 * limits::kibibyte}};
    RawClient slow{fixture.loop, fixture.server.port()};
    slow.send(get("/big"));
    REQUIRE(fixture.turn([&] { return fixture.handler.seen == 1; }));
    RawClient worker{fixture.loop, fixture.server.port()};
    const auto post = [](const std::string& target) {
        return "POST " + target + " HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
    };
    worker.send(post("/v1/leases/a.1/renew"));
    worker.send(post("/v1/leases/a.1/logs?offset=0"));
    // Payloads are large, and are asked for again.
    worker.send(get("/v1/leases/a.1/payload"));
    for (const char* target : {"/v1/leases", "/v1/leasesx", "/healthz/x"})
        worker.send(post(target));
    REQUIRE(worker.wait_for_responses(6));
    const auto got = worker.responses();
    CHECK(got[0].status == 200);
    CHECK(got[1].status == 200);
    for (std::size_t i = 2; i < 6; ++i)
        CHECK(got[i].status == 429);
}

TEST_CASE("a result comes in although the bodies of others have no room", "[http]") {
    Fixture fixture{{.bodies_bytes_max = 100'000}};
    const auto head = [](const std::string& target) {
        return "POST " + target + " HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n";
    };
    RawClient loader{fixture.loop, fixture.server.port()};
    loader.send(head("/v1/tasks") + std::string(90'000, 'x'));
    fixture.loop.run_until([] { return false; }, 20ms);
    const bool is_result = GENERATE(true, false);
    CAPTURE(is_result);
    RawClient worker{fixture.loop, fixture.server.port()};
    const std::string target = is_result ? "/v1/leases/a.1/complete" : "/v1/leases";
    worker.send("POST " + target + " HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n");
    worker.send(std::string(30'000, 'x'));
    fixture.loop.run_until([] { return false; }, 20ms);
    worker.send(std::string(20'000, 'x'));
    REQUIRE(worker.wait_for_responses(1));
    CHECK(worker.responses()[0].status == (is_result ? 200 : 429));
}

TEST_CASE("who takes an answer below the least rate is closed, however steadily", "[http]") {
    // Whoever takes something now and then has the whole time anew without it.
    const bool slow = GENERATE(true, false);
    CAPTURE(slow);
    Fixture fixture{{.write_timeout = 500ms,
                     .write_rate_least = slow ? 1'024 * limits::mebibyte : limits::kibibyte}};
    SlowReader reader{fixture.server.port()};
    reader.ask("/huge");
    const auto timer = fixture.loop.make();
    const auto clock = io::make_system_clock();
    const SteadyTime end = clock->steady() + 2s;
    CHECK(fixture.turn([&] {
        timer->set(clock->steady() + 5ms, [] {});
        reader.take(32 * limits::kibibyte);
        return reader.at_end() || clock->steady() > end;
    }));
    CHECK(reader.at_end() == slow);
    CHECK(fixture.server.stats().connections == (slow ? 0 : 1));
}

TEST_CASE("who was answered much is answered one request at a time", "[http]") {
    Fixture fixture;
    RawClient client{fixture.loop, fixture.server.port()};
    client.send(get("/big"));
    REQUIRE(client.wait_for_responses(1));
    client.send(get("/hold") + get("/hold"));
    REQUIRE(fixture.wait_for_held(1));
    client.send(get("/hold"));
    fixture.turn([&, turns = 0]() mutable { return ++turns == 20; });
    CHECK(fixture.handler.held.size() == 1);
    CHECK_FALSE(*fixture.handler.gone[0]);
    fixture.handler.held[0]({.headers = {}, .body = "a"});
    REQUIRE(fixture.wait_for_held(2));
    fixture.handler.held[1]({.headers = {}, .body = "b"});
    REQUIRE(fixture.wait_for_held(3));
    fixture.handler.held[2]({.headers = {}, .body = "c"});
    REQUIRE(client.wait_for_responses(4));
}

TEST_CASE("that who was answered much has left is seen while it waits", "[http]") {
    Fixture fixture;
    auto client = std::make_unique<RawClient>(fixture.loop, fixture.server.port());
    client->send(get("/big"));
    REQUIRE(client->wait_for_responses(1));
    client->send(get("/hold"));
    REQUIRE(fixture.wait_for_held(1));
    client.reset();
    CHECK(fixture.turn([&] { return *fixture.handler.gone[0]; }));
}
