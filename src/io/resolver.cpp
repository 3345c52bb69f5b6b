#include "taskd/io/resolver.hpp"

#include <netdb.h>

#include <cstring>
#include <memory>

#include "io/socket_address.hpp"

namespace taskd::io {
namespace {

Result<port::Endpoint> look_up(const std::string& host, std::uint16_t port) {
    if (to_socket_address({host, port})) return port::Endpoint{host, port};
    addrinfo hints{};
    hints.ai_socktype = SOCK_DGRAM;
    addrinfo* found = nullptr;
    const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
    if (error != 0) return fail(ErrorCode::unreachable, host + ": " + gai_strerror(error));
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner{found, freeaddrinfo};
    sockaddr_storage storage{};
    std::memcpy(&storage, found->ai_addr, found->ai_addrlen);
    return port::Endpoint{to_endpoint(storage).address, port};
}

}  // namespace

void Resolver::resolve(const std::string& host, std::uint16_t port,
                       std::function<void(Result<port::Endpoint>)> then) {
    auto result = std::make_shared<Result<port::Endpoint>>();
    lane_.run([host, port, result] { *result = look_up(host, port); },
              [result, then = std::move(then)] { then(std::move(*result)); });
}

}  // namespace taskd::io
