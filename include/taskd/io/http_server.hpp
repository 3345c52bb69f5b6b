// The HTTP/1.1 server on the loop: hands each request to a handler and writes the answers in the
// order of the requests. What is malformed, too large or too slow it answers itself, with
// problem+json, and closes. All calls on the loop's thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/limits.hpp"
#include "taskd/io/loop.hpp"
#include "taskd/io/memory.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/log.hpp"
#include "taskd/protocol/http_parser.hpp"

namespace taskd::io {

// What connections may hold together of a kind, of so much memory.
constexpr std::size_t http_bytes_of(std::uint64_t memory) {
    return std::clamp<std::uint64_t>(memory / limits::http_part, limits::http_bytes_least,
                                     limits::http_bytes_most);
}

struct HttpServerSettings {
    // A numeric address, "localhost", or "unix:/path": a socket that its owner alone may use. One
    // that was left by a process that is gone is replaced.
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;  // 0: any free one; of a Unix socket always
    protocol::HttpParserLimits parser;
    std::size_t connections_max = limits::connections_max;  // beyond: too_many_connections
    std::size_t pipelined_max = limits::pipelined_max;  // beyond: not read until one is answered
    std::size_t bodies_bytes_max = http_bytes_of(memory_there());   // beyond: overloaded
    std::size_t answers_bytes_max = http_bytes_of(memory_there());  // unread; beyond: overloaded
    // Even then: targets, and what is posted below one that ends in a slash. A lease whose renewal
    // or result is turned away is lost, and both are small.
    std::vector<std::string_view> always_answered = {"/healthz", "/readyz", "/v1/leases/"};
    Duration header_timeout = limits::header_timeout;  // first to last byte: request_timeout
    Duration body_timeout = limits::body_timeout;      // the same for the body
    Duration idle_timeout = limits::idle_timeout;      // between requests: closed
    Duration write_timeout = limits::write_timeout;    // no byte of an answer taken: closed
    // Bytes a second; who takes an answer more slowly for long is closed too, but not a stream.
    std::size_t write_rate_least = limits::write_rate_least;
};

struct HttpServerStats {
    std::size_t connections = 0;
    std::uint64_t requests = 0;  // handed to the handler
    std::uint64_t refused = 0;   // answered by the server itself
};

class HttpServer {
  public:
    // Handler and log outlive the server.
    HttpServer(Loop& loop, HttpServerSettings settings, port::HttpHandler& handler, port::Log& log);
    ~HttpServer();  // as stop()
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    // port_in_use or bad_address.
    Result<void> listen();
    Result<void> start() { return listen(); }
    std::uint16_t port() const;  // the real one, once listening

    // Takes no more connections, answers what has been asked with "Connection: close", closes the
    // others; `done` when all are closed.
    void drain(std::function<void()> done);
    void stop();  // closes everything at once

    HttpServerStats stats() const;

  private:
    std::shared_ptr<class HttpServerCore> core_;
};

}  // namespace taskd::io
