#include "taskd/pizza/token_source.hpp"

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::pizza {

TokenSource::TokenSource(TokenSourceSettings settings, port::HttpExchange& http,
                         const port::Clock& clock)
    : settings_{std::move(settings)}, http_{http}, clock_{clock} {}

void TokenSource::drop() {
    header_.clear();
}

void TokenSource::get(std::function<void(Result<std::string>)> then) {
    if (settings_.provider.empty()) return then(std::string{});
    if (!header_.empty() && clock_.steady() < until_) return then(header_);
    waiting_.push_back(std::move(then));
    if (waiting_.size() == 1) ask();
}

void TokenSource::ask() {
    std::string form = "grant_type=client_credentials";
    for (const auto& [name, value] : {std::pair{"client_id", settings_.client_id},
                                      {"client_secret", settings_.client_secret},
                                      {"audience", settings_.audience}})
        form += std::string{"&"} + name + "=" + protocol::percent_encode(value);
    port::HttpRequest request{
        "POST", "/oauth/token", {{"Content-Type", "application/x-www-form-urlencoded"}}, form};
    http_.send(
        settings_.provider, std::move(request), settings_.timeout,
        [this](Result<port::HttpResponse> response) {
            if (!response) return end(fail(std::move(response)));
            if (!protocol::check_json(response->body))
                return end(fail(ErrorCode::bad_answer, "no token: not JSON"));
            const protocol::JsonView answer{response->body};
            const std::string token = answer["access_token"].text();
            if (response->status != 200 || token.empty())
                return end(fail(ErrorCode::bad_answer, "no token: " + answer["error"].text()));
            // The last tenth of its life is for the way.
            const auto seconds = answer["expires_in"].number().value_or(0);
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
