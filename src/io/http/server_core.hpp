// What the connections of one HTTP server share.
#pragma once

#include <array>
#include <asio/ip/tcp.hpp>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "taskd/io/http_server.hpp"
#include "taskd/port/clock.hpp"

namespace taskd::io {

class HttpConnection;

class HttpServerCore : public std::enable_shared_from_this<HttpServerCore> {
  public:
    using Connections = std::list<std::shared_ptr<HttpConnection>>;

    HttpServerCore(Loop& loop, HttpServerSettings settings, port::HttpHandler& handler,
                   port::Log& log);

    Result<void> listen();
    std::uint16_t port() const { return port_; }
    void drain(std::function<void()> done);
    void stop();

    // For connections.
    const HttpServerSettings& settings() const { return settings_; }
    port::HttpHandler& handler() { return handler_; }
    bool draining() const { return draining_; }
    std::size_t connection_count() const { return connections_.size(); }
    std::span<char> read_buffer() { return *buffer_; }
    std::string_view date();  // of this second, as the Date header wants it
    SteadyTime now() const { return clock_->steady(); }
    void flush_later(std::shared_ptr<HttpConnection> connection);
    void forget(Connections::iterator connection);

    HttpServerStats stats;
    std::size_t bodies_bytes = 0;  // that connections hold of bodies not yet complete

  private:
    void wait_accept();
    void accept_some();
    void admit(asio::ip::tcp::socket socket);
    void pause_accepting(const std::string& why);
    void sweep_later();
    void flush_all();
    void end_drain();

    Loop& loop_;
    HttpServerSettings settings_;
    port::HttpHandler& handler_;
    port::Log& log_;
    std::unique_ptr<port::Clock> clock_;
    asio::ip::tcp::acceptor acceptor_;
    std::uint16_t port_ = 0;
    Connections connections_;
    // One for all: between two reads a connection keeps only what its parser holds.
    std::unique_ptr<std::array<char, 64 * 1024>> buffer_;
    std::vector<std::shared_ptr<HttpConnection>> to_flush_;
    std::unique_ptr<port::Timer> sweep_timer_;
    std::unique_ptr<port::Timer> accept_timer_;
    Duration sweep_interval_;
    std::string date_;
    std::int64_t date_second_ = -1;
    bool draining_ = false;
    std::function<void()> drained_;
};

}  // namespace taskd::io
