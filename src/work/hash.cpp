// hash: the digest of a text in hex. The payload is the text, or {"text", "algorithm"}.
#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "taskd/work/work.hpp"
#include "work/payload.hpp"

namespace taskd::work {
namespace {

constexpr std::array algorithms{"sha256",     "sha1",       "sha224",   "sha384",   "sha512",
                                "sha512-256", "sha3-224",   "sha3-256", "sha3-384", "sha3-512",
                                "blake2s256", "blake2b512", "md5"};

struct Order {
    std::string text;
    std::string algorithm = algorithms.front();
};

bool is_known(std::string_view algorithm) {
    return std::ranges::count(algorithms, algorithm) > 0;
}

std::expected<Order, TaskError> order_of(const Payload& payload) {
    Order order;
    if (payload.value().kind != Kind::object) {
        auto text = text_of(payload);
        if (!text && payload.value().kind != Kind::array)
            return refuse(
                ErrorCode::bad_payload,
                fmt::format("expected a string, an array of strings or an object with text and "
                            "algorithm, got {}",
                            to_text(payload.value().kind)));
        if (!text) return std::unexpected{std::move(text).error()};
        order.text = std::move(*text);
        return order;
    }
    bool has_text = false;
    for (const auto& [name, value] : payload.fields()) {
        if (name != "text" && name != "algorithm")
            return refuse(
                ErrorCode::bad_payload,
                fmt::format("unknown field {}; known are text and algorithm", shown(name)));
        if (value.kind != Kind::string)
            return refuse(ErrorCode::bad_payload, fmt::format("expected a string as {}, got {}",
                                                              name, to_text(value.kind)));
        (name == "text" ? order.text : order.algorithm) = value.text;
        has_text |= name == "text";
    }
    if (!has_text) return refuse(ErrorCode::bad_payload, "the field text is missing");
    if (!is_known(order.algorithm))
        return refuse(ErrorCode::bad_payload,
                      fmt::format("unknown algorithm {}; known are {}", shown(order.algorithm),
                                  fmt::join(algorithms, ", ")));
    return order;
}

}  // namespace

std::expected<Outcome, TaskError> hash(std::string_view payload_json) {
    const auto payload = Payload::read(payload_json);
    if (!payload) return std::unexpected{payload.error()};
    const auto order = order_of(*payload);
    if (!order) return std::unexpected{order.error()};
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    std::size_t length = 0;
    if (EVP_Q_digest(nullptr, order->algorithm.c_str(), nullptr, order->text.data(),
                     order->text.size(), digest.data(), &length) != 1)
        return refuse(ErrorCode::worker_failed,
                      fmt::format("OpenSSL on this machine does not offer {}", order->algorithm));
    return Outcome{.result_json = fmt::format(
                       "\"{:02x}\"", fmt::join(digest.begin(), digest.begin() + length, ""))};
}

}  // namespace taskd::work
