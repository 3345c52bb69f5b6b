#include "io/socket_address.hpp"

#include <arpa/inet.h>

namespace taskd::io {

std::optional<SocketAddress> to_socket_address(const port::Endpoint& endpoint) {
    SocketAddress address;
    auto& in = reinterpret_cast<sockaddr_in&>(address.storage);
    if (inet_pton(AF_INET, endpoint.address.c_str(), &in.sin_addr) == 1) {
        in.sin_family = AF_INET;
        in.sin_port = htons(endpoint.port);
        address.size = sizeof in;
        return address;
    }
    auto& in6 = reinterpret_cast<sockaddr_in6&>(address.storage);
    if (inet_pton(AF_INET6, endpoint.address.c_str(), &in6.sin6_addr) != 1) return std::nullopt;
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(endpoint.port);
    address.size = sizeof in6;
    return address;
}

port::Endpoint to_endpoint(const sockaddr_storage& storage) {
    char text[INET6_ADDRSTRLEN] = "";
    if (storage.ss_family == AF_INET6) {
        const auto& in6 = reinterpret_cast<const sockaddr_in6&>(storage);
        inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof text);
        return {text, ntohs(in6.sin6_port)};
    }
    const auto& in = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
    return {text, ntohs(in.sin_port)};
}

}  // namespace taskd::io
