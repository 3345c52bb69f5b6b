// JSON Web Tokens (RFC 7519): whether one is good, by the keys of a JWKS (RFC 7517). A key says
// which algorithm it is for, ES256 or RS256, and proves nothing by another, whatever a token's
// header asks for. Pure: the keys and the time are arguments.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"

namespace taskd::protocol {

// Why a token is not taken. The names are part of contracts.
enum class TokenFault {
    missing,
    malformed,
    not_signed,         // "unsigned": alg is none
    foreign_algorithm,  // not the key's
    unknown_key,
    bad_signature,
    wrong_issuer,
    wrong_audience,
    expired,
    not_yet_valid,
    unknown_critical,  // it asks to be understood and is not
    no_keys,           // nobody can say: the keys are not to be had
};
std::string_view to_text(TokenFault fault);

struct TokenRefusal {
    TokenFault fault;
    std::string detail = {};
};

struct TokenClaims {
    std::string issuer;
    std::string subject;
    std::vector<std::string> audience;
    WallTime expires_at;
    std::string json;  // all of them
};

// Public keys; copies share them.
class KeySet {
  public:
    // bad_answer when it is no JWKS. What is not for signatures, or of a kind that is not known, is
    // left out; so are RSA keys below 2048 bits.
    static Result<KeySet> parse(std::string_view jwks);

    bool has(std::string_view key_id) const;
    std::size_t size() const { return keys_.size(); }

    struct Key;

  private:
    friend std::expected<TokenClaims, TokenRefusal> check_token(std::string_view token,
                                                                const KeySet& keys,
                                                                const struct TokenRules& rules,
                                                                WallTime now);
    const Key* find(std::string_view key_id) const;

    std::vector<std::shared_ptr<const Key>> keys_;
};

struct TokenRules {
    std::string issuer;
    std::string audience;                       // one of the token's
    Duration leeway = std::chrono::seconds{0};  // how far clocks may be apart
};

std::expected<TokenClaims, TokenRefusal> check_token(std::string_view token, const KeySet& keys,
                                                     const TokenRules& rules, WallTime now);

// The key that a token names, unproven; empty when it names none.
std::string key_id_of(std::string_view token);

// The token of an Authorization header; missing or malformed.
std::expected<std::string, TokenRefusal> bearer_of(std::string_view header);

}  // namespace taskd::protocol
