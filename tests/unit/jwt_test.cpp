// Tokens: each way in which one is not good has its name; keys, and where they come from.
#include "taskd/protocol/jwt.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <deque>

#include "catch.hpp"
#include "manual_clock.hpp"
#include "memory_log.hpp"
#include "taskd/io/signing_key.hpp"
#include "taskd/io/token_verifier.hpp"
#include "taskd/protocol/base64url.hpp"

using namespace taskd;
using namespace taskd::protocol;
using namespace std::chrono_literals;
using io::SigningAlgorithm;
using io::SigningKey;

namespace {

const WallTime now{Duration{1'700'000'000'000'000}};
const TokenRules rules{.issuer = "http://issuer", .audience = "payment"};

std::string claims(const std::string& more = {}, const std::string& issuer = "http://issuer",
                   const std::string& audience = "\"payment\"",
                   const std::string& expires = "1700000060") {
    return R"({"iss":")" + issuer + R"(","sub":"order","aud":)" + audience + ",\"exp\":" + expires +
           more + "}";
}

SigningKey key_of(SigningAlgorithm algorithm) {
    return SigningKey::make(algorithm).value();
}

std::string jwks(std::initializer_list<std::string> keys) {
    std::string out = R"({"keys":[)";
    for (const std::string& each : keys)
        out += (out.back() == '[' ? "" : ",") + each;
    return out + "]}";
}

std::string token_of(const std::string& header, const std::string& body,
                     const std::string& signature = "x") {
    return encode_base64url(header) + "." + encode_base64url(body) + "." +
           encode_base64url(signature);
}

std::string_view fault(const std::string& token, const KeySet& keys, const TokenRules& by = rules) {
    const auto checked = check_token(token, keys, by, now);
    return checked ? "good" : to_text(checked.error().fault);
}

}  // namespace

TEST_CASE("a good token is taken, by either algorithm", "[jwt]") {
    for (const auto algorithm : {SigningAlgorithm::es256, SigningAlgorithm::rs256}) {
        const SigningKey key = key_of(algorithm);
        const KeySet keys = KeySet::parse(jwks({key.jwk()})).value();
        REQUIRE(keys.size() == 1);
        CHECK(keys.has(key.id()));
        const auto checked = check_token(key.sign(claims()), keys, rules, now);
        REQUIRE(checked);
        CHECK(checked->subject == "order");
        CHECK(checked->audience == std::vector<std::string>{"payment"});
        CHECK(checked->expires_at == WallTime{Duration{1'700'000'060'000'000}});
        // The same key read back from its file signs the same way.
        const SigningKey again = SigningKey::from_pem(key.pem()).value();
        CHECK(again.id() == key.id());
        CHECK(fault(again.sign(claims("", "http://issuer", R"(["a","payment"])")), keys) == "good");
        CHECK(key_id_of(key.sign(claims())) == key.id());
    }
    CHECK_FALSE(SigningKey::from_pem("no key"));
}

TEST_CASE("every other token is refused by name", "[jwt]") {
    const SigningKey ec = key_of(SigningAlgorithm::es256);
    const SigningKey rsa = key_of(SigningAlgorithm::rs256);
    const KeySet keys = KeySet::parse(jwks({ec.jwk(), rsa.jwk()})).value();
    const std::string good = ec.sign(claims());
    REQUIRE(fault(good, keys) == "good");

    CHECK(fault("", keys) == "missing");
    for (const char* text : {"a", "a.b", "a.b.c", "....", "e30.e30.", "e30=.e30=.e30="})
        CHECK(fault(text, keys) == "malformed");
    CHECK(fault(good + "=", keys) == "malformed");
    CHECK(fault(std::string(20'000, 'a'), keys) == "malformed");
    CHECK(fault(token_of(R"({"alg":"ES256","alg":"none"})", claims()), keys) == "malformed");
    CHECK(fault(token_of("[]", claims()), keys) == "malformed");
    CHECK(fault(token_of(R"({"kid":"x"})", claims()), keys) == "malformed");

    for (const char* none : {"none", "None", "NONE"})
        CHECK(fault(token_of(std::string{R"({"alg":")"} + none + R"(","kid":")" + ec.id() + "\"}",
                             claims(), ""),
                    keys) == "unsigned");

    CHECK(fault(ec.sign(claims("", "http://other")), keys) == "wrong_issuer");
    CHECK(fault(ec.sign(R"({"aud":"payment","exp":1700000060})"), keys) == "wrong_issuer");
    CHECK(fault(ec.sign(claims("", "http://issuer", "\"kitchen\"")), keys) == "wrong_audience");
    CHECK(fault(ec.sign(claims("", "http://issuer", "null")), keys) == "wrong_audience");
    CHECK(fault(ec.sign(claims("", "http://issuer", R"([1,{"a":"payment"}])")), keys) ==
          "wrong_audience");
    CHECK(fault(ec.sign(claims("", "http://issuer", "\"payment\"", "1699999999")), keys) ==
          "expired");
    CHECK(fault(ec.sign(claims("", "http://issuer", "\"payment\"", "1700000000")), keys) ==
          "expired");
    CHECK(fault(ec.sign(claims("", "http://issuer", "\"payment\"", "\"1700000060\"")), keys) ==
          "malformed");
    CHECK(fault(ec.sign(R"({"iss":"http://issuer","aud":"payment"})"), keys) == "malformed");
    CHECK(fault(ec.sign(claims(",\"nbf\":1700000001")), keys) == "not_yet_valid");
    CHECK(fault(ec.sign(claims(",\"iat\":1700000001.5")), keys) == "not_yet_valid");
    CHECK(fault(ec.sign(claims(",\"nbf\":\"soon\"")), keys) == "malformed");

    // Clocks may be a little apart when the rules say so.
    TokenRules lenient = rules;
    lenient.leeway = 5s;
    CHECK(fault(ec.sign(claims(",\"nbf\":1700000004")), keys, lenient) == "good");
    CHECK(fault(ec.sign(claims(",\"nbf\":1700000006")), keys, lenient) == "not_yet_valid");

    const SigningKey stranger = key_of(SigningAlgorithm::es256);
    CHECK(fault(stranger.sign(claims()), keys) == "unknown_key");
    CHECK(fault(token_of(R"({"alg":"ES256"})", claims()), keys) == "unknown_key");
    CHECK(fault(token_of(R"({"alg":"ES256","crit":["b64"],"kid":")" + ec.id() + "\"}", claims()),
                keys) == "unknown_critical");
}

TEST_CASE("a token that was touched proves nothing", "[jwt]") {
    const SigningKey ec = key_of(SigningAlgorithm::es256);
    const SigningKey rsa = key_of(SigningAlgorithm::rs256);
    const KeySet keys = KeySet::parse(jwks({ec.jwk(), rsa.jwk()})).value();
    for (const SigningKey* key : {&ec, &rsa}) {
        const std::string good = key->sign(claims());
        const auto first = good.find('.');
        const auto second = good.find('.', first + 1);
        const std::string signature = good.substr(second);
        const std::string header = good.substr(0, first + 1);
        const std::string other = claims(",\"admin\":true");
        CHECK(fault(header + encode_base64url(other) + signature, keys) == "bad_signature");
        CHECK(fault(good.substr(0, second + 1), keys) == "bad_signature");
        CHECK(fault(good.substr(0, second) + "." + encode_base64url(std::string(64, '\0')), keys) ==
              "bad_signature");
        CHECK(fault(good.substr(0, second) + "." + encode_base64url("short"), keys) ==
              "bad_signature");
        std::string bytes = decode_base64url(signature.substr(1)).value();
        bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
        CHECK(fault(good.substr(0, second + 1) + encode_base64url(bytes), keys) == "bad_signature");
    }
    // Signed by one key, sent under the other's name.
    const std::string by_ec = ec.sign(claims());
    const std::string swapped =
        encode_base64url(R"({"alg":"RS256","typ":"JWT","kid":")" + rsa.id() + "\"}") +
        by_ec.substr(by_ec.find('.'));
    CHECK(fault(swapped, keys) == "bad_signature");
}

TEST_CASE("the algorithm is the key's and not the token's", "[jwt]") {
    const SigningKey rsa = key_of(SigningAlgorithm::rs256);
    const KeySet keys = KeySet::parse(jwks({rsa.jwk()})).value();
    // The old trick: the public key, which everybody has, as the secret of an HMAC.
    const std::string head = encode_base64url(R"({"alg":"HS256","kid":")" + rsa.id() + "\"}") +
                             "." + encode_base64url(claims());
    const std::string secret = rsa.jwk();
    unsigned char digest[32];
    unsigned size = 0;
    HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
         reinterpret_cast<const unsigned char*>(head.data()), head.size(), digest, &size);
    const std::string forged =
        head + "." + encode_base64url({reinterpret_cast<const char*>(digest), size});
    CHECK(fault(forged, keys) == "foreign_algorithm");
    // Of the two that are known, only the key's own.
    CHECK(fault(token_of(R"({"alg":"ES256","kid":")" + rsa.id() + "\"}", claims()), keys) ==
          "foreign_algorithm");
    CHECK(fault(token_of(R"({"alg":"RS512","kid":")" + rsa.id() + "\"}", claims()), keys) ==
          "foreign_algorithm");
}

TEST_CASE("a set leaves out keys that it cannot use", "[jwt]") {
    const SigningKey ec = key_of(SigningAlgorithm::es256);
    std::string other_use = ec.jwk();
    other_use.replace(other_use.find("\"sig\""), 5, "\"enc\"");
    std::string other_algorithm = ec.jwk();
    other_algorithm.replace(other_algorithm.find("ES256"), 5, "RS256");
    std::string off_curve = ec.jwk();
    const auto x = off_curve.find("\"x\":\"") + 5;
    off_curve[x] = off_curve[x] == 'A' ? 'B' : 'A';
    const std::string small = R"({"kty":"RSA","kid":"s","e":"AQAB","n":")" +
                              encode_base64url(std::string(64, '\x7f')) + "\"}";
    const std::string secret = R"({"kty":"oct","kid":"o","k":"AAAA"})";
    const auto keys =
        KeySet::parse(jwks({other_use, other_algorithm, off_curve, small, secret, "1", ec.jwk()}));
    REQUIRE(keys);
    CHECK(keys->size() == 1);
    CHECK(KeySet::parse(R"({"keys":[]})")->size() == 0);
    for (const char* text : {"", "[]", "{}", R"({"keys":1})", "no"})
        CHECK_FALSE(KeySet::parse(text));
}

TEST_CASE("an Authorization header holds a bearer token", "[jwt]") {
    CHECK(bearer_of("Bearer a.b.c").value() == "a.b.c");
    CHECK(bearer_of("bearer  a.b.c").value() == "a.b.c");
    for (const char* header : {"", "Bearer", "Basic a.b.c", "Bearer "})
        CHECK(to_text(bearer_of(header).error().fault) == "missing");
}

TEST_CASE("Base64 for URLs is read in one way alone", "[jwt]") {
    CHECK(encode_base64url("\xfb\xff\xfe") == "-__-");
    CHECK(encode_base64url("a") == "YQ");
    CHECK(decode_base64url("YQ").value() == "a");
    CHECK(decode_base64url("").value().empty());
    for (const char* text : {"YQ==", "YR", "Y", "+/", "Y Q"})
        CHECK_FALSE(decode_base64url(text));
}

// ---- where the keys come from ------------------------------------------------------------------

namespace {

// Answers when the test says so.
class Provider final : public port::HttpExchange {
  public:
    void send(const std::string& base, port::HttpRequest request, Duration,
              std::function<void(Result<port::HttpResponse>)> then) override {
        asked.push_back(base + request.target);
        then_.push_back(std::move(then));
    }
    void answer(Result<port::HttpResponse> response) {
        REQUIRE_FALSE(then_.empty());
        auto then = std::move(then_.front());
        then_.pop_front();
        then(std::move(response));
    }
    void configuration() {
        answer(port::HttpResponse{
            200, {}, R"({"issuer":"http://issuer","jwks_uri":"http://keys/set"})"});
    }
    void keys(std::initializer_list<std::string> all) {
        answer(port::HttpResponse{200, {}, jwks(all)});
    }
    std::size_t open() const { return then_.size(); }
    std::vector<std::string> asked;

  private:
    std::deque<std::function<void(Result<port::HttpResponse>)>> then_;
};

struct VerifierWorld {
    support::ManualClock clock;
    test::MemoryLog log;
    Provider provider;
    io::TokenVerifier verifier{
        {.provider = "http://provider", .issuer = "http://issuer", .audience = "payment"},
        provider,
        clock,
        log};
    std::vector<std::string> said;

    void check(const std::string& token) {
        verifier.check("Bearer " + token, [this](const io::TokenVerifier::Verdict& verdict) {
            said.emplace_back(verdict ? "good" : to_text(verdict.error().fault));
        });
    }
};

}  // namespace

TEST_CASE("the verifier finds the keys, keeps them, and asks again for one it does not know",
          "[jwt]") {
    VerifierWorld world;
    SigningKey first = key_of(SigningAlgorithm::es256);
    SigningKey second = key_of(SigningAlgorithm::es256);
    world.check(first.sign(claims()));
    world.check(first.sign(claims()));  // waits for the same answer
    CHECK(world.said.empty());
    world.provider.configuration();
    world.provider.keys({first.jwk()});
    CHECK(world.said == std::vector<std::string>{"good", "good"});
    CHECK(world.provider.asked ==
          std::vector<std::string>{"http://provider/.well-known/openid-configuration",
                                   "http://keys/set"});
    world.check(first.sign(claims()));
    CHECK(world.said.size() == 3);  // at once

    // A new key signs: the set is read again, but not for each forged token.
    world.clock.advance(2s);
    world.check(second.sign(claims()));
    world.provider.configuration();
    world.provider.keys({second.jwk(), first.jwk()});
    CHECK(world.said.back() == "good");
    for (int i = 0; i < 10; ++i)
        world.check(key_of(SigningAlgorithm::es256).sign(claims()));
    CHECK(world.provider.open() == 0);
    CHECK(world.said.back() == "unknown_key");

    // The issuer is away when the keys are old: those that were read go on.
    world.clock.advance(6min);
    world.check(first.sign(claims("", "http://issuer", "\"payment\"", "1800000000")));
    CHECK(world.said.back() == "good");  // does not wait for the answer
    CHECK(world.provider.open() == 1);
    world.provider.answer(fail(ErrorCode::unreachable, "nobody"));
    world.check(first.sign(claims("", "http://issuer", "\"payment\"", "1800000000")));
    CHECK(world.said.back() == "good");
    CHECK(world.verifier.questions() == 5);
}

TEST_CASE("without keys nothing is taken, and no issuer speaks for another", "[jwt]") {
    VerifierWorld world;
    const SigningKey key = key_of(SigningAlgorithm::es256);
    world.check(key.sign(claims()));
    world.provider.answer(fail(ErrorCode::unreachable, "nobody"));
    CHECK(world.said.back() == "no_keys");
    world.check(key.sign(claims()));  // not asked again at once
    CHECK(world.provider.open() == 0);
    CHECK(world.said.back() == "no_keys");
    for (const char* body : {"no JSON", R"({"issuer":"http://evil","jwks_uri":"http://keys/set"})",
                             R"({"issuer":"http://issuer","jwks_uri":"keys"})"}) {
        world.clock.advance(2s);
        world.check(key.sign(claims()));
        world.provider.answer(port::HttpResponse{200, {}, body});
        CHECK(world.said.back() == "no_keys");
    }
    world.clock.advance(2s);
    world.check(key.sign(claims()));
    world.provider.configuration();
    world.provider.answer(port::HttpResponse{500, {}, "{}"});
    CHECK(world.said.back() == "no_keys");
    world.verifier.check("Basic x", [&](const io::TokenVerifier::Verdict& verdict) {
        CHECK(verdict.error().fault == TokenFault::missing);
    });
    CHECK(io::split_address("http://a:1/b/c").value() ==
          std::pair<std::string, std::string>{"http://a:1", "/b/c"});
    CHECK_FALSE(io::split_address("a/b"));
}
