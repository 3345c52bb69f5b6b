// Where a role is reached: its HTTP server and, for those who speak it, UDP on the same port.
#pragma once

#include <memory>

#include "role.hpp"
#include "taskd/io/http_server.hpp"
#include "taskd/io/udp_socket.hpp"

namespace taskd::roles {

enum class Speaks { http, http_and_udp };

// Bound when it is made, so that a port in use ends the role before it touches its data. Requests
// wait in the kernel until open() names who answers them.
class Door {
  public:
    static Result<std::unique_ptr<Door>> make(Ground& ground, Speaks speaks = Speaks::http_and_udp);

    void open(port::HttpHandler& handler) { late_.handler = &handler; }
    port::Datagram& udp() { return *udp_; }  // for those who speak it
    std::uint16_t port() const { return server_->port(); }

    void drain(std::function<void()> done);
    void stop();

  private:
    struct Late final : port::HttpHandler {
        void handle(port::HttpRequest&& request, port::HttpResponder respond) override;
        bool refuses(const port::HttpRequest& head) const override {
            return handler != nullptr && handler->refuses(head);
        }
        port::HttpHandler* handler = nullptr;
        Random chance{1};
    };
    Door() = default;
    void tell(Ground& ground);

    Late late_;
    std::unique_ptr<io::UdpSocket> udp_;
    std::unique_ptr<io::HttpServer> server_;
    std::unique_ptr<io::HttpServer> unix_server_;  // with --listen
};

// Where others reach a role that is not told it: where it listens; at any address at all nothing,
// and then the name service takes the one it is spoken to from.
std::string reached_at(const std::string& host);

}  // namespace taskd::roles
