// Ports: HTTP as values. A server hands each request to an HttpHandler; HttpExchange is the client.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"

namespace taskd::port {

// "http://127.0.0.1:4000", "http://[::1]:4000".
std::string base_url(std::string_view address, std::uint16_t port);

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

bool same_header(std::string_view a, std::string_view b);  // without case

// First value of a header, compared without case; empty when missing.
std::string_view find_header(const HttpHeaders& headers, std::string_view name);

// The server puts the sender's numeric address under this name, in place of whatever the client
// sent.
inline constexpr std::string_view sender_header = "X-Taskd-Sender";

struct HttpRequest {
    std::string method;  // "GET"
    std::string target;  // path and query as sent, "/v1/tasks?limit=5"
    HttpHeaders headers;
    std::string body;
    // Of a request that came in: becomes true when its client has gone and nobody reads the answer.
    std::shared_ptr<const bool> client_gone = {};

    bool nobody_waits() const { return client_gone && *client_gone; }
};

// The body of an answer that goes on: the handler keeps one end, the server has the other. On the
// loop. What is written waits here until the client takes it; how much may wait is the handler's
// affair.
class HttpStream {
  public:
    // The handler's end. Once it is over nothing is written any more.
    void write(std::string_view bytes);
    void end();
    bool gone() const { return gone_; }  // nobody reads any more
    std::size_t waiting() const { return bytes_.size(); }
    // Told when nothing waits any more, and when the reader is gone.
    void on_taken(std::function<void()> told) { on_taken_ = std::move(told); }

    // The server's end.
    std::string take();
    bool ended() const { return ended_; }
    void on_written(std::function<void()> told) { on_written_ = std::move(told); }
    void close();  // nobody reads any more

  private:
    std::string bytes_;
    bool ended_ = false;
    bool gone_ = false;
    std::function<void()> on_taken_;
    std::function<void()> on_written_;
};

struct HttpResponse {
    int status = 200;
    HttpHeaders headers;  // the server adds Content-Length, Date and Connection
    std::string body;
    std::shared_ptr<HttpStream> stream = {};  // in place of the body; chunked, without a length
};

// Takes the one answer to a request, at once or later, on the loop. Calling it after the client has
// gone is harmless; destroying it without a call answers 500.
using HttpResponder = std::move_only_function<void(HttpResponse)>;

class HttpHandler {
  public:
    virtual ~HttpHandler() = default;
    // On the loop; must not block. `request` may be moved from.
    virtual void handle(HttpRequest&& request, HttpResponder respond) = 0;
    // Whether handle() would turn `head` away whatever its body says. Asked before a long body is
    // read; if so, handle() gets the head alone, and the connection ends with its answer.
    virtual bool refuses(const HttpRequest& head) const {
        static_cast<void>(head);
        return false;
    }
};

class HttpExchange {
  public:
    virtual ~HttpExchange() = default;
    // Sends to `base_url` ("http://host:port", or https) off the loop; `then` runs on the loop,
    // once. unreachable, timed_out or bad_answer when there was no answer; a status of any kind is
    // an answer.
    virtual void send(const std::string& base_url, HttpRequest request, Duration timeout,
                      std::function<void(Result<HttpResponse>)> then) = 0;
};

}  // namespace taskd::port
