#include "door.hpp"

#include "open_files.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/protocol/trace.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::roles {
namespace {

constexpr int tries = 20;  // for a number that is free for both

}  // namespace

void Door::Late::handle(port::HttpRequest&& request, port::HttpResponder respond) {
    if (handler == nullptr)
        return respond(service::problem_response({ErrorCode::not_ready, {}},
                                                 {{}, {}, protocol::make_trace_id(chance)}));
    handler->handle(std::move(request), std::move(respond));
}

// The door goes before the metrics do, so that nobody asks it then.
void Door::tell(Ground& ground) {
    ground.metrics.add([this](port::MetricSink& sink) {
        io::HttpServerStats stats = server_->stats();
        if (unix_server_) {
            const io::HttpServerStats more = unix_server_->stats();
            stats.connections += more.connections;
            stats.refused += more.refused;
        }
        sink.put(port::Metric::http_connections, stats.connections);
        sink.put(port::Metric::http_refused_total, stats.refused);
    });
}

void Door::drain(std::function<void()> done) {
    if (!unix_server_) return server_->drain(std::move(done));
    unix_server_->drain([this, done = std::move(done)] { server_->drain(done); });
}

void Door::stop() {
    server_->stop();
    if (unix_server_) unix_server_->stop();
}

Result<std::unique_ptr<Door>> Door::make(Ground& ground, Speaks speaks) {
    raise_open_files(*ground.log);
    std::unique_ptr<Door> door{new Door};
    door->late_.chance = Random{io::random_seed()};
    for (int left = tries;; --left) {
        io::HttpServerSettings settings;
        settings.host = ground.host;
        settings.port = ground.port;
        if (speaks == Speaks::http_and_udp) {
            auto udp = io::UdpSocket::bind(ground.loop, {.host = ground.host, .port = ground.port});
            if (!udp) return fail(std::move(udp));
            door->udp_ = std::move(*udp);
            settings.port = door->udp_->local().port;
        }
        door->server_ =
            std::make_unique<io::HttpServer>(ground.loop, settings, door->late_, *ground.log);
        auto listening = door->server_->listen();
        if (listening && !ground.listen.empty()) {
            io::HttpServerSettings local;
            local.host = ground.listen;
            door->unix_server_ =
                std::make_unique<io::HttpServer>(ground.loop, local, door->late_, *ground.log);
            listening = door->unix_server_->listen();
            if (!listening) return fail(std::move(listening));
        }
        if (listening) {
            door->tell(ground);
            return door;
        }
        const bool taken = listening.error().code == ErrorCode::port_in_use;
        if (!taken || ground.port != 0 || left == 0) return fail(std::move(listening));
    }
}

std::string reached_at(const std::string& host) {
    return host == "0.0.0.0" || host == "::" ? "" : host;
}

}  // namespace taskd::roles
