// A TCP client that takes as much of its answer as it is told to, and for which the kernel keeps
// little.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "taskd/base/assert.hpp"
#include "taskd/io/clock.hpp"

namespace taskd::test {

class SlowReader {
  public:
    explicit SlowReader(std::uint16_t port)
        : socket_{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        const int buffer = 64 * 1024;
        setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int connected = connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to);
        TASKD_ASSERT(connected == 0);
        fcntl(socket_, F_SETFL, O_NONBLOCK);
    }
    ~SlowReader() { close(socket_); }
    SlowReader(const SlowReader&) = delete;
    SlowReader& operator=(const SlowReader&) = delete;

    void ask(const std::string& target) {
        const std::string text = "GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n";
        const ssize_t sent = send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
        TASKD_ASSERT(sent == static_cast<ssize_t>(text.size()));
    }
    void take(std::size_t bytes) {
        std::string some(bytes, '\0');
        const ssize_t got = recv(socket_, some.data(), some.size(), 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) at_end_ = true;
    }
    bool at_end() const { return at_end_; }

  private:
    int socket_;
    bool at_end_ = false;
};

}  // namespace taskd::test
