// Accepting, refusing, draining: what the server does around its connections.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <asio/buffer.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>

#include "io/http/connection.hpp"
#include "io/http/server_core.hpp"
#include "io/loop_impl.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/open_files.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/protocol/trace.hpp"

namespace taskd::io {
namespace {

constexpr int accepts_a_turn = 64;
// Connections beyond the limit that are being told so; more are closed without a word.
constexpr std::size_t refusals_max = 256;
constexpr std::uint64_t refusals_share = 4;  // of the descriptors that are left to others
constexpr Duration accept_pause = std::chrono::milliseconds{100};

// Deadlines are looked at this often: late by a small part of the shortest of them.
Duration sweep_interval_for(const HttpServerSettings& settings) {
    const Duration shortest = std::min({settings.header_timeout, settings.body_timeout,
                                        settings.idle_timeout, settings.write_timeout});
    return std::clamp<Duration>(shortest / 16, std::chrono::milliseconds{5},
                                std::chrono::milliseconds{500});
}

constexpr std::string_view unix_scheme = "unix:";

bool is_stale(const std::string& path) {
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) return false;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const int connected =
        ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const bool refused = connected != 0 && errno == ECONNREFUSED;
    ::close(probe);
    return refused;
}

std::string show(const HttpServerSettings& settings) {
    if (settings.host.starts_with(unix_scheme)) return settings.host;
    return settings.host + ":" + std::to_string(settings.port);
}

}  // namespace

HttpServerCore::HttpServerCore(Loop& loop, HttpServerSettings settings, port::HttpHandler& handler,
                               port::Log& log)
    : loop_{loop},
      settings_{std::move(settings)},
      handler_{handler},
      log_{log},
      clock_{make_system_clock()},
      acceptor_{context_of(loop)},
      buffer_{std::make_unique<std::array<char, 64 * 1024>>()},
      sweep_timer_{loop.make()},
      accept_timer_{loop.make()},
      sweep_interval_{sweep_interval_for(settings_)},
      chance_{random_seed()} {}

Result<void> HttpServerCore::listen() {
    if (settings_.host.starts_with(unix_scheme))
        return listen_unix(settings_.host.substr(unix_scheme.size()));
    asio::error_code error;
    const auto address =
        asio::ip::make_address(settings_.host == "localhost" ? "127.0.0.1" : settings_.host, error);
    if (error) return fail(ErrorCode::bad_address, settings_.host);
    const asio::ip::tcp::endpoint wanted{address, settings_.port};
    if (auto bound = bind(wanted, false); !bound) return bound;
    const auto local = acceptor_.local_endpoint(error);
    asio::ip::tcp::endpoint got;
    std::memcpy(got.data(), local.data(), std::min(local.size(), got.capacity()));
    port_ = got.port();
    return {};
}

Result<void> HttpServerCore::bind(const asio::generic::stream_protocol::endpoint& endpoint,
                                  bool is_unix) {
    asio::error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error && !is_unix) acceptor_.set_option(asio::socket_base::reuse_address{true}, error);
    if (!error) acceptor_.bind(endpoint, error);
    // Before anybody can connect.
    if (!error && is_unix && ::chmod(socket_path_.c_str(), 0600) != 0)
        error = asio::error_code{errno, asio::system_category()};
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error) acceptor_.non_blocking(true, error);
    if (error) {
        asio::error_code ignored;
        acceptor_.close(ignored);
        if (error == asio::error::address_in_use)
            return fail(ErrorCode::port_in_use, show(settings_));
        return fail(ErrorCode::bad_address, show(settings_) + ": " + error.message());
    }
    wait_accept();
    sweep_later();
    return {};
}

// A socket that nobody listens on was left by one that was killed.
Result<void> HttpServerCore::listen_unix(const std::string& path) {
    if (!path.starts_with('/') || path.size() >= sizeof(sockaddr_un::sun_path))
        return fail(ErrorCode::bad_address, settings_.host);
    const asio::local::stream_protocol::endpoint endpoint{path};
    socket_path_ = path;
    auto bound = bind(endpoint, true);
    if (!bound && bound.error().code == ErrorCode::port_in_use && is_stale(path)) {
        ::unlink(path.c_str());
        bound = bind(endpoint, true);
    }
    if (!bound) socket_path_.clear();
    return bound;
}

void HttpServerCore::remove_socket() {
    if (const std::string path = std::exchange(socket_path_, {}); !path.empty())
        ::unlink(path.c_str());
}

port::HttpResponse HttpServerCore::problem(const Error& error) {
    return {.status = row_of(error.code).http_status,
            .headers = {{"Content-Type", std::string{protocol::problem_content_type}}},
            .body = protocol::write_problem(
                error, {.index = {}, .reasons = {}, .trace_id = protocol::make_trace_id(chance_)})};
}

void HttpServerCore::wait_accept() {
    acceptor_.async_wait(asio::socket_base::wait_read,
                         [self = shared_from_this()](asio::error_code error) {
                             if (!error && self->acceptor_.is_open()) self->accept_some();
                         });
}

void HttpServerCore::accept_some() {
    for (int i = 0; i < accepts_a_turn; ++i) {
        asio::error_code error;
        StreamSocket socket = acceptor_.accept(error);
        if (error == asio::error::would_block) break;
        if (error == asio::error::connection_aborted) continue;
        if (error) return pause_accepting(error.message());
        admit(std::move(socket));
        if (!acceptor_.is_open()) return;
    }
    wait_accept();
}

// A descriptor is the lowest that is free: by its number, whoever holds the others, the store is
// left those it needs.
void HttpServerCore::admit(StreamSocket socket) {
    const std::size_t present = connections_.size();
    const std::uint64_t files = open_files_max();
    const std::uint64_t files_max = files_for_connections(files);
    const auto file = static_cast<std::uint64_t>(socket.native_handle());
    if (present >= settings_.connections_max + refusals_max) return;  // closed by its destructor
    if (file >= files_max + (files - files_max) / refusals_share) return;
    const auto connection = std::make_shared<HttpConnection>(*this, std::move(socket));
    connection->start(connections_.insert(connections_.end(), connection));
    if (present >= settings_.connections_max || file >= files_max)
        connection->refuse({ErrorCode::too_many_connections, {}});
}

// Out of file descriptors, most likely: what is open will end.
void HttpServerCore::pause_accepting(const std::string& why) {
    log_.warn("cannot accept a connection",
              {{"why", why}, {"connections", std::to_string(connections_.size())}});
    accept_timer_->set(now() + accept_pause, [this] { wait_accept(); });
}

void HttpServerCore::sweep_later() {
    sweep_timer_->set(now() + sweep_interval_, [this] {
        const SteadyTime time = now();
        for (auto next = connections_.begin(); next != connections_.end();) {
            const auto connection = *next++;  // it may close and go
            connection->check_deadline(time);
        }
        sweep_later();
    });
}

// Answers of one turn to one connection leave in one write.
void HttpServerCore::flush_later(std::shared_ptr<HttpConnection> connection) {
    to_flush_.push_back(std::move(connection));
    if (to_flush_.size() == 1) loop_.post([self = shared_from_this()] { self->flush_all(); });
}

void HttpServerCore::flush_all() {
    const auto ready = std::exchange(to_flush_, {});
    for (const auto& connection : ready)
        connection->flush();
}

void HttpServerCore::forget(Connections::iterator connection) {
    connections_.erase(connection);
    end_drain();
}

void HttpServerCore::drain(std::function<void()> done) {
    draining_ = true;
    drained_ = std::move(done);
    asio::error_code ignored;
    acceptor_.close(ignored);
    remove_socket();
    accept_timer_->clear();
    const std::vector open(connections_.begin(), connections_.end());
    for (const auto& connection : open)
        connection->drain();
    end_drain();
}

void HttpServerCore::end_drain() {
    if (!draining_ || !connections_.empty() || !drained_) return;
    loop_.post(std::exchange(drained_, nullptr));
}

void HttpServerCore::stop() {
    asio::error_code ignored;
    acceptor_.close(ignored);
    remove_socket();
    accept_timer_->clear();
    sweep_timer_->clear();
    drained_ = nullptr;
    while (!connections_.empty()) {
        const auto connection = connections_.front();
        connection->close();
    }
    to_flush_.clear();
}

std::string_view HttpServerCore::date() {
    const std::time_t second =
        std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    if (second != date_second_) {
        std::tm parts{};
        gmtime_r(&second, &parts);
        char text[40];
        const auto size = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        date_.assign(text, size);
        date_second_ = second;
    }
    return date_;
}

HttpServer::HttpServer(Loop& loop, HttpServerSettings settings, port::HttpHandler& handler,
                       port::Log& log)
    : core_{std::make_shared<HttpServerCore>(loop, std::move(settings), handler, log)} {}

HttpServer::~HttpServer() {
    stop();
}

Result<void> HttpServer::listen() {
    return core_->listen();
}
std::uint16_t HttpServer::port() const {
    return core_->port();
}
void HttpServer::drain(std::function<void()> done) {
    core_->drain(std::move(done));
}
void HttpServer::stop() {
    core_->stop();
}

HttpServerStats HttpServer::stats() const {
    HttpServerStats stats = core_->stats;
    stats.connections = core_->connection_count();
    return stats;
}

}  // namespace taskd::io
