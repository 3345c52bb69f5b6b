// The HTTP server on a Unix socket: for its owner alone, in place of one that was left, and gone at
// the end.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "catch.hpp"
#include "disk_worlds.hpp"
#include "memory_log.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/http_server.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

struct Echo final : port::HttpHandler {
    void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
        if (request.target == "/drop") return;
        respond({.headers = {},
                 .body = request.target + " from " +
                         std::string{port::find_header(request.headers, port::sender_header)}});
    }
};

struct UnixWorld {
    support::TempDir dir;
    std::string path = dir.path() + "/socket";
    io::Loop loop;
    MemoryLog log;
    Echo handler;
    io::HttpExchange client{loop};

    std::unique_ptr<io::HttpServer> make(const std::string& host) {
        io::HttpServerSettings settings;
        settings.host = host;
        return std::make_unique<io::HttpServer>(loop, settings, handler, log);
    }
    Result<port::HttpResponse> ask(const std::string& target) {
        std::optional<Result<port::HttpResponse>> got;
        client.send("unix:" + path, {"GET", target, {}, {}}, 10s,
                    [&](Result<port::HttpResponse> answer) { got = std::move(answer); });
        REQUIRE(loop.run_until([&] { return got.has_value(); }, 20s));
        return *got;
    }
    bool there() const { return access(path.c_str(), F_OK) == 0; }
};

// As one that was killed leaves it: a socket file nobody listens on.
void leave_stale(const std::string& path) {
    const int left = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(bind(left, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    close(left);
}

}  // namespace

TEST_CASE("a Unix socket answers its owner, and goes with the server", "[http]") {
    UnixWorld world;
    auto server = world.make("unix:" + world.path);
    REQUIRE(server->listen());
    struct stat status{};
    REQUIRE(stat(world.path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    CHECK(server->port() == 0);
    CHECK(world.ask("/a")->body == "/a from unix");
    bool drained = false;
    server->drain([&] { drained = true; });
    CHECK(world.loop.run_until([&] { return drained; }, 20s));
    CHECK_FALSE(world.there());
    CHECK(world.ask("/a").error().code == ErrorCode::socket_missing);
    server = world.make("unix:" + world.path);
    REQUIRE(server->listen());
    server.reset();
    CHECK_FALSE(world.there());
}

TEST_CASE("a socket that was left is replaced, one in use and other files are not", "[http]") {
    UnixWorld world;
    leave_stale(world.path);
    auto first = world.make("unix:" + world.path);
    REQUIRE(first->listen());
    CHECK(world.ask("/a")->status == 200);
    auto second = world.make("unix:" + world.path);
    CHECK(second->listen().error().code == ErrorCode::port_in_use);
    second.reset();
    CHECK(world.ask("/a")->status == 200);  // it is still the first one's
    first.reset();
    close(open(world.path.c_str(), O_CREAT | O_WRONLY, 0600));
    CHECK(world.make("unix:" + world.path)->listen().error().code == ErrorCode::port_in_use);
    CHECK(world.there());
    for (const std::string& bad :
         {std::string{"unix:relative"}, std::string{"unix:"}, "unix:/" + std::string(200, 'x'),
          std::string{"unix:/no/such/folder/socket"}})
        CHECK(world.make(bad)->listen().error().code == ErrorCode::bad_address);
}

TEST_CASE("what the server itself refuses carries a trace id", "[http]") {
    UnixWorld world;
    auto server = world.make("unix:" + world.path);
    REQUIRE(server->listen());
    const auto dropped = world.ask("/drop");
    CHECK(dropped->status == 500);
    CHECK(dropped->body.find("\"trace_id\":\"") != std::string::npos);
}
