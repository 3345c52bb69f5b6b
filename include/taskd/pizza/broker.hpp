// The dispatcher as the services see it: a place to publish to and to read from, over its public
// HTTP interface. All on the loop.
#pragma once

#include <functional>
#include <string>

#include "taskd/port/http.hpp"

namespace taskd::pizza {

class Broker {
  public:
    Broker(std::string url, std::string key, port::HttpExchange& http)
        : url_{std::move(url)}, key_{std::move(key)}, http_{http} {}

    struct Answer {
        int status = 0;
        std::string body;  // one JSON value, checked
    };
    // An answer of 2xx; else an error, with what the broker said of it.
    void ask(const std::string& method, const std::string& target, std::string body,
             Duration timeout, std::function<void(Result<Answer>)> then);

    const std::string& url() const { return url_; }

  private:
    std::string url_;
    std::string key_;
    port::HttpExchange& http_;
};

}  // namespace taskd::pizza
