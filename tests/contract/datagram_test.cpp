// What every Datagram and Resolver promises.
#include <optional>
#include <set>

#include "catch.hpp"
#include "contract_worlds.hpp"
#include "taskd/io/resolver.hpp"
#include "taskd/io/udp_socket.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

struct RealNet : RealWorld {
    io::Resolver real_resolver{loop};

    Result<std::unique_ptr<port::Datagram>> bind(std::uint16_t port) {
        auto socket = io::UdpSocket::bind(loop, {.port = port});
        if (!socket) return fail(std::move(socket));
        return std::unique_ptr<port::Datagram>{std::move(*socket)};
    }
    port::Resolver& resolver() { return real_resolver; }
};

struct TwinNet : TwinWorld {
    Result<std::unique_ptr<port::Datagram>> bind(std::uint16_t port) { return host.bind(port); }
    port::Resolver& resolver() { return host.resolver(); }
};

}  // namespace

TEMPLATE_TEST_CASE("datagrams arrive whole, with their sender's address", "[datagram]", RealNet,
                   TwinNet) {
    TestType world;
    auto a = world.bind(0).value();
    auto b = world.bind(0).value();
    CHECK(a->local().port != 0);
    CHECK(a->local() != b->local());
    CHECK(a->receive_buffer_bytes() >= 64 * limits::kibibyte);
    std::set<std::string> sizes;
    b->on_receive([&](const port::Endpoint& from, std::string_view bytes) {
        CHECK(from == a->local());
        sizes.insert(std::string{bytes});
    });
    const std::set<std::string> sent{"", "x", std::string(1'400, 'y'), std::string(60'000, '\0')};
    for (const auto& each : sent)
        a->send(b->local(), each);
    REQUIRE(world.run_until([&] { return sizes.size() == sent.size(); }));
    CHECK(sizes == sent);
}

TEMPLATE_TEST_CASE("an answer goes back to where a datagram came from", "[datagram]", RealNet,
                   TwinNet) {
    TestType world;
    auto a = world.bind(0).value();
    auto b = world.bind(0).value();
    std::string answer;
    b->on_receive([&](const port::Endpoint& from, std::string_view bytes) {
        b->send(from, "re: " + std::string{bytes});
    });
    a->on_receive([&](const port::Endpoint&, std::string_view bytes) { answer = bytes; });
    a->send(b->local(), "hello");
    REQUIRE(world.run_until([&] { return !answer.empty(); }));
    CHECK(answer == "re: hello");
}

TEMPLATE_TEST_CASE("a port is taken once and free again after its socket's end", "[datagram]",
                   RealNet, TwinNet) {
    TestType world;
    auto first = world.bind(0).value();
    const std::uint16_t port = first->local().port;
    const auto second = world.bind(port);
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().code == ErrorCode::port_in_use);
    first.reset();
    CHECK(world.bind(port).has_value());
}

TEMPLATE_TEST_CASE("what cannot be sent is lost without a word", "[datagram]", RealNet, TwinNet) {
    TestType world;
    auto a = world.bind(0).value();
    auto b = world.bind(0).value();
    auto gone = world.bind(0).value();
    const port::Endpoint nobody = gone->local();
    gone.reset();
    bool heard = false;
    b->on_receive([&](const port::Endpoint&, std::string_view bytes) { heard = bytes == "x"; });
    a->send(nobody, "x");
    a->send({"not an address", 1}, "x");
    a->send(b->local(), std::string(70'000, 'x'));
    a->send({"::1", b->local().port}, "y");
    a->send(b->local(), "x");
    REQUIRE(world.run_until([&] { return heard; }));
}

TEMPLATE_TEST_CASE("a socket may be destroyed while it is being told", "[datagram]", RealNet,
                   TwinNet) {
    TestType world;
    auto a = world.bind(0).value();
    auto b = world.bind(0).value();
    auto c = world.bind(0).value();
    int heard = 0;
    bool end = false;
    b->on_receive([&](const port::Endpoint&, std::string_view) {
        ++heard;
        b.reset();
    });
    c->on_receive([&](const port::Endpoint&, std::string_view) { end = true; });
    for (int i = 0; i < 3; ++i)
        a->send(b->local(), "x");
    REQUIRE(world.run_until([&] { return b == nullptr; }));
    a->send(c->local(), "x");
    REQUIRE(world.run_until([&] { return end; }));
    CHECK(heard == 1);
}

TEMPLATE_TEST_CASE("names become addresses, unknown ones an error", "[resolver]", RealNet,
                   TwinNet) {
    TestType world;
    const auto resolve = [&](const std::string& host) {
        std::optional<Result<port::Endpoint>> answer;
        world.resolver().resolve(host, 4000,
                                 [&](Result<port::Endpoint> result) { answer = result; });
        CHECK_FALSE(answer.has_value());
        REQUIRE(world.run_until([&] { return answer.has_value(); }));
        return *answer;
    };
    CHECK(resolve("127.0.0.1").value() == port::Endpoint{"127.0.0.1", 4000});
    const auto local = resolve("localhost").value();
    CHECK((local.address == "127.0.0.1" || local.address == "::1"));
    CHECK(local.port == 4000);
    CHECK(resolve("no-such-host.invalid").error().code == ErrorCode::unreachable);
}
