#include "taskd/io/udp_socket.hpp"

#include <sys/socket.h>

#include <array>
#include <asio/ip/udp.hpp>
#include <cerrno>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

#include "io/loop_impl.hpp"
#include "io/socket_address.hpp"

namespace taskd::io {
namespace {

constexpr unsigned batch = 32;
constexpr int batches_a_turn = 16;
constexpr std::size_t waiting_count_max = 65'536;  // empty ones take room too
// The largest datagram there is; what the sender cut off would be of no use.
constexpr std::size_t datagram_bytes_possible = 65'535;

struct Outgoing {
    SocketAddress to;
    std::string bytes;
};

}  // namespace

struct UdpSocket::Impl : std::enable_shared_from_this<Impl> {
    Impl(Loop& owner, const UdpSettings& how)
        : loop{owner}, settings{how}, socket{context_of(owner)}, buffers(batch) {
        for (auto& buffer : buffers)
            buffer.resize(datagram_bytes_possible);
    }

    Result<void> open();
    void wait_read();
    void receive();
    // False when there is nothing left for now.
    bool receive_batch();
    void queue(Outgoing datagram);
    void flush();
    // How many of the first were taken off the queue; 0 when the kernel takes no more.
    std::size_t send_batch();
    void wait_write();

    Loop& loop;
    const UdpSettings settings;
    asio::ip::udp::socket socket;
    port::Endpoint local;
    std::size_t receive_buffer = 0;
    UdpStats stats;
    std::function<void(const port::Endpoint&, std::string_view)> take;
    bool closed = false;

    std::vector<std::string> buffers;
    std::array<sockaddr_storage, batch> senders{};
    SocketAddress last_from;  // most datagrams come from the same few peers
    port::Endpoint last_endpoint;

    std::deque<Outgoing> waiting;
    std::size_t waiting_bytes = 0;
    bool flush_posted = false;
    bool waiting_write = false;
};

Result<void> UdpSocket::Impl::open() {
    const std::string host = settings.host == "localhost" ? "127.0.0.1" : settings.host;
    const auto address = to_socket_address({host, settings.port});
    if (!address) return fail(ErrorCode::bad_address, settings.host);
    asio::error_code error;
    socket.open(address->family() == AF_INET6 ? asio::ip::udp::v6() : asio::ip::udp::v4(), error);
    if (!error) socket.non_blocking(true, error);
    if (!error && ::bind(socket.native_handle(), address->raw(), address->size) != 0)
        error = asio::error_code{errno, asio::error::get_system_category()};
    const std::string where = host + ":" + std::to_string(settings.port);
    if (error == asio::error::address_in_use) return fail(ErrorCode::port_in_use, where);
    if (error) return fail(ErrorCode::bad_address, where + ": " + error.message());
    // Beyond rmem_max only root may; both are best effort and what came of it is read back.
    const int asked = static_cast<int>(settings.receive_buffer_bytes);
    const int handle = socket.native_handle();
    if (setsockopt(handle, SOL_SOCKET, SO_RCVBUFFORCE, &asked, sizeof asked) != 0)
        setsockopt(handle, SOL_SOCKET, SO_RCVBUF, &asked, sizeof asked);
    int obtained = 0;
    socklen_t size = sizeof obtained;
    getsockopt(handle, SOL_SOCKET, SO_RCVBUF, &obtained, &size);
    // The kernel tells twice what it was asked for, half of it for its own bookkeeping.
    receive_buffer = static_cast<std::size_t>(obtained) / 2;
    SocketAddress bound;
    getsockname(handle, bound.raw(), &bound.size);
    local = to_endpoint(bound.storage);
    return {};
}

void UdpSocket::Impl::wait_read() {
    socket.async_wait(asio::socket_base::wait_read,
                      [self = shared_from_this()](asio::error_code error) {
                          if (!error && !self->closed) self->receive();
                      });
}

void UdpSocket::Impl::receive() {
    for (int i = 0; i < batches_a_turn; ++i) {
        const bool more = receive_batch();
        if (closed) return;
        if (!more) return wait_read();
    }
    // Others have their turn first.
    loop.post([self = shared_from_this()] {
        if (!self->closed) self->receive();
    });
}

bool UdpSocket::Impl::receive_batch() {
    std::array<mmsghdr, batch> messages{};
    std::array<iovec, batch> parts{};
    for (unsigned i = 0; i < batch; ++i) {
        parts[i] = {buffers[i].data(), buffers[i].size()};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = &senders[i];
        messages[i].msg_hdr.msg_namelen = sizeof senders[i];
    }
    const int count =
        recvmmsg(socket.native_handle(), messages.data(), batch, MSG_DONTWAIT, nullptr);
    // An error is that of an earlier send (ICMP) and has been cleared by being told.
    if (count < 0) return errno != EAGAIN && errno != EWOULDBLOCK;
    for (unsigned i = 0; i < static_cast<unsigned>(count) && !closed; ++i) {
        ++stats.received;
        const socklen_t size = messages[i].msg_hdr.msg_namelen;
        if (size != last_from.size || std::memcmp(&senders[i], &last_from.storage, size) != 0) {
            last_from.storage = senders[i];
            last_from.size = size;
            last_endpoint = to_endpoint(senders[i]);
        }
        // Kept alive and unchanged for the call, whatever it does to the socket.
        if (take) take(last_endpoint, {buffers[i].data(), messages[i].msg_len});
    }
    return static_cast<unsigned>(count) == batch;
}

void UdpSocket::Impl::queue(Outgoing datagram) {
    waiting_bytes += datagram.bytes.size();
    waiting.push_back(std::move(datagram));
    while (waiting_bytes > settings.waiting_bytes_max || waiting.size() > waiting_count_max) {
        waiting_bytes -= waiting.front().bytes.size();
        waiting.pop_front();
        ++stats.dropped;
    }
    if (flush_posted || waiting_write) return;
    flush_posted = true;
    loop.post([self = shared_from_this()] {
        self->flush_posted = false;
        if (!self->closed) self->flush();
    });
}

void UdpSocket::Impl::flush() {
    while (!waiting.empty())
        if (send_batch() == 0) return wait_write();
}

std::size_t UdpSocket::Impl::send_batch() {
    std::array<mmsghdr, batch> messages{};
    std::array<iovec, batch> parts{};
    unsigned count = 0;
    for (auto& each : waiting) {
        if (count == batch) break;
        parts[count] = {each.bytes.data(), each.bytes.size()};
        messages[count].msg_hdr.msg_iov = &parts[count];
        messages[count].msg_hdr.msg_iovlen = 1;
        messages[count].msg_hdr.msg_name = &each.to.storage;
        messages[count].msg_hdr.msg_namelen = each.to.size;
        ++count;
    }
    const int sent = sendmmsg(socket.native_handle(), messages.data(), count, MSG_DONTWAIT);
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)) return 0;
    // Any other error is about the first one: it is lost, as on the way.
    const std::size_t gone = sent < 0 ? 1 : static_cast<std::size_t>(sent);
    (sent < 0 ? stats.dropped : stats.sent) += gone;
    for (std::size_t i = 0; i < gone; ++i) {
        waiting_bytes -= waiting.front().bytes.size();
        waiting.pop_front();
    }
    return gone;
}

void UdpSocket::Impl::wait_write() {
    waiting_write = true;
    socket.async_wait(asio::socket_base::wait_write,
                      [self = shared_from_this()](asio::error_code error) {
                          self->waiting_write = false;
                          if (!error && !self->closed) self->flush();
                      });
}

Result<std::unique_ptr<UdpSocket>> UdpSocket::bind(Loop& loop, const UdpSettings& settings) {
    auto impl = std::make_shared<Impl>(loop, settings);
    if (auto opened = impl->open(); !opened) return fail(std::move(opened));
    impl->wait_read();
    return std::unique_ptr<UdpSocket>{new UdpSocket{std::move(impl)}};
}

UdpSocket::UdpSocket(std::shared_ptr<Impl> impl) : impl_{std::move(impl)} {}

UdpSocket::~UdpSocket() {
    impl_->closed = true;
    while (!impl_->waiting.empty() && impl_->send_batch() > 0) {
    }
    asio::error_code ignored;
    impl_->socket.close(ignored);
}

void UdpSocket::on_receive(
    std::function<void(const port::Endpoint& from, std::string_view bytes)> take) {
    impl_->take = std::move(take);
}

void UdpSocket::send(const port::Endpoint& to, std::string_view bytes) {
    const auto address = to_socket_address(to);
    const bool v6 = impl_->local.address.find(':') != std::string::npos;
    if (!address || (address->family() == AF_INET6) != v6) {
        ++impl_->stats.dropped;
        return;
    }
    impl_->queue({*address, std::string{bytes}});
}

port::Endpoint UdpSocket::local() const {
    return impl_->local;
}
std::size_t UdpSocket::receive_buffer_bytes() const {
    return impl_->receive_buffer;
}
UdpStats UdpSocket::stats() const {
    return impl_->stats;
}

}  // namespace taskd::io
