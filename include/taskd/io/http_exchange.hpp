// The HTTP client: blocking exchanges on a small pool of threads, answers on the loop. A thread is
// made when none is free, up to a bound; each keeps its connections open. HTTP, over TCP, TLS
// or a Unix socket ("unix:/path").
#pragma once

#include <memory>

#include "taskd/base/limits.hpp"
#include "taskd/io/loop.hpp"
#include "taskd/port/http.hpp"

namespace taskd::io {

struct HttpExchangeSettings {
    // One request each at a time: a long poll holds one for as long as it lasts.
    std::size_t threads_max = 16;
    std::size_t waiting_max = 10'000;  // beyond: overloaded
    Duration connect_timeout = std::chrono::seconds{3};
    std::size_t answer_bytes_max = 64 * limits::mebibyte;  // beyond: bad_answer
    bool cut_answers = false;                              // instead, what is beyond is not read
    // A kept connection may turn out to be closed: then POST is said again too, not only what HTTP
    // calls idempotent.
    bool all_repeatable = false;
};

class HttpExchange final : public port::HttpExchange {
  public:
    explicit HttpExchange(Loop& loop, HttpExchangeSettings settings = {});
    ~HttpExchange() override;  // as stop()
    HttpExchange(const HttpExchange&) = delete;
    HttpExchange& operator=(const HttpExchange&) = delete;

    // Also: bad_address for a base_url that is none, overloaded when too many wait.
    void send(const std::string& base_url, port::HttpRequest request, Duration timeout,
              std::function<void(Result<port::HttpResponse>)> then) override;

    // Breaks off what is on its way; no `then` runs any more.
    void stop();

  private:
    struct Pool;
    std::shared_ptr<Pool> pool_;
};

// The same for programs that block: one connection, kept. One thread at a time.
class HttpCaller {
  public:
    HttpCaller(const std::string& base_url, const HttpExchangeSettings& settings);
    ~HttpCaller();
    HttpCaller(const HttpCaller&) = delete;
    HttpCaller& operator=(const HttpCaller&) = delete;

    // Also: bad_address for a base_url that is none.
    Result<port::HttpResponse> call(port::HttpRequest request, Duration timeout);
    // An answer that goes on: `take` gets the bytes of its body as they come, until it is false or
    // the server ends it. An answer other than 2xx comes back whole. timed_out when nothing comes
    // for so long.
    Result<port::HttpResponse> stream(const port::HttpRequest& request, Duration silence,
                                      const std::function<bool(std::string_view)>& take);

  private:
    Result<std::unique_ptr<class BlockingClient>> client_;
};

// The same for a command line: blocks until the answer is there.
Result<port::HttpResponse> http_call(const std::string& base_url, port::HttpRequest request,
                                     Duration timeout, const HttpExchangeSettings& settings = {});

}  // namespace taskd::io
