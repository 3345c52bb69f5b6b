// One bound UDP socket on the loop. Many datagrams a system call both ways: what is sent within a
// turn leaves at its end. All calls on the loop's thread.
#pragma once

#include <memory>

#include "taskd/base/limits.hpp"
#include "taskd/io/loop.hpp"
#include "taskd/port/datagram.hpp"

namespace taskd::io {

struct UdpSettings {
    std::string host = "127.0.0.1";                           // a numeric address or "localhost"
    std::uint16_t port = 0;                                   // 0: any free one
    std::size_t receive_buffer_bytes = 8 * limits::mebibyte;  // asked for; see what was obtained
    // Waiting to be sent while the kernel takes no more; beyond, the oldest are dropped.
    std::size_t waiting_bytes_max = 4 * limits::mebibyte;
};

struct UdpStats {
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
    std::uint64_t dropped = 0;  // refused by the kernel, not addressable, or too many waited
};

class UdpSocket final : public port::Datagram {
  public:
    // port_in_use or bad_address.
    static Result<std::unique_ptr<UdpSocket>> bind(Loop& loop, const UdpSettings& settings);
    ~UdpSocket() override;  // what waits is tried once more
    UdpSocket(const UdpSocket&) = delete;
    UdpSocket& operator=(const UdpSocket&) = delete;

    void on_receive(
        std::function<void(const port::Endpoint& from, std::string_view bytes)> take) override;
    void send(const port::Endpoint& to, std::string_view bytes) override;
    port::Endpoint local() const override;
    std::size_t receive_buffer_bytes() const override;
    UdpStats stats() const;

  private:
    struct Impl;
    explicit UdpSocket(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

}  // namespace taskd::io
