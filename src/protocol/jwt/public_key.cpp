#include "protocol/jwt/public_key.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>

#include "taskd/protocol/base64url.hpp"
#include "taskd/protocol/json_view.hpp"

namespace taskd::protocol {
namespace {

constexpr std::size_t coordinate_bytes = 32;  // of P-256
constexpr int rsa_bits_min = 2048;

template <auto Free>
struct Freed {
    template <class T>
    void operator()(T* it) const {
        Free(it);
    }
};
using Number = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, Freed<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Freed<OSSL_PARAM_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using Signature = std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG_free>>;

const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

Number number_of(std::string_view bytes) {
    return Number{BN_bin2bn(bytes_of(bytes), static_cast<int>(bytes.size()), nullptr)};
}

Pkey key_of(const char* kind, OSSL_PARAM_BLD* builder) {
    const Params params{OSSL_PARAM_BLD_to_param(builder)};
    const KeyContext context{EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr)};
    EVP_PKEY* key = nullptr;
    if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
        return nullptr;
    return Pkey{key};
}

Pkey read_ec(const JsonView& jwk) {
    const auto x = decode_base64url(jwk["x"].text());
    const auto y = decode_base64url(jwk["y"].text());
    if (jwk["crv"].text() != "P-256" || !x || !y) return nullptr;
    if (x->size() != coordinate_bytes || y->size() != coordinate_bytes) return nullptr;
    const std::string point = '\x04' + *x + *y;
    const Builder builder{OSSL_PARAM_BLD_new()};
    if (!builder ||
        OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1",
                                        0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                         point.size()) != 1)
        return nullptr;
    return key_of("EC", builder.get());
}

Pkey read_rsa(const JsonView& jwk) {
    const auto n = decode_base64url(jwk["n"].text());
    const auto e = decode_base64url(jwk["e"].text());
    if (!n || !e || n->empty() || e->empty()) return nullptr;
    const Number modulus = number_of(*n);
    const Number exponent = number_of(*e);
    if (!modulus || !exponent || BN_num_bits(modulus.get()) < rsa_bits_min) return nullptr;
    const Builder builder{OSSL_PARAM_BLD_new()};
    if (!builder ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1)
        return nullptr;
    return key_of("RSA", builder.get());
}

// A token has the two numbers side by side, the library wants them in DER.
std::string der_of(std::string_view signature) {
    if (signature.size() != 2 * coordinate_bytes) return {};
    const Signature pair{ECDSA_SIG_new()};
    if (!pair) return {};
    // The pair takes both over, or neither.
    BIGNUM* r = number_of(signature.substr(0, coordinate_bytes)).release();
    BIGNUM* s = number_of(signature.substr(coordinate_bytes)).release();
    if (ECDSA_SIG_set0(pair.get(), r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return {};
    }
    const int size = i2d_ECDSA_SIG(pair.get(), nullptr);
    if (size <= 0) return {};
    std::string der(static_cast<std::size_t>(size), '\0');
    auto* out = reinterpret_cast<unsigned char*>(der.data());
    return i2d_ECDSA_SIG(pair.get(), &out) == size ? der : std::string{};
}

}  // namespace

bool KeySet::Key::proves(std::string_view signature, std::string_view text) const {
    std::string der;
    if (algorithm == "ES256") {
        der = der_of(signature);
        signature = der;
    }
    if (signature.empty()) return false;
    const DigestContext context{EVP_MD_CTX_new()};
    return context &&
           EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, pkey.get()) == 1 &&
           EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(text),
                            text.size()) == 1;
}

std::shared_ptr<const KeySet::Key> read_key(std::string_view raw) {
    const JsonView jwk{raw};
    const std::string kind = jwk["kty"].text();
    const std::string use = jwk["use"].text();
    if (!use.empty() && use != "sig") return nullptr;
    auto key = std::make_shared<KeySet::Key>();
    key->id = jwk["kid"].text();
    key->algorithm = kind == "EC" ? "ES256" : kind == "RSA" ? "RS256" : "";
    const std::string said = jwk["alg"].text();
    if (key->id.empty() || key->algorithm.empty()) return nullptr;
    if (!said.empty() && said != key->algorithm) return nullptr;
    key->pkey = kind == "EC" ? read_ec(jwk) : read_rsa(jwk);
    return key->pkey ? key : nullptr;
}

}  // namespace taskd::protocol
