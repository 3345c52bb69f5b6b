// Port: one bound UDP socket. Loses, doubles and reorders as it likes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "taskd/base/result.hpp"

namespace taskd::port {

// A numeric address, "127.0.0.1" or "::1", and a port.
struct Endpoint {
    std::string address;
    std::uint16_t port = 0;

    friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

// Within a machine nothing cuts datagrams into pieces: fewer and longer ones go there.
inline constexpr std::size_t datagram_bytes_within = 8'192;
inline std::size_t datagram_bytes_to(const Endpoint& to, std::size_t beyond) {
    const bool within = to.address.starts_with("127.") || to.address == "::1";
    return within ? std::max(beyond, datagram_bytes_within) : beyond;
}

class Datagram {
  public:
    virtual ~Datagram() = default;
    // Handler is called on the loop for every datagram; `bytes` is valid during the call.
    virtual void on_receive(std::function<void(const Endpoint& from, std::string_view bytes)>) = 0;
    // Best effort: what the kernel refuses is lost, as on the way.
    virtual void send(const Endpoint& to, std::string_view bytes) = 0;
    virtual Endpoint local() const = 0;
    virtual std::size_t receive_buffer_bytes() const = 0;  // as really obtained
};

// Port: names to numeric addresses, off the loop. `then` runs on the loop.
class Resolver {
  public:
    virtual ~Resolver() = default;
    virtual void resolve(const std::string& host, std::uint16_t port,
                         std::function<void(Result<Endpoint>)> then) = 0;
};

}  // namespace taskd::port
