// The real UDP socket under load and at its bounds.
#include <chrono>

#include "catch.hpp"
#include "taskd/io/udp_socket.hpp"

using namespace taskd;
using namespace std::chrono_literals;

TEST_CASE("thousands of datagrams of one turn arrive", "[udp]") {
    io::Loop loop;
    auto a = io::UdpSocket::bind(loop, {}).value();
    auto b = io::UdpSocket::bind(loop, {}).value();
    int heard = 0;
    b->on_receive([&](const port::Endpoint&, std::string_view) { ++heard; });
    // Few enough for the smallest buffer a kernel gives.
    for (int round = 1; round <= 20; ++round) {
        for (int i = 0; i < 100; ++i)
            a->send(b->local(), "x");
        REQUIRE(loop.run_until([&] { return heard == round * 100; }, 20s));
    }
    CHECK(a->stats().sent == 2'000);
    CHECK(b->stats().received == 2'000);
}

TEST_CASE("what waits to be sent is bounded, the oldest go first", "[udp]") {
    io::Loop loop;
    auto a = io::UdpSocket::bind(loop, {.waiting_bytes_max = 100}).value();
    auto b = io::UdpSocket::bind(loop, {}).value();
    std::string heard;
    b->on_receive([&](const port::Endpoint&, std::string_view bytes) { heard += bytes[0]; });
    for (const char c : std::string_view{"abcdef"})
        a->send(b->local(), std::string(30, c));
    REQUIRE(loop.run_until([&] { return heard.size() == 3; }, 20s));
    CHECK(heard == "def");
    CHECK(a->stats().dropped == 3);
}

TEST_CASE("a socket's last words are sent", "[udp]") {
    io::Loop loop;
    auto a = io::UdpSocket::bind(loop, {}).value();
    auto b = io::UdpSocket::bind(loop, {}).value();
    bool heard = false;
    b->on_receive([&](const port::Endpoint&, std::string_view) { heard = true; });
    a->send(b->local(), "bye");
    a.reset();
    REQUIRE(loop.run_until([&] { return heard; }, 20s));
}

TEST_CASE("sockets speak IPv6 and refuse addresses that are none", "[udp]") {
    io::Loop loop;
    auto a = io::UdpSocket::bind(loop, {.host = "::1"}).value();
    auto b = io::UdpSocket::bind(loop, {.host = "::1"}).value();
    bool heard = false;
    b->on_receive(
        [&](const port::Endpoint& from, std::string_view) { heard = from == a->local(); });
    a->send(b->local(), "x");
    REQUIRE(loop.run_until([&] { return heard; }, 20s));
    CHECK(io::UdpSocket::bind(loop, {.host = "nowhere"}).error().code == ErrorCode::bad_address);
}

TEST_CASE("echo between two sockets of one loop", "[.bench]") {
    io::Loop loop;
    auto a = io::UdpSocket::bind(loop, {}).value();
    auto b = io::UdpSocket::bind(loop, {}).value();
    int echoes = 0;
    b->on_receive(
        [&](const port::Endpoint& from, std::string_view bytes) { b->send(from, bytes); });
    a->on_receive([&](const port::Endpoint&, std::string_view bytes) {
        ++echoes;
        a->send(b->local(), bytes);
    });
    for (int i = 0; i < 64; ++i)
        a->send(b->local(), std::string(150, 'x'));
    const auto start = std::chrono::steady_clock::now();
    REQUIRE(loop.run_until([&] { return echoes >= 500'000; }, 60s));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    WARN("echoes a second, both ends on one thread: " << echoes / took.count());
}
