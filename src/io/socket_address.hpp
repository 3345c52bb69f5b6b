// Numeric addresses between text and the kernel's form.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <optional>

#include "taskd/port/datagram.hpp"

namespace taskd::io {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;

    sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
    const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&storage); }
    int family() const { return storage.ss_family; }
};

std::optional<SocketAddress> to_socket_address(const port::Endpoint& endpoint);
port::Endpoint to_endpoint(const sockaddr_storage& storage);

}  // namespace taskd::io
