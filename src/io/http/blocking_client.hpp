// One connection to one server, for calls that block. cpp-httplib is seen by blocking_client.cpp
// alone. Over TLS the server's certificate must be of an authority that this machine trusts
// (OpenSSL's list; SSL_CERT_FILE names another), and each call has a connection of its own.
#pragma once

#include <memory>
#include <string>

#include "taskd/io/http_exchange.hpp"

namespace taskd::io {

struct BaseUrl {
    std::string host;  // without the brackets of an IPv6 address; a socket's path after "unix:"
    std::uint16_t port = 80;
    std::string prefix;  // path in front of every target, without a slash at its end
    bool is_unix = false;
    bool is_tls = false;  // then the port is 443 unless said
    std::string host_header() const;
};

// "http://host[:port][/prefix]", the same with https, or "unix:/path/to/socket"; bad_address for
// anything else.
Result<BaseUrl> parse_base_url(std::string_view url);

class BlockingClient {
  public:
    BlockingClient(BaseUrl base, const HttpExchangeSettings& settings);
    ~BlockingClient();
    BlockingClient(const BlockingClient&) = delete;
    BlockingClient& operator=(const BlockingClient&) = delete;

    Result<port::HttpResponse> call(port::HttpRequest request, Duration timeout);
    Result<port::HttpResponse> stream(const port::HttpRequest& request, Duration silence,
                                      const std::function<bool(std::string_view)>& take);
    // From any thread: ends the call on its way with an error. A later call works again.
    void interrupt();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace taskd::io
