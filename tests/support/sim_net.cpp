// The simulated network: datagrams, names, HTTP.
#include <algorithm>
#include <charconv>

#include "sim_parts.hpp"

namespace taskd::test {
namespace {

// What a datagram can carry over IPv4.
constexpr std::size_t datagram_bytes_possible = 65'507;
constexpr std::uint16_t ephemeral_first = 32'768;

struct Address {
    std::string host;
    std::uint16_t port = 80;
};

Result<Address> parse_base_url(std::string_view url) {
    constexpr std::string_view scheme = "http://";
    if (!url.starts_with(scheme)) return fail(ErrorCode::bad_address, std::string{url});
    url.remove_prefix(scheme.size());
    if (const auto path = url.find('/'); path != url.npos) url = url.substr(0, path);
    Address address;
    const auto colon = url.rfind(':');
    address.host = url.substr(0, colon);
    if (colon != url.npos) {
        const char* end = url.data() + url.size();
        const auto [stop, error] = std::from_chars(url.data() + colon + 1, end, address.port);
        if (error != std::errc{} || stop != end)
            return fail(ErrorCode::bad_address, std::string{url});
    }
    if (address.host.empty()) return fail(ErrorCode::bad_address, std::string{url});
    return address;
}

template <class Map>
Result<std::uint16_t> choose_port(const Map& taken, std::uint16_t asked) {
    if (asked != 0) {
        if (taken.contains(asked)) return fail(ErrorCode::port_in_use, std::to_string(asked));
        return asked;
    }
    for (std::uint16_t port = ephemeral_first; port != 0; ++port)
        if (!taken.contains(port)) return port;
    return fail(ErrorCode::port_in_use, "all");
}

}  // namespace

Result<std::unique_ptr<port::Datagram>> SimHost::bind(std::uint16_t asked) {
    const auto port = choose_port(sockets_, asked);
    if (!port) return std::unexpected{port.error()};
    return std::make_unique<SimSocket>(*this, *port);
}

SimSocket::~SimSocket() {
    if (life_ == host_.life_) host_.sockets_.erase(local_.port);
}

void SimSocket::send(const port::Endpoint& to, std::string_view bytes) {
    if (life_ == host_.life_) host_.world_.send_datagram(host_, local_, to, bytes);
}

void SimWorld::send_datagram(SimHost& from, const port::Endpoint& source, const port::Endpoint& to,
                             std::string_view bytes) {
    ++counts_.datagrams_sent;
    SimHost* host = find(to.address, from);
    if (host == nullptr || bytes.size() > datagram_bytes_possible) {
        ++counts_.datagrams_to_nobody;
    } else if (is_blocked(from.number_, host->number_)) {
        ++counts_.datagrams_cut;
    } else if (hits(options_.net.loss)) {
        ++counts_.datagrams_lost;
    } else {
        const port::Endpoint seen{to.address == "127.0.0.1" ? to.address : source.address,
                                  source.port};
        const auto shared = std::make_shared<const std::string>(bytes);
        fly(from, *host, seen, to.port, shared);
        if (!hits(options_.net.duplicate)) return;
        ++counts_.datagrams_doubled;
        fly(from, *host, seen, to.port, shared);
    }
}

void SimWorld::fly(SimHost& from, SimHost& to, const port::Endpoint& source, std::uint16_t port,
                   const std::shared_ptr<const std::string>& bytes) {
    const SimNetOptions& net = options_.net;
    const bool late = hits(net.late);
    const Duration at =
        now_ + draw(net.delay_min, late ? std::max(net.late_max, net.delay_min) : net.delay_max);
    Duration& last = last_arrival_[{from.number_, to.number_}];
    if (at < last) ++counts_.datagrams_reordered;
    last = std::max(last, at);
    if (!to.up_) {
        ++counts_.datagrams_to_nobody;
        return;
    }
    schedule(to, at, [this, &to, source, port, bytes] {
        const auto socket = to.sockets_.find(port);
        if (socket == to.sockets_.end() || !socket->second->take_) {
            ++counts_.datagrams_to_nobody;
            return;
        }
        ++counts_.datagrams_delivered;
        const auto take = socket->second->take_;  // it may destroy its socket
        (*take)(source, *bytes);
    });
}

void SimHost::resolve(const std::string& host, std::uint16_t port,
                      std::function<void(Result<port::Endpoint>)> then) {
    Result<port::Endpoint> result = fail(ErrorCode::unreachable, host);
    if (host == "localhost" || host == "127.0.0.1") {
        result = port::Endpoint{"127.0.0.1", port};
    } else if (const SimHost* found = world_.find(host, *this)) {
        result = port::Endpoint{found->address_, port};
    }
    const Duration delay =
        world_.draw(world_.options_.http.delay_min, world_.options_.http.delay_max);
    world_.schedule(*this, world_.now_ + delay,
                    [then = std::move(then), result = std::move(result)] { then(result); });
}

Result<std::uint16_t> SimHost::serve(std::uint16_t asked, port::HttpHandler& handler) {
    const auto port = choose_port(handlers_, asked);
    if (port) handlers_[*port] = &handler;
    return port;
}

void SimHost::send(const std::string& base_url, port::HttpRequest request, Duration timeout,
                   std::function<void(Result<port::HttpResponse>)> then) {
    if (up_) world_.send_http(*this, base_url, std::move(request), timeout, std::move(then));
}

void SimWorld::send_http(SimHost& caller, const std::string& base_url, port::HttpRequest request,
                         Duration timeout, std::function<void(Result<port::HttpResponse>)> then) {
    ++counts_.http_sent;
    const std::uint64_t id = next_call_++;
    const auto address = parse_base_url(base_url);
    SimHost* server = address ? find(address->host, caller) : nullptr;
    Call& call = calls_[id];
    call = {.caller = caller.number_,
            .server = server != nullptr ? server->number_ : 0,
            .then = std::move(then),
            .timeout = {},
            .head = request.method == "HEAD"};
    if (!address) return finish_later(id, fail(address.error().code, address.error().detail));
    call.timeout = schedule(caller, now_ + timeout, [this, id] {
        ++counts_.http_timed_out;
        finish(id, fail(ErrorCode::timed_out));
    });
    if (server == nullptr) {
        ++counts_.http_refused;
        return finish_later(id, fail(ErrorCode::unreachable, address->host));
    }
    if (is_blocked(caller.number_, server->number_)) {
        ++counts_.http_cut;
        return;
    }
    if (hits(options_.http.request_loss)) {
        ++counts_.http_requests_lost;
        return;
    }
    const Duration delay = draw(options_.http.delay_min, options_.http.delay_max);
    queue_.add(now_ + delay, 0,
               [this, id, server, port = address->port, request = std::move(request)]() mutable {
                   arrive(id, *server, port, std::move(request));
               });
}

// A caller may have given up or crashed by now: its request was on the way and is served all the
// same.
void SimWorld::arrive(std::uint64_t id, SimHost& server, std::uint16_t port,
                      port::HttpRequest request) {
    if (!server.up_ || !server.handlers_.contains(port)) {
        ++counts_.http_refused;
        return finish_later(id, fail(ErrorCode::unreachable, "connection refused"));
    }
    if (const auto call = calls_.find(id); call != calls_.end()) call->second.at_server = true;
    schedule(server, now_, [this, id, port, &server, request = std::move(request)]() mutable {
        const auto handler = server.handlers_.find(port);
        if (handler == server.handlers_.end())
            return finish_later(id, fail(ErrorCode::unreachable, "connection refused"));
        handler->second->handle(std::move(request), SimResponder{server, id});
    });
}

void SimResponder::operator()(port::HttpResponse response) {
    SimHost* server = std::exchange(server_, nullptr);
    if (server != nullptr && server->life_ == life_)
        server->world_.answer(call_, std::move(response));
}

SimResponder::~SimResponder() {
    if (server_ != nullptr) (*this)({.status = 500, .headers = {}, .body = {}});
}

void SimWorld::answer(std::uint64_t id, port::HttpResponse response) {
    const auto call = calls_.find(id);
    const bool heard = call != calls_.end();
    if (response.stream && heard && !call->second.head)
        return answer_when_over(id, std::move(response));
    if (response.stream) std::exchange(response.stream, nullptr)->close();
    if (!heard) return;
    call->second.at_server = false;
    if (call->second.head) response.body.clear();
    if (is_blocked(call->second.server, call->second.caller)) {
        ++counts_.http_cut;
    } else if (hits(options_.http.answer_loss)) {
        ++counts_.http_answers_lost;
    } else {
        ++counts_.http_answered;
        finish_later(id, std::move(response));
    }
}

// Here nobody reads an answer in parts: a stream is an answer once it has ended.
void SimWorld::answer_when_over(std::uint64_t id, port::HttpResponse response) {
    const auto stream = std::exchange(response.stream, nullptr);
    auto whole = std::make_shared<port::HttpResponse>(std::move(response));
    const auto look = [this, id, whole, weak = std::weak_ptr{stream}] {
        const auto held = weak.lock();
        if (!held || held->gone()) return;
        if (!calls_.contains(id)) return held->close();
        whole->body += held->take();
        if (!held->ended() || held->waiting() > 0) return;
        held->close();
        answer(id, std::move(*whole));
    };
    streams_[id] = stream;
    stream->on_written(look);
    look();
}

void SimWorld::finish_later(std::uint64_t id, Result<port::HttpResponse> result) {
    const auto call = calls_.find(id);
    if (call == calls_.end()) return;
    const Duration delay = draw(options_.http.delay_min, options_.http.delay_max);
    schedule(*hosts_[call->second.caller - 1], now_ + delay,
             [this, id, result = std::move(result)]() mutable { finish(id, std::move(result)); });
}

void SimWorld::finish(std::uint64_t id, Result<port::HttpResponse> result) {
    const auto call = calls_.find(id);
    if (call == calls_.end()) return;
    const Call ended = std::move(call->second);
    calls_.erase(call);
    if (const auto stream = streams_.extract(id); !stream.empty()) stream.mapped()->close();
    queue_.cancel(ended.timeout);
    ended.then(std::move(result));
}

}  // namespace taskd::test
