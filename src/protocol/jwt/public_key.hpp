// One public key of a JWKS, and what it proves. Pure.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <string>
#include <string_view>

#include "taskd/base/result.hpp"
#include "taskd/protocol/jwt.hpp"

namespace taskd::protocol {

struct PkeyFree {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Pkey = std::unique_ptr<EVP_PKEY, PkeyFree>;

struct KeySet::Key {
    std::string id;
    std::string algorithm;  // "ES256" or "RS256"
    Pkey pkey;

    bool proves(std::string_view signature, std::string_view text) const;
};

// Null when it is of another kind or not whole.
std::shared_ptr<const KeySet::Key> read_key(std::string_view jwk);

}  // namespace taskd::protocol
