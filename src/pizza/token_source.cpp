#include "taskd/pizza/token_source.hpp"

#include "taskd/io/token_verifier.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::pizza {
namespace {

constexpr Duration renew_pause = std::chrono::seconds{1};
constexpr std::uint64_t usual_life_seconds = 60;  // of a token that does not say

}  // namespace

TokenSource::TokenSource(TokenSourceSettings settings, port::HttpExchange& http,
                         const port::Clock& clock)
    : settings_{std::move(settings)}, http_{http}, clock_{clock} {}

bool TokenSource::refused(const std::string& header) {
    if (header != header_) return true;
    const SteadyTime now = clock_.steady();
    if (dropped_ && now < *dropped_ + renew_pause) return false;
    dropped_ = now;
    header_.clear();
    return true;
}

void TokenSource::get(std::function<void(Result<std::string>)> then) {
    if (settings_.provider.empty()) return then(std::string{});
    if (!header_.empty() && clock_.steady() < until_) return then(header_);
    waiting_.push_back(std::move(then));
    if (waiting_.size() == 1) ask();
}

void TokenSource::ask() {
    if (endpoint_.first.empty()) return discover();
    ask_token();
}

// OpenID Connect Discovery 1.0, section 4.
void TokenSource::discover() {
    const auto issuer = io::split_address(settings_.provider);
    if (!issuer) return end(std::unexpected{issuer.error()});
    const std::string path = issuer->second == "/" ? std::string{} : issuer->second;
    http_.send(
        issuer->first, {"GET", path + "/.well-known/openid-configuration", {}, {}},
        settings_.timeout, [this](Result<port::HttpResponse> response) {
            if (!response) return end(fail(std::move(response)));
            if (response->status != 200 || !protocol::check_json(response->body))
                return end(fail(ErrorCode::bad_answer, "the provider says nothing of itself"));
            const protocol::JsonView answer{response->body};
            if (answer["issuer"].text() != settings_.provider)
                return end(fail(ErrorCode::bad_answer,
                                "the provider calls itself " + answer["issuer"].text()));
            const std::string url = answer["token_endpoint"].text();
            auto endpoint = io::split_address(url);
            if (!endpoint) return end(fail(ErrorCode::bad_answer, "token_endpoint: '" + url + "'"));
            endpoint_ = std::move(*endpoint);
            ask_token();
        });
}

void TokenSource::ask_token() {
    std::string form = "grant_type=client_credentials";
    for (const auto& [name, value] : {std::pair{"client_id", settings_.client_id},
                                      {"client_secret", settings_.client_secret},
                                      {"audience", settings_.audience}})
        form += std::string{"&"} + name + "=" + protocol::percent_encode(value);
    port::HttpRequest request{
        "POST", endpoint_.second, {{"Content-Type", "application/x-www-form-urlencoded"}}, form};
    http_.send(
        endpoint_.first, std::move(request), settings_.timeout,
        [this](Result<port::HttpResponse> response) {
            if (!response || response->status == 404) endpoint_ = {};  // it may have moved
            if (!response) return end(fail(std::move(response)));
            if (!protocol::check_json(response->body))
                return end(fail(ErrorCode::bad_answer, "no token: not JSON"));
            const protocol::JsonView answer{response->body};
            const std::string token = answer["access_token"].text();
            if (response->status != 200 || token.empty())
                return end(fail(ErrorCode::bad_answer, "no token: " + answer["error"].text()));
            // The last tenth of its life is for the way.
            const auto seconds = answer["expires_in"].number().value_or(usual_life_seconds);
            until_ = clock_.steady() + Duration{std::chrono::milliseconds{seconds * 900}};
            header_ = "Bearer " + token;
            end(header_);
        });
}

void TokenSource::end(Result<std::string> header) {
    auto waiting = std::exchange(waiting_, {});
    for (auto& each : waiting)
        each(header);
}

}  // namespace taskd::pizza
