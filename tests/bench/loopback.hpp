// Sockets of the machine itself, for programs that stand alone.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace taskd::bench {

// What a system call has returned; ends the program when it failed.
template <class Number>
Number must(Number result, const char* what) {
    if (result >= 0) return result;
    std::perror(what);
    std::exit(1);
}

inline sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

// One that is bound, and where to.
inline int udp_socket(sockaddr_in& address) {
    const int socket = must(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
    address = loopback(0);
    socklen_t size = sizeof address;
    must(bind(socket, reinterpret_cast<sockaddr*>(&address), size), "bind");
    must(getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
    return socket;
}

}  // namespace taskd::bench
