#include "taskd/protocol/webhook_signature.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <charconv>

#include "taskd/base/assert.hpp"

namespace taskd::protocol {
namespace {

std::string proof_of(std::string_view secret, std::string_view seconds, std::string_view body) {
    std::string text{seconds};
    text.append(".").append(body);
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned size = 0;
    const auto* made = HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
                            reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                            digest.data(), &size);
    TASKD_ASSERT(made != nullptr);
    constexpr std::string_view digits = "0123456789abcdef";
    std::string hex;
    for (unsigned i = 0; i < size; ++i) {
        hex.push_back(digits[digest[i] >> 4]);
        hex.push_back(digits[digest[i] & 15]);
    }
    return hex;
}

std::string seconds_of(WallTime time) {
    return std::to_string(time.time_since_epoch() / std::chrono::seconds{1});
}

}  // namespace

std::string sign_webhook(std::string_view secret, WallTime now, std::string_view body) {
    const std::string seconds = seconds_of(now);
    return "t=" + seconds + ",v1=" + proof_of(secret, seconds, body);
}

bool check_webhook(std::string_view header, std::string_view secret, WallTime now,
                   Duration tolerance, std::string_view body) {
    constexpr std::string_view first = "t=";
    constexpr std::string_view second = ",v1=";
    const std::size_t comma = header.find(second);
    if (!header.starts_with(first) || comma == std::string_view::npos) return false;
    const std::string_view seconds = header.substr(first.size(), comma - first.size());
    std::int64_t value = 0;
    const char* last = seconds.data() + seconds.size();
    const auto [stop, error] = std::from_chars(seconds.data(), last, value);
    if (error != std::errc{} || stop != last || value < 0 || value > INT64_MAX / 2'000'000)
        return false;
    const Duration apart = now - WallTime{std::chrono::seconds{value}};
    if (apart > tolerance || -apart > tolerance) return false;
    const std::string expected = proof_of(secret, seconds, body);
    const std::string_view given = header.substr(comma + second.size());
    return given.size() == expected.size() &&
           CRYPTO_memcmp(given.data(), expected.data(), expected.size()) == 0;
}

}  // namespace taskd::protocol
