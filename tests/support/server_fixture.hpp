// The HTTP server on a loop of its own, with a handler of the test's.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "catch.hpp"
#include "memory_log.hpp"
#include "taskd/io/http_server.hpp"

namespace taskd::test {

template <class Handler>
struct ServerFixture {
    explicit ServerFixture(io::HttpServerSettings settings = {})
        : server{loop, std::move(settings), handler, log} {
        REQUIRE(server.listen());
    }
    io::Loop loop;
    MemoryLog log;
    Handler handler;
    io::HttpServer server;

    bool turn(const std::function<bool()>& done) {
        return loop.run_until(done, std::chrono::seconds{20});
    }
    // Of a handler that keeps who is to be answered in `held`.
    bool wait_for_held(std::size_t count) {
        return turn([&] { return handler.held.size() >= count; });
    }
};

inline std::string get(std::string_view target, std::string_view more = {}) {
    return "GET " + std::string{target} + " HTTP/1.1\r\nHost: a\r\n" + std::string{more} + "\r\n";
}

}  // namespace taskd::test
