// The least that a task server can be which syncs what it says: it reads a request, syncs it,
// passes it to one of four workers over UDP, syncs the result and answers; without ?wait it answers
// the first sync. No engine, no view, no checks, nothing kept: what it costs the machine alone
// takes.
//   least PORT FILE
// Speaks as much HTTP as peer_load does. One thread waits for all, the disk too: the fewest
// wake-ups there can be.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loopback.hpp"

namespace {

using taskd::bench::loopback;
using taskd::bench::must;
using taskd::bench::udp_socket;

constexpr std::size_t block = 4'096;
constexpr std::size_t file_blocks = 16'384;  // filled before, then written again and again
constexpr std::size_t workers = 4;

// A process of its own, as workers are: turns each payload round.
void start_worker(int socket) {
    if (must(fork(), "fork") > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char bytes[2'048];
    for (;;) {
        sockaddr_in from{};
        socklen_t size = sizeof from;
        const ssize_t length =
            recvfrom(socket, bytes, sizeof bytes, 0, reinterpret_cast<sockaddr*>(&from), &size);
        if (length < static_cast<ssize_t>(sizeof(void*))) continue;
        std::reverse(bytes + sizeof(void*), bytes + length);
        sendto(socket, bytes, static_cast<std::size_t>(length), 0,
               reinterpret_cast<sockaddr*>(&from), size);
    }
}

class Journal {
  public:
    explicit Journal(const char* path)
        : file_{must(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), "open")} {
        const std::string zeros(block, '\0');
        for (std::size_t i = 0; i < file_blocks; ++i)
            must(pwrite(file_, zeros.data(), block, offset(i)), "pwrite");
        must(fsync(file_), "fsync");
    }
    void add(std::string_view bytes) { waiting_ += bytes; }
    void sync() {
        waiting_.resize((waiting_.size() + block - 1) / block * block);
        const std::size_t blocks = waiting_.size() / block;
        if (next_ + blocks > file_blocks) next_ = 0;
        must(pwrite(file_, waiting_.data(), waiting_.size(), offset(next_)), "pwrite");
        must(fdatasync(file_), "fdatasync");
        next_ += blocks;
        waiting_.clear();
    }

  private:
    static off_t offset(std::size_t blocks) { return static_cast<off_t>(blocks * block); }

    int file_;
    std::size_t next_ = 0;
    std::string waiting_;
};

struct Connection {
    int socket = -1;
    std::string in;
    std::string payload;  // of what is being asked
    std::string result;
    bool waits = false;  // for the result
};

class Server {
  public:
    Server(std::uint16_t port, const char* path) : journal_{path} {
        for (sockaddr_in& worker : workers_)
            start_worker(udp_socket(worker));
        sockaddr_in here{};
        udp_ = udp_socket(here);
        listening_ = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
        const int on = 1;
        setsockopt(listening_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        const sockaddr_in address = loopback(port);
        must(bind(listening_, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
        must(listen(listening_, 512), "listen");
        watch(listening_, &listening_);
        watch(udp_, &udp_);
    }

    [[noreturn]] void run() {
        for (;;) {
            epoll_event events[128];
            const int count = epoll_wait(poll_, events, 128, -1);
            for (int i = 0; i < count; ++i)
                on_readable(events[i].data.ptr);
            if (asked_.empty() && done_.empty()) continue;
            journal_.sync();
            for (Connection* each : std::exchange(done_, {}))
                answer(*each, "200 OK",
                       R"({"state":"succeeded","result":")" + each->result + "\"}");
            for (Connection* each : std::exchange(asked_, {})) {
                if (each->waits)
                    hand_over(*each);
                else
                    answer(*each, "202 Accepted",
                           R"({"id":"01a20428-eed1-76b2-ba97-ecacf6dc5620","state":"queued"})");
            }
        }
    }

  private:
    void watch(int socket, void* what) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.ptr = what;
        must(epoll_ctl(poll_, EPOLL_CTL_ADD, socket, &event), "epoll_ctl");
    }

    void on_readable(void* what) {
        if (what == &listening_) return accept_some();
        if (what == &udp_) return take_results();
        auto& connection = *static_cast<Connection*>(what);
        const ssize_t size = recv(connection.socket, buffer_, sizeof buffer_, MSG_DONTWAIT);
        if (size == 0) close(connection.socket);  // what was asked on it is over
        if (size <= 0) return;
        connection.in.append(buffer_, static_cast<std::size_t>(size));
        const auto head = connection.in.find("\r\n\r\n");
        const auto length = connection.in.find("Content-Length: ");
        if (head == std::string::npos || length > head) return;
        const auto body = std::strtoul(connection.in.c_str() + length + 16, nullptr, 10);
        if (connection.in.size() < head + 4 + body) return;
        connection.waits = connection.in.substr(0, head).contains("?wait");
        connection.payload = connection.in.substr(head + 4, body);
        connection.in.erase(0, head + 4 + body);
        journal_.add(connection.payload);
        asked_.push_back(&connection);
    }

    void accept_some() {
        for (;;) {
            const int socket = accept4(listening_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (socket < 0) return;
            const int on = 1;
            setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            connections_.push_back(std::make_unique<Connection>());
            connections_.back()->socket = socket;
            watch(socket, connections_.back().get());
        }
    }

    void hand_over(Connection& connection) {
        const Connection* who = &connection;
        std::string datagram(reinterpret_cast<const char*>(&who), sizeof who);
        datagram += connection.payload;
        const sockaddr_in& to = workers_[next_worker_++ % workers];
        sendto(udp_, datagram.data(), datagram.size(), 0, reinterpret_cast<const sockaddr*>(&to),
               sizeof to);
    }

    void take_results() {
        for (;;) {
            const ssize_t size = recv(udp_, buffer_, sizeof buffer_, MSG_DONTWAIT);
            Connection* connection = nullptr;
            if (size < static_cast<ssize_t>(sizeof connection)) return;
            std::memcpy(&connection, buffer_, sizeof connection);
            connection->result.assign(buffer_ + sizeof connection,
                                      static_cast<std::size_t>(size) - sizeof connection);
            journal_.add(connection->result);
            done_.push_back(connection);
        }
    }

    static void answer(const Connection& connection, std::string_view status,
                       std::string_view body) {
        std::string out{"HTTP/1.1 "};
        out.append(status).append("\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\n");
        out.append("Content-Type: application/json\r\nContent-Length: ");
        out.append(std::to_string(body.size())).append("\r\n\r\n").append(body);
        send(connection.socket, out.data(), out.size(), MSG_NOSIGNAL);
    }

    Journal journal_;
    int poll_ = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    int listening_ = -1;
    int udp_ = -1;
    sockaddr_in workers_[workers] = {};
    std::size_t next_worker_ = 0;
    std::vector<std::unique_ptr<Connection>> connections_;
    std::vector<Connection*> asked_;  // not synced yet
    std::vector<Connection*> done_;   // and their results
    char buffer_[64 * 1'024];
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: least PORT FILE\n");
        return 2;
    }
    std::make_unique<Server>(static_cast<std::uint16_t>(std::atoi(argv[1])), argv[2])->run();
}
