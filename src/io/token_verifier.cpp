#include "taskd/io/token_verifier.hpp"

#include <optional>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"

namespace taskd::io {

using protocol::JsonView;
using protocol::KeySet;
using protocol::TokenFault;
using protocol::TokenRefusal;

struct TokenVerifier::Impl : std::enable_shared_from_this<Impl> {
    Impl(TokenVerifierSettings given, port::HttpExchange& http_port, const port::Clock& the_clock,
         port::Log& the_log)
        : settings{std::move(given)}, http{http_port}, clock{the_clock}, log{the_log} {
        if (settings.issuer.empty()) settings.issuer = settings.provider;
    }

    struct Waiter {
        std::string token;
        std::function<void(Verdict)> then;
    };

    Verdict check(std::string_view token) const {
        if (!keys) return std::unexpected{TokenRefusal{TokenFault::no_keys, why}};
        return protocol::check_token(
            token, *keys, {settings.issuer, settings.audience, settings.leeway}, clock.wall());
    }

    bool wants_keys(std::string_view token) const {
        const SteadyTime now = clock.steady();
        if (asked && now < *asked + settings.again_after) return false;
        if (!keys || now >= read + settings.keys_kept) return true;
        const std::string id = protocol::key_id_of(token);
        return !id.empty() && !keys->has(id);
    }

    void ask() {
        asking = true;
        asked = clock.steady();
        get(settings.provider, "/.well-known/openid-configuration",
            [this](const JsonView& answer) -> std::string {
                if (answer["issuer"].text() != settings.issuer)
                    return "the provider calls itself " + answer["issuer"].text();
                const auto address = split_address(answer["jwks_uri"].text());
                if (!address) return "jwks_uri: " + address.error().to_string();
                ask_keys(address->first, address->second);
                return {};
            });
    }

    void ask_keys(const std::string& base, const std::string& path) {
        get(base, path, [this](const JsonView& answer) -> std::string {
            auto set = KeySet::parse(answer.raw());
            if (!set) return set.error().to_string();
            keys = std::move(*set);
            read = clock.steady();
            end({});
            return {};
        });
    }

    // `take` answers what is wrong with the answer, or goes on itself.
    void get(const std::string& base, const std::string& path,
             std::function<std::string(const JsonView&)> take) {
        ++questions;
        http.send(
            base, {"GET", path, {}, {}}, settings.timeout,
            [self = weak_from_this(), take = std::move(take)](Result<port::HttpResponse> answer) {
                const auto here = self.lock();
                if (!here) return;
                if (!answer) return here->end(answer.error().to_string());
                if (answer->status != 200 || !protocol::check_json(answer->body))
                    return here->end("it answered " + std::to_string(answer->status));
                if (std::string fault = take(JsonView{answer->body}); !fault.empty())
                    here->end(std::move(fault));
            });
    }

    void end(std::string fault) {
        if (!fault.empty())
            log.warn("the keys of the token issuer cannot be read",
                     {{"issuer", settings.issuer}, {"error", fault}});
        why = std::move(fault);
        asking = false;
        auto served = std::exchange(waiting, {});
        for (Waiter& each : served)
            each.then(check(each.token));
    }

    TokenVerifierSettings settings;
    port::HttpExchange& http;
    const port::Clock& clock;
    port::Log& log;
    std::optional<KeySet> keys;
    SteadyTime read{};
    std::optional<SteadyTime> asked;
    bool asking = false;
    std::string why = "they were not asked for yet";
    std::vector<Waiter> waiting;
    std::uint64_t questions = 0;
};

TokenVerifier::TokenVerifier(TokenVerifierSettings settings, port::HttpExchange& http,
                             const port::Clock& clock, port::Log& log)
    : impl_{std::make_shared<Impl>(std::move(settings), http, clock, log)} {}

TokenVerifier::~TokenVerifier() = default;

void TokenVerifier::check(std::string_view authorization, std::function<void(Verdict)> then) {
    auto token = protocol::bearer_of(authorization);
    if (!token) return then(std::unexpected{std::move(token.error())});
    if (!impl_->asking && impl_->wants_keys(*token)) impl_->ask();
    // One whose key may come with the answer that is on its way waits for it; others need not.
    const bool lacks = !impl_->keys || !impl_->keys->has(protocol::key_id_of(*token));
    if (impl_->asking && lacks)
        return impl_->waiting.push_back({std::move(*token), std::move(then)});
    then(impl_->check(*token));
}

std::uint64_t TokenVerifier::questions() const {
    return impl_->questions;
}

Result<std::pair<std::string, std::string>> split_address(std::string_view url) {
    const std::size_t scheme = url.find("://");
    if (scheme == std::string_view::npos) return fail(ErrorCode::bad_address, std::string{url});
    const std::size_t path = url.find('/', scheme + 3);
    if (path == std::string_view::npos) return std::pair{std::string{url}, std::string{"/"}};
    return std::pair{std::string{url.substr(0, path)}, std::string{url.substr(path)}};
}

}  // namespace taskd::io
