// A client's access token (OAuth 2.0 client credentials): asked for when it is first needed, kept
// until shortly before its end. All on the loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "taskd/port/clock.hpp"
#include "taskd/port/http.hpp"

namespace taskd::pizza {

struct TokenSourceSettings {
    std::string provider;  // "http://127.0.0.1:8094"; empty: no token is used
    std::string client_id;
    std::string client_secret;
    std::string audience;
    Duration timeout = std::chrono::seconds{3};
};

class TokenSource {
  public:
    TokenSource(TokenSourceSettings settings, port::HttpExchange& http, const port::Clock& clock);

    // An Authorization header, empty when no token is used; at once when there is one.
    void get(std::function<void(Result<std::string>)> then);
    void drop();  // it was not taken

  private:
    void ask();
    void end(Result<std::string> header);

    TokenSourceSettings settings_;
    port::HttpExchange& http_;
    const port::Clock& clock_;
    std::string header_;
    SteadyTime until_{};
    std::vector<std::function<void(Result<std::string>)>> waiting_;
};

}  // namespace taskd::pizza
