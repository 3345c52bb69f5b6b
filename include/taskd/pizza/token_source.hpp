// A client's access token (OAuth 2.0 client credentials): asked for when it is first needed, kept
// until shortly before its end. All on the loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "taskd/port/clock.hpp"
#include "taskd/port/http.hpp"

namespace taskd::pizza {

struct TokenSourceSettings {
    // The issuer, "http://127.0.0.1:8094": where its tokens are asked for is discovered. Empty: no
    // token is used.
    std::string provider;
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
    // It was not taken. Whether there is, or will be, another: one a second at most.
    bool refused(const std::string& header);

  private:
    void ask();
    void ask_token();
    void discover();
    void end(Result<std::string> header);

    TokenSourceSettings settings_;
    port::HttpExchange& http_;
    const port::Clock& clock_;
    std::string header_;
    SteadyTime until_{};
    std::optional<SteadyTime> dropped_;
    std::pair<std::string, std::string> endpoint_;  // base and path; empty until discovered
    std::vector<std::function<void(Result<std::string>)>> waiting_;
};

}  // namespace taskd::pizza
