// A private key that signs tokens (RFC 7519), by ES256 or RS256. Blocking: making an RSA key takes
// some tenths of a second.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "taskd/base/result.hpp"

namespace taskd::io {

enum class SigningAlgorithm { es256, rs256 };

class SigningKey {
  public:
    static Result<SigningKey> make(SigningAlgorithm algorithm);
    // config_invalid when it is no private key of either kind.
    static Result<SigningKey> from_pem(std::string_view pem);
    ~SigningKey();
    SigningKey(SigningKey&&) noexcept;
    SigningKey& operator=(SigningKey&&) noexcept;

    std::string pem() const;         // PKCS #8, not encrypted
    const std::string& id() const;   // its thumbprint (RFC 7638)
    const std::string& jwk() const;  // the public half, as a JWKS has it
    // A token with these claims, one JSON object.
    std::string sign(std::string_view claims) const;

  private:
    struct Impl;
    explicit SigningKey(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace taskd::io
