// What the connections of one HTTP server share.
#pragma once

#include <array>
#include <asio/basic_socket_acceptor.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "taskd/base/random.hpp"
#include "taskd/io/http_server.hpp"
#include "taskd/port/clock.hpp"

namespace taskd::io {

class HttpConnection;

// TCP or Unix.
using StreamSocket = asio::generic::stream_protocol::socket;

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
    port::HttpResponse problem(const Error& error);  // with a trace id of its own
    void flush_later(std::shared_ptr<HttpConnection> connection);
    void forget(Connections::iterator connection);

    HttpServerStats stats;
    std::size_t bodies_bytes = 0;   // that connections hold of bodies not yet complete
    std::size_t answers_bytes = 0;  // that they hold of answers not yet taken

  private:
    void wait_accept();
    void accept_some();
    void admit(StreamSocket socket);
    Result<void> bind(const asio::generic::stream_protocol::endpoint& endpoint, bool is_unix);
    Result<void> listen_unix(const std::string& path);
    void remove_socket();
    void pause_accepting(const std::string& why);
    void sweep_later();
    void flush_all();
    void end_drain();

    Loop& loop_;
    HttpServerSettings settings_;
    port::HttpHandler& handler_;
    port::Log& log_;
    std::unique_ptr<port::Clock> clock_;
    asio::basic_socket_acceptor<asio::generic::stream_protocol> acceptor_;
    std::uint16_t port_ = 0;
    std::string socket_path_;  // of a Unix socket that is ours
    Connections connections_;
    // One for all: between two reads a connection keeps only what its parser holds.
    std::unique_ptr<std::array<char, 64 * 1024>> buffer_;
    std::vector<std::shared_ptr<HttpConnection>> to_flush_;
    std::unique_ptr<port::Timer> sweep_timer_;
    std::unique_ptr<port::Timer> accept_timer_;
    Duration sweep_interval_;
    std::string date_;
    std::int64_t date_second_ = -1;
    Random chance_;
    bool draining_ = false;
    std::function<void()> drained_;
};

}  // namespace taskd::io
