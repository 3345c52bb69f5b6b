// The real HTTP client where its twin cannot follow: servers that misbehave, threads, shutdown.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <thread>

#include "catch.hpp"
#include "memory_log.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/http_server.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

// Takes connections one after the other on a thread and sends each fixed bytes after its request.
class RudeServer {
  public:
    explicit RudeServer(std::string bytes, bool keep_open = false) {
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* raw = reinterpret_cast<sockaddr*>(&address);
        socklen_t size = sizeof address;
        REQUIRE(bind(listener_, raw, size) == 0);
        REQUIRE(listen(listener_, 10) == 0);
        REQUIRE(getsockname(listener_, raw, &size) == 0);
        url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
        thread_ = std::jthread{[this, bytes = std::move(bytes), keep_open] {
            std::vector<int> open;
            for (int client; (client = accept(listener_, nullptr, nullptr)) >= 0;) {
                ++connections;
                char buffer[4096];
                if (recv(client, buffer, sizeof buffer, 0) > 0)
                    ::send(client, bytes.data(), bytes.size(), MSG_NOSIGNAL);
                if (keep_open) {
                    open.push_back(client);
                } else {
                    close(client);
                }
            }
            for (const int client : open)
                close(client);
        }};
    }
    ~RudeServer() {
        shutdown(listener_, SHUT_RDWR);
        thread_.join();
        close(listener_);
    }
    const std::string& url() const { return url_; }
    std::atomic<int> connections = 0;

  private:
    int listener_;
    std::string url_;
    std::jthread thread_;
};

port::HttpRequest get(std::string target = "/") {
    return {.method = "GET", .target = std::move(target), .headers = {}, .body = {}};
}

ErrorCode error_of(const Result<port::HttpResponse>& result) {
    REQUIRE_FALSE(result);
    return result.error().code;
}

struct Holding final : port::HttpHandler {
    void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
        ++asked;
        if (request.target == "/hold") return held.push_back(std::move(respond));
        respond({.headers = {}, .body = "quick"});
    }
    std::vector<port::HttpResponder> held;
    int asked = 0;
};

struct Pair {
    explicit Pair(io::HttpExchangeSettings settings = {}) : client{loop, settings} {
        REQUIRE(server.listen());
        url = "http://127.0.0.1:" + std::to_string(server.port());
    }
    bool turn(const std::function<bool()>& done) { return loop.run_until(done, 20s); }
    io::Loop loop;
    MemoryLog log;
    Holding handler;
    io::HttpServer server{loop, {}, handler, log};
    io::HttpExchange client;
    std::string url;
};

}  // namespace

TEST_CASE("answers that are none are told apart", "[exchange]") {
    CHECK(error_of(io::http_call(RudeServer{""}.url(), get(), 5s)) == ErrorCode::unreachable);
    CHECK(error_of(io::http_call(RudeServer{"gibberish\r\n\r\n"}.url(), get(), 5s)) ==
          ErrorCode::bad_answer);
    CHECK(error_of(io::http_call(
              RudeServer{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"}.url(), get(), 5s)) ==
          ErrorCode::bad_answer);
    CHECK(error_of(io::http_call(RudeServer{"", true}.url(), get(), 50ms)) == ErrorCode::timed_out);
    CHECK(error_of(io::http_call(
              RudeServer{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", true}.url(), get(),
              50ms)) == ErrorCode::timed_out);
    RudeServer large{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"};
    CHECK(error_of(io::http_call(large.url(), get(), 5s, {.answer_bytes_max = 9})) ==
          ErrorCode::bad_answer);
    CHECK(io::http_call(large.url(), get(), 5s, {.answer_bytes_max = 10})->body == "0123456789");
    const io::HttpExchangeSettings cut{.answer_bytes_max = 4, .cut_answers = true};
    CHECK(io::http_call(large.url(), get(), 5s, cut)->body == "0123");
}

TEST_CASE("a name that does not resolve is unreachable, and words that end a line are refused",
          "[exchange]") {
    CHECK(error_of(io::http_call("http://no-such-host.invalid", get(), 5s)) ==
          ErrorCode::unreachable);
    CHECK(error_of(io::http_call("http://127.0.0.1:1", get("/\r\nX: y"), 5s)) ==
          ErrorCode::bad_request);
    port::HttpRequest forged = get();
    forged.headers = {{"X", "a\r\nY: b"}};
    CHECK(error_of(io::http_call("http://127.0.0.1:1", forged, 5s)) == ErrorCode::bad_request);
    CHECK(error_of(io::http_call("http://[::1:80", get(), 5s)) == ErrorCode::bad_address);
}

TEST_CASE("a kept connection the server has closed is made anew", "[exchange]") {
    RudeServer server{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"};
    io::Loop loop;
    io::HttpExchange client{loop, {.threads_max = 1}};
    for (int i = 1; i <= 5; ++i) {
        std::optional<Result<port::HttpResponse>> answer;
        client.send(server.url(), get(), 5s, [&](auto result) { answer = std::move(result); });
        REQUIRE(loop.run_until([&] { return answer.has_value(); }, 10s));
        REQUIRE(*answer);
        CHECK((*answer)->body == "ok");
    }
}

TEST_CASE("connections are kept between requests", "[exchange]") {
    Pair pair{{.threads_max = 1}};
    for (int i = 0; i < 5; ++i) {
        bool answered = false;
        pair.client.send(pair.url, get(), 5s, [&](auto result) { answered = result.has_value(); });
        REQUIRE(pair.turn([&] { return answered; }));
    }
    CHECK(pair.server.stats().connections == 1);
}

TEST_CASE("long polls do not keep others waiting while there are threads", "[exchange]") {
    Pair pair{{.threads_max = 4}};
    int quick = 0;
    for (int i = 0; i < 3; ++i)
        pair.client.send(pair.url, get("/hold"), 60s, [](auto) {});
    for (int i = 0; i < 50; ++i)
        pair.client.send(pair.url, get(), 10s, [&](auto result) { quick += result.has_value(); });
    REQUIRE(pair.turn([&] { return quick == 50; }));
    CHECK(pair.handler.held.size() == 3);
}

TEST_CASE("with every thread held the rest waits, times out by name, and is bounded",
          "[exchange]") {
    Pair pair{{.threads_max = 1, .waiting_max = 2}};
    std::vector<ErrorCode> errors;
    const auto note = [&](const Result<port::HttpResponse>& result) {
        errors.push_back(error_of(result));
    };
    pair.client.send(pair.url, get("/hold"), 60s, [](auto) {});
    REQUIRE(pair.turn([&] { return pair.handler.held.size() == 1; }));
    pair.client.send(pair.url, get(), 50ms, note);
    pair.client.send(pair.url, get(), 50ms, note);
    pair.client.send(pair.url, get(), 50ms, note);
    CHECK(errors.empty());
    REQUIRE(pair.turn([&] { return errors.size() == 3; }));
    CHECK(errors == std::vector{ErrorCode::overloaded, ErrorCode::timed_out, ErrorCode::timed_out});
}

TEST_CASE("stopping breaks off long polls and tells nobody", "[exchange]") {
    Pair pair;
    int told = 0;
    for (int i = 0; i < 4; ++i)
        pair.client.send(pair.url, get("/hold"), 600s, [&](auto) { ++told; });
    REQUIRE(pair.turn([&] { return pair.handler.held.size() == 4; }));
    const auto start = std::chrono::steady_clock::now();
    pair.client.stop();
    CHECK(std::chrono::steady_clock::now() - start < 2s);
    pair.handler.held.clear();
    REQUIRE(pair.turn([&] { return pair.server.stats().connections == 0; }));
    CHECK(told == 0);
}

TEST_CASE("a call that was given up is not said again on another connection", "[exchange]") {
    Pair pair{{.all_repeatable = true}};
    int answers = 0;
    pair.client.send(pair.url, get(), 5s, [&](const auto&) { ++answers; });
    REQUIRE(pair.turn([&] { return answers == 1; }));
    pair.client.send(pair.url, get("/hold"), 100ms, [&](const auto& answer) {
        CHECK(error_of(answer) == ErrorCode::timed_out);
        ++answers;
    });
    REQUIRE(pair.turn([&] { return answers == 2; }));
    pair.loop.run_until([] { return false; }, 400ms);
    CHECK(pair.handler.asked == 2);
}
