// Answers that go on: written bit by bit to real connections on loopback.
#include "catch.hpp"
#include "raw_client.hpp"
#include "server_fixture.hpp"
#include "slow_reader.hpp"
#include "taskd/io/http_exchange.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

// Each request opens a stream, which the test writes to.
struct Handler final : port::HttpHandler {
    void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
        targets.push_back(request.target);
        if (request.target == "/plain") return respond({.headers = {}, .body = "plain"});
        streams.push_back(std::make_shared<port::HttpStream>());
        respond({.headers = {{"Content-Type", "text/event-stream"}},
                 .body = {},
                 .stream = streams.back()});
    }
    std::vector<std::string> targets;
    std::vector<std::shared_ptr<port::HttpStream>> streams;
};

struct Fixture : ServerFixture<Handler> {
    using ServerFixture::ServerFixture;

    port::HttpStream& stream(std::size_t number = 0) {
        REQUIRE(turn([&] { return handler.streams.size() > number; }));
        return *handler.streams[number];
    }
};

bool has(const std::string& text, std::string_view part) {
    return text.find(part) != text.npos;
}

// What has come to it by now.
const std::string& received(RawClient& client) {
    client.pump();
    return client.received();
}

const std::string ask = "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n";

}  // namespace

TEST_CASE("a stream leaves bit by bit, in chunks, and what was asked behind it follows") {
    Fixture fixture;
    RawClient client{fixture.loop, fixture.server.port()};
    client.send(ask + "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n");
    port::HttpStream& stream = fixture.stream();
    CHECK(fixture.turn([&] { return has(received(client), "\r\n\r\n"); }));
    CHECK(has(received(client), "Transfer-Encoding: chunked"));
    CHECK_FALSE(has(received(client), "Content-Length"));
    stream.write("one");
    CHECK(fixture.turn([&] { return has(received(client), "3\r\none\r\n"); }));
    stream.write("tw");
    stream.write("o");
    CHECK(fixture.turn([&] { return has(received(client), "3\r\ntwo\r\n"); }));
    CHECK_FALSE(has(received(client), "plain"));
    stream.write("three");
    stream.end();
    stream.write("never");
    CHECK(fixture.turn([&] { return has(received(client), "plain"); }));
    CHECK(has(received(client), "5\r\nthree\r\n0\r\n\r\nHTTP/1.1 200"));
    CHECK_FALSE(has(received(client), "never"));
    CHECK(stream.gone());
}

TEST_CASE("a stream that has ended before it was answered is whole") {
    Fixture fixture;
    io::HttpExchange http{fixture.loop};
    std::optional<port::HttpResponse> got;
    http.send(port::base_url("127.0.0.1", fixture.server.port()), {"GET", "/stream", {}, {}}, 10s,
              [&](Result<port::HttpResponse> answer) {
                  REQUIRE(answer);
                  got = std::move(*answer);
              });
    port::HttpStream& stream = fixture.stream();
    stream.write(std::string(300'000, 'x'));
    stream.end();
    REQUIRE(fixture.turn([&] { return got.has_value(); }));
    CHECK(got->body == std::string(300'000, 'x'));
}

TEST_CASE("HEAD gets the head of a stream, and the stream is over") {
    Fixture fixture;
    RawClient client{fixture.loop, fixture.server.port()};
    client.send("HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n" + ask);
    CHECK(fixture.stream().gone());
    fixture.stream(1).write("body");
    CHECK(fixture.turn([&] { return has(received(client), "4\r\nbody\r\n"); }));
    CHECK(received(client).find("chunked") < received(client).find("HTTP/1.1 200", 10));
}

TEST_CASE("a client of HTTP/1.0 gets plain bytes and then the end of the connection") {
    Fixture fixture;
    RawClient client{fixture.loop, fixture.server.port()};
    client.send("GET /stream HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    port::HttpStream& stream = fixture.stream();
    stream.write("one");
    CHECK(fixture.turn([&] { return received(client).ends_with("\r\n\r\none"); }));
    CHECK_FALSE(has(received(client), "chunked"));
    stream.end();
    CHECK(fixture.turn([&] { return (client.pump(), client.at_end()); }));
    CHECK(received(client).ends_with("\r\n\r\none"));
}

TEST_CASE("who writes is told when the reader has taken all, and when it has gone") {
    Fixture fixture;
    int taken = 0;
    auto client = std::make_unique<RawClient>(fixture.loop, fixture.server.port());
    client->send(ask);
    port::HttpStream& stream = fixture.stream();
    stream.on_taken([&] { ++taken; });
    stream.write("one");
    CHECK(stream.waiting() == 3);
    CHECK(fixture.turn([&] { return taken == 1; }));
    CHECK(stream.waiting() == 0);
    client.reset();
    CHECK(fixture.turn([&] { return stream.gone(); }));
    CHECK(taken == 2);
    stream.write("nobody reads it");
    CHECK(stream.waiting() == 0);
    CHECK(fixture.server.stats().connections == 0);
}

TEST_CASE("what a slow reader does not take waits with the writer, and a deaf one is closed") {
    io::HttpServerSettings settings;
    settings.write_timeout = 200ms;
    Fixture fixture{settings};
    RawClient client{fixture.loop, fixture.server.port()};
    client.send(ask);
    port::HttpStream& stream = fixture.stream();
    const std::string piece(256 * 1024, 'x');
    std::size_t pieces = 0;
    CHECK(fixture.turn([&] {
        if (stream.waiting() == 0) {
            stream.write(piece);
            ++pieces;
        }
        return stream.gone();
    }));
    CHECK(pieces > 1);
    CHECK(pieces < 100);  // what the kernel holds, and no more
}

TEST_CASE("a stream may be taken as slowly as its reader likes, if it is taken at all") {
    io::HttpServerSettings settings;
    settings.write_timeout = 500ms;
    settings.write_rate_least = 1'024 * limits::mebibyte;
    Fixture fixture{settings};
    SlowReader reader{fixture.server.port()};
    reader.ask("/stream");
    port::HttpStream& stream = fixture.stream();
    const auto timer = fixture.loop.make();
    const auto clock = io::make_system_clock();
    const SteadyTime end = clock->steady() + 2s;
    const std::string piece(64 * 1024, 'x');
    CHECK(fixture.turn([&] {
        timer->set(clock->steady() + 5ms, [] {});
        if (stream.waiting() == 0) stream.write(piece);
        reader.take(32 * 1024);
        return stream.gone() || clock->steady() > end;
    }));
    CHECK_FALSE(stream.gone());
    CHECK(stream.waiting() > 0);
}

TEST_CASE("a drain waits for streams to end") {
    Fixture fixture;
    auto client = std::make_unique<RawClient>(fixture.loop, fixture.server.port());
    client->send(ask);
    port::HttpStream& stream = fixture.stream();
    bool drained = false;
    fixture.server.drain([&] { drained = true; });
    stream.write("last words");
    stream.end();
    std::string text;
    CHECK(fixture.turn([&] {
        if (client) text = received(*client);
        if (client && client->at_end()) client.reset();  // as clients do
        return drained;
    }));
    CHECK(has(text, "last words\r\n0\r\n\r\n"));
}
