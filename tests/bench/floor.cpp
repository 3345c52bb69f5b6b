// What this machine takes for what every task needs: a sync of 4 KiB in a file that is filled
// already, a round trip over HTTP to a server that does nothing, and one over UDP.
//   floor FOLDER PORT
// PORT is that of a taskd role, asked for /healthz. Prints one line of JSON: medians in µs.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "loopback.hpp"

namespace {

using Clock = std::chrono::steady_clock;
using taskd::bench::loopback;
using taskd::bench::must;
using taskd::bench::udp_socket;

constexpr int syncs = 2'000;
constexpr int round_trips = 5'000;
constexpr std::size_t block = 4'096;

// The median of so many, in microseconds.
template <class Once>
double median(int count, Once once) {
    std::vector<double> took;
    for (int i = 0; i < count; ++i) {
        const auto begin = Clock::now();
        once(i);
        took.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    }
    std::ranges::nth_element(took, took.begin() + count / 2);
    return took[static_cast<std::size_t>(count) / 2];
}

double of_sync(const std::string& folder) {
    const std::string path = folder + "/floor";
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must(file, "open");
    const std::vector<char> zeros(block), bytes(block, 'x');
    for (int i = 0; i < syncs; ++i)
        must(pwrite(file, zeros.data(), block, i * static_cast<off_t>(block)), "pwrite");
    must(fsync(file), "fsync");
    const double took = median(syncs, [&](int i) {
        must(pwrite(file, bytes.data(), block, i * static_cast<off_t>(block)), "pwrite");
        must(fdatasync(file), "fdatasync");
    });
    close(file);
    unlink(path.c_str());
    return took;
}

double of_http(std::uint16_t port) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in to = loopback(port);
    must(connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof to), "connect");
    const int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    constexpr std::string_view request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char answer[4'096];
    const double took = median(round_trips, [&](int) {
        must(send(socket, request.data(), request.size(), MSG_NOSIGNAL), "send");
        // It comes as one piece.
        must(recv(socket, answer, sizeof answer, 0) > 0 ? 0 : -1, "recv");
    });
    close(socket);
    return took;
}

double of_udp() {
    sockaddr_in here{}, there{};
    const int asking = udp_socket(here), answering = udp_socket(there);
    std::thread echo{[answering, here] {
        char bytes[256];
        for (ssize_t size = 1; size > 0;) {
            size = recv(answering, bytes, sizeof bytes, 0);
            sendto(answering, bytes, static_cast<std::size_t>(std::max<ssize_t>(size, 0)), 0,
                   reinterpret_cast<const sockaddr*>(&here), sizeof here);
        }
    }};
    const std::string ping(100, 'x');
    char pong[256];
    const auto say = [&](std::size_t size) {
        must(sendto(asking, ping.data(), size, 0, reinterpret_cast<const sockaddr*>(&there),
                    sizeof there),
             "sendto");
        must(recv(asking, pong, sizeof pong, 0), "recv");
    };
    const double took = median(round_trips, [&](int) { say(ping.size()); });
    say(0);  // ends the echo
    echo.join();
    close(asking);
    close(answering);
    return took;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: floor FOLDER PORT\n");
        return 2;
    }
    const double sync = of_sync(argv[1]);
    const double http = of_http(static_cast<std::uint16_t>(std::atoi(argv[2])));
    std::printf("{\"sync_us\": %.1f, \"http_us\": %.1f, \"udp_us\": %.1f}\n", sync, http, of_udp());
    return 0;
}
