#include "taskd/io/signing_key.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <array>

#include "taskd/base/assert.hpp"
#include "taskd/protocol/base64url.hpp"

namespace taskd::io {
namespace {

using protocol::encode_base64url;

constexpr unsigned rsa_bits = 2048;
constexpr std::size_t coordinate_bytes = 32;  // of P-256

template <auto Free>
struct Freed {
    template <class T>
    void operator()(T* it) const {
        Free(it);
    }
};
using Pkey = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Number = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using Memory = std::unique_ptr<BIO, Freed<BIO_vfree>>;
using Signature = std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG_free>>;

unsigned char* bytes_of(std::string& text) {
    return reinterpret_cast<unsigned char*>(text.data());
}

// A number of the key, big-endian; as long as it is, or padded to `size`.
std::string number_of(const EVP_PKEY* key, const char* name, std::size_t size = 0) {
    BIGNUM* raw = nullptr;
    TASKD_ASSERT(EVP_PKEY_get_bn_param(key, name, &raw) == 1);
    const Number number{raw};
    const int wanted = size == 0 ? BN_num_bytes(raw) : static_cast<int>(size);
    std::string bytes(static_cast<std::size_t>(wanted), '\0');
    TASKD_ASSERT(BN_bn2binpad(raw, bytes_of(bytes), wanted) == wanted);
    return encode_base64url(bytes);
}

// The library signs in DER, a token has the two numbers side by side.
std::string pair_of(std::string_view der) {
    const auto* in = reinterpret_cast<const unsigned char*>(der.data());
    const Signature pair{d2i_ECDSA_SIG(nullptr, &in, static_cast<long>(der.size()))};
    TASKD_ASSERT(pair != nullptr);
    std::string both(2 * coordinate_bytes, '\0');
    constexpr int size = coordinate_bytes;
    TASKD_ASSERT(BN_bn2binpad(ECDSA_SIG_get0_r(pair.get()), bytes_of(both), size) == size);
    TASKD_ASSERT(BN_bn2binpad(ECDSA_SIG_get0_s(pair.get()), bytes_of(both) + size, size) == size);
    return both;
}

std::string sha256(std::string_view text) {
    std::string digest(32, '\0');
    TASKD_ASSERT(EVP_Digest(text.data(), text.size(), bytes_of(digest), nullptr, EVP_sha256(),
                            nullptr) == 1);
    return digest;
}

}  // namespace

struct SigningKey::Impl {
    explicit Impl(Pkey made)
        : pkey{std::move(made)}, is_ec{EVP_PKEY_get_base_id(pkey.get()) == EVP_PKEY_EC} {
        // The members of a thumbprint stand in alphabetic order, without blanks.
        std::string members;
        if (is_ec)
            members = R"("crv":"P-256","kty":"EC","x":")" +
                      number_of(pkey.get(), OSSL_PKEY_PARAM_EC_PUB_X, coordinate_bytes) +
                      R"(","y":")" +
                      number_of(pkey.get(), OSSL_PKEY_PARAM_EC_PUB_Y, coordinate_bytes) + "\"";
        else
            members = R"("e":")" + number_of(pkey.get(), OSSL_PKEY_PARAM_RSA_E) +
                      R"(","kty":"RSA","n":")" + number_of(pkey.get(), OSSL_PKEY_PARAM_RSA_N) +
                      "\"";
        id = encode_base64url(sha256("{" + members + "}"));
        jwk = R"({"kid":")" + id + R"(","use":"sig","alg":")" + (is_ec ? "ES256" : "RS256") +
              "\"," + members + "}";
    }

    Pkey pkey;
    bool is_ec;
    std::string id;
    std::string jwk;
};

SigningKey::SigningKey(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
SigningKey::~SigningKey() = default;
SigningKey::SigningKey(SigningKey&&) noexcept = default;
SigningKey& SigningKey::operator=(SigningKey&&) noexcept = default;

Result<SigningKey> SigningKey::make(SigningAlgorithm algorithm) {
    Pkey key{algorithm == SigningAlgorithm::es256 ? EVP_EC_gen("P-256") : EVP_RSA_gen(rsa_bits)};
    if (!key) return fail(ErrorCode::internal, "OpenSSL makes no key");
    return SigningKey{std::make_unique<Impl>(std::move(key))};
}

Result<SigningKey> SigningKey::from_pem(std::string_view pem) {
    const Memory in{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
    Pkey key{PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr)};
    if (!key) return fail(ErrorCode::config_invalid, "no private key in PEM");
    const bool is_rsa = EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_RSA &&
                        EVP_PKEY_get_bits(key.get()) >= static_cast<int>(rsa_bits);
    std::array<char, 32> group{};
    const bool is_ec =
        EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_EC &&
        EVP_PKEY_get_group_name(key.get(), group.data(), group.size(), nullptr) == 1 &&
        std::string_view{group.data()} == "prime256v1";
    if (!is_rsa && !is_ec) return fail(ErrorCode::config_invalid, "a key of another kind");
    return SigningKey{std::make_unique<Impl>(std::move(key))};
}

std::string SigningKey::pem() const {
    const Memory out{BIO_new(BIO_s_mem())};
    TASKD_ASSERT(PEM_write_bio_PKCS8PrivateKey(out.get(), impl_->pkey.get(), nullptr, nullptr, 0,
                                               nullptr, nullptr) == 1);
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

const std::string& SigningKey::id() const {
    return impl_->id;
}

const std::string& SigningKey::jwk() const {
    return impl_->jwk;
}

std::string SigningKey::sign(std::string_view claims) const {
    std::string header = R"({"alg":")";
    header.append(impl_->is_ec ? "ES256" : "RS256");
    header.append(R"(","typ":"JWT","kid":")").append(impl_->id).append("\"}");
    std::string token = encode_base64url(header) + "." + encode_base64url(claims);
    const DigestContext context{EVP_MD_CTX_new()};
    std::size_t size = 0;
    const auto* text = reinterpret_cast<const unsigned char*>(token.data());
    TASKD_ASSERT(
        EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, impl_->pkey.get()) == 1);
    TASKD_ASSERT(EVP_DigestSign(context.get(), nullptr, &size, text, token.size()) == 1);
    std::string signature(size, '\0');
    TASKD_ASSERT(EVP_DigestSign(context.get(), bytes_of(signature), &size, text, token.size()) ==
                 1);
    signature.resize(size);
    return token + "." + encode_base64url(impl_->is_ec ? pair_of(signature) : signature);
}

}  // namespace taskd::io
