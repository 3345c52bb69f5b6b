// Says whether a token is good, by the keys that its issuer publishes: found by OpenID discovery,
// kept for a while, asked for again when a token names a key that is not known (at most once in
// `again_after`, so that a flood of forged tokens asks the issuer nothing). All on the loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "taskd/port/clock.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/log.hpp"
#include "taskd/protocol/jwt.hpp"

namespace taskd::io {

struct TokenVerifierSettings {
    std::string provider;  // "http://127.0.0.1:8094": where discovery asks
    std::string issuer;    // that tokens must name; empty: the provider
    std::string audience;
    Duration leeway{0};
    Duration keys_kept = std::chrono::minutes{5};
    Duration again_after = std::chrono::seconds{1};
    Duration timeout = std::chrono::seconds{3};  // of one question
};

class TokenVerifier {
  public:
    using Verdict = std::expected<protocol::TokenClaims, protocol::TokenRefusal>;

    // All but the settings outlive it and every `then`.
    TokenVerifier(TokenVerifierSettings settings, port::HttpExchange& http,
                  const port::Clock& clock, port::Log& log);
    ~TokenVerifier();
    TokenVerifier(const TokenVerifier&) = delete;
    TokenVerifier& operator=(const TokenVerifier&) = delete;

    // Of an Authorization header. `then` runs at once when the token's key is there, also when keys
    // are being read again. While the issuer is away those that were read last go on; without any
    // it is no_keys.
    void check(std::string_view authorization, std::function<void(Verdict)> then);

    std::uint64_t questions() const;  // asked of the issuer

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

// "http://host:port" and "/path" of an absolute address; bad_address.
Result<std::pair<std::string, std::string>> split_address(std::string_view url);

}  // namespace taskd::io
