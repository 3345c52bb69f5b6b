#include "raw_client.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "taskd/base/assert.hpp"

namespace taskd::test {

using namespace std::chrono_literals;

RawClient::RawClient(io::Loop& loop, std::uint16_t port, const std::string& address) : loop_{loop} {
    const bool v6 = address.find(':') != address.npos;
    socket_ = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(port);
    inet_pton(v6 ? AF_INET6 : AF_INET, address.c_str(),
              v6 ? static_cast<void*>(&in6.sin6_addr) : static_cast<void*>(&in.sin_addr));
    const auto* to =
        v6 ? reinterpret_cast<const sockaddr*>(&in6) : reinterpret_cast<const sockaddr*>(&in);
    const int connected = connect(socket_, to, v6 ? sizeof in6 : sizeof in);
    TASKD_ASSERT(connected == 0);
    const int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(socket_, F_SETFL, O_NONBLOCK);
}

RawClient::~RawClient() {
    if (socket_ >= 0) close(socket_);
}

bool RawClient::wait(const std::function<bool()>& done) {
    for (int i = 0; i < 2'000; ++i) {
        if (loop_.run_until(
                [&] {
                    pump();
                    return done();
                },
                10ms))
            return true;
    }
    return false;
}

bool RawClient::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent > 0) {
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        } else if (errno == EAGAIN) {
            loop_.run_until([] { return false; }, 1ms);
            pump();
        } else {
            return false;
        }
    }
    return true;
}

void RawClient::finish_sending() {
    shutdown(socket_, SHUT_WR);
}

void RawClient::reset() {
    const linger now{1, 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(std::exchange(socket_, -1));
}

void RawClient::pump() {
    char buffer[64 * 1024];
    while (!at_end_ && socket_ >= 0) {
        const ssize_t size = recv(socket_, buffer, sizeof buffer, 0);
        if (size < 0 && errno == EAGAIN) return;
        if (size <= 0) at_end_ = true;
        if (size > 0) received_.append(buffer, static_cast<std::size_t>(size));
    }
}

bool RawClient::wait_for_bytes(std::size_t count) {
    return wait([&] { return received_.size() >= count; });
}

bool RawClient::wait_for_end() {
    return wait([&] { return at_end_; });
}

std::vector<RawResponse> RawClient::responses(bool heads) const {
    std::vector<RawResponse> all;
    std::string_view rest = received_;
    for (;;) {
        const auto end = rest.find("\r\n\r\n");
        if (end == rest.npos) return all;
        RawResponse response{.head = std::string{rest.substr(0, end + 4)}, .body = {}};
        response.status = std::atoi(response.head.c_str() + 9);
        std::size_t size = 0;
        if (const auto at = response.head.find("Content-Length: "); at != rest.npos && !heads)
            size = std::strtoul(response.head.c_str() + at + 16, nullptr, 10);
        rest.remove_prefix(end + 4);
        if (rest.size() < size) return all;
        response.body = rest.substr(0, size);
        rest.remove_prefix(size);
        all.push_back(std::move(response));
    }
}

bool RawClient::wait_for_responses(std::size_t count, bool heads) {
    return wait([&] { return responses(heads).size() >= count; });
}

}  // namespace taskd::test
