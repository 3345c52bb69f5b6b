#include "taskd/protocol/jwt.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "protocol/jwt/public_key.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/protocol/base64url.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"

namespace taskd::protocol {
namespace {

constexpr std::size_t token_bytes_max = 16 * limits::kibibyte;  // as much as a request's head
constexpr std::size_t detail_bytes_max = 200;
constexpr double seconds_max = 253'402'300'799.0;  // the year 9999

constexpr std::array<std::string_view, 12> fault_names = {
    "missing",     "malformed",     "unsigned",         "foreign_algorithm",
    "unknown_key", "bad_signature", "wrong_issuer",     "wrong_audience",
    "expired",     "not_yet_valid", "unknown_critical", "no_keys"};

// What a token says of itself may be as long as whoever made it likes.
std::unexpected<TokenRefusal> refuse(TokenFault fault, std::string detail = {}) {
    if (detail.size() > detail_bytes_max) {
        std::size_t end = detail_bytes_max;
        while (end > 0 && (static_cast<unsigned char>(detail[end]) & 0xC0) == 0x80)
            --end;
        detail.replace(end, std::string::npos, "…");
    }
    return std::unexpected{TokenRefusal{fault, std::move(detail)}};
}

struct Parts {
    std::string header;
    std::string claims;
    std::string signature;
    std::string_view signed_text;
};

// An object whose every name stands once: two readers must not see two tokens.
bool is_object(std::string_view json) {
    if (!check_json(json)) return false;
    const auto begin = json.find_first_not_of(" \t\r\n");
    return json[begin] == '{' && split_object(json).has_value();
}

std::optional<Parts> split(std::string_view token) {
    if (token.size() > token_bytes_max) return std::nullopt;
    const std::size_t first = token.find('.');
    if (first == std::string_view::npos) return std::nullopt;
    const std::size_t second = token.find('.', first + 1);
    if (second == std::string_view::npos) return std::nullopt;
    auto header = decode_base64url(token.substr(0, first));
    auto claims = decode_base64url(token.substr(first + 1, second - first - 1));
    auto signature = decode_base64url(token.substr(second + 1));
    if (!header || !claims || !signature) return std::nullopt;
    if (!is_object(*header) || !is_object(*claims)) return std::nullopt;
    return Parts{std::move(*header), std::move(*claims), std::move(*signature),
                 token.substr(0, second)};
}

// Seconds since 1970, with or without a fraction.
std::optional<WallTime> time_of(const JsonView& claim) {
    double seconds = 0;
    const std::string_view raw = claim.raw();
    const auto [end, error] = std::from_chars(raw.data(), raw.data() + raw.size(), seconds);
    if (error != std::errc{} || end != raw.data() + raw.size()) return std::nullopt;
    if (!(seconds >= 0 && seconds <= seconds_max)) return std::nullopt;
    return WallTime{Duration{static_cast<std::int64_t>(seconds * 1e6)}};
}

bool is_text(const JsonView& claim) {
    return !claim.empty() && kind_of(claim.raw()) == JsonKind::string;
}

std::vector<std::string> audience_of(const JsonView& claim) {
    std::vector<std::string> all;
    if (is_text(claim)) all.push_back(claim.text());
    if (!claim.empty() && kind_of(claim.raw()) == JsonKind::array)
        for (const JsonView& each : claim.items())
            if (is_text(each)) all.push_back(each.text());
    return all;
}

std::expected<TokenClaims, TokenRefusal> check_claims(std::string json, const TokenRules& rules,
                                                      WallTime now) {
    const JsonView view{json};
    TokenClaims claims;
    if (is_text(view["iss"])) claims.issuer = view["iss"].text();
    if (is_text(view["sub"])) claims.subject = view["sub"].text();
    claims.audience = audience_of(view["aud"]);
    if (claims.issuer != rules.issuer) return refuse(TokenFault::wrong_issuer, claims.issuer);
    if (std::ranges::find(claims.audience, rules.audience) == claims.audience.end())
        return refuse(TokenFault::wrong_audience, "it is not for " + rules.audience);
    const auto expires = time_of(view["exp"]);
    if (!expires) return refuse(TokenFault::malformed, "exp");
    if (now >= *expires + rules.leeway)
        return refuse(TokenFault::expired, "since " + to_rfc3339(*expires));
    for (const char* name : {"nbf", "iat"}) {
        if (view[name].empty()) continue;
        const auto from = time_of(view[name]);
        if (!from) return refuse(TokenFault::malformed, name);
        if (now + rules.leeway < *from)
            return refuse(TokenFault::not_yet_valid, "before " + to_rfc3339(*from));
    }
    claims.expires_at = *expires;
    claims.json = std::move(json);
    return claims;
}

}  // namespace

std::string_view to_text(TokenFault fault) {
    return fault_names[static_cast<std::size_t>(fault)];
}

Result<KeySet> KeySet::parse(std::string_view jwks) {
    if (!check_json(jwks) || !split_object(jwks)) return fail(ErrorCode::bad_answer, "no JWKS");
    const JsonView list = JsonView{jwks}["keys"];
    if (list.empty() || kind_of(list.raw()) != JsonKind::array)
        return fail(ErrorCode::bad_answer, "no JWKS: keys");
    KeySet set;
    for (const JsonView& each : list.items())
        if (auto key = read_key(each.raw()); key && !set.has(key->id))
            set.keys_.push_back(std::move(key));
    return set;
}

const KeySet::Key* KeySet::find(std::string_view key_id) const {
    const auto found =
        std::ranges::find_if(keys_, [&](const auto& it) { return it->id == key_id; });
    return found == keys_.end() ? nullptr : found->get();
}

bool KeySet::has(std::string_view key_id) const {
    return find(key_id) != nullptr;
}

std::expected<TokenClaims, TokenRefusal> check_token(std::string_view token, const KeySet& keys,
                                                     const TokenRules& rules, WallTime now) {
    if (token.empty()) return refuse(TokenFault::missing);
    auto parts = split(token);
    if (!parts) return refuse(TokenFault::malformed, "three parts of base64url and JSON");
    const JsonView header{parts->header};
    const std::string algorithm = header["alg"].text();
    if (algorithm.empty()) return refuse(TokenFault::malformed, "alg");
    std::string lower = algorithm;
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    });
    if (lower == "none") return refuse(TokenFault::not_signed);
    if (algorithm != "ES256" && algorithm != "RS256")
        return refuse(TokenFault::foreign_algorithm, algorithm);
    if (!header["crit"].empty()) return refuse(TokenFault::unknown_critical);
    const KeySet::Key* key = keys.find(header["kid"].text());
    if (key == nullptr) return refuse(TokenFault::unknown_key, header["kid"].text());
    if (key->algorithm != algorithm) return refuse(TokenFault::foreign_algorithm, algorithm);
    if (!key->proves(parts->signature, parts->signed_text))
        return refuse(TokenFault::bad_signature);
    return check_claims(std::move(parts->claims), rules, now);
}

std::string key_id_of(std::string_view token) {
    const auto parts = split(token);
    return parts ? JsonView{parts->header}["kid"].text() : std::string{};
}

std::expected<std::string, TokenRefusal> bearer_of(std::string_view header) {
    if (header.empty()) return refuse(TokenFault::missing);
    constexpr std::string_view scheme = "bearer ";
    if (header.size() <= scheme.size()) return refuse(TokenFault::missing, "not a bearer token");
    for (std::size_t i = 0; i < scheme.size(); ++i) {
        const char c = header[i];
        if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c) != scheme[i])
            return refuse(TokenFault::missing, "not a bearer token");
    }
    return std::string{header.substr(header.find_first_not_of(' ', scheme.size() - 1))};
}

}  // namespace taskd::protocol
