#include "taskd/pizza/front.hpp"

#include <algorithm>
#include <charconv>

#include "taskd/base/limits.hpp"
#include "taskd/protocol/datagram.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::pizza {
namespace {

constexpr std::size_t body_bytes_max = 64 * limits::kibibyte;
constexpr std::int64_t limit_max = 1000;

bool fits(std::string_view pattern, const std::vector<std::string>& path,
          std::vector<std::string>& parameters) {
    parameters.clear();
    for (const std::string& part : path) {
        if (pattern.empty()) return false;
        pattern.remove_prefix(1);
        const std::string_view wanted = pattern.substr(0, pattern.find('/'));
        pattern.remove_prefix(wanted.size());
        if (wanted.starts_with('{'))
            parameters.push_back(part);
        else if (wanted != part)
            return false;
    }
    return pattern.empty() && !path.empty();
}

std::string_view media_of(std::string_view type) {
    return type.substr(0, std::min(type.find(';'), type.find(' ')));
}

std::string health_body(const std::string& role) {
    std::string body;
    protocol::JsonWriter{body}
        .begin_object()
        .field("status", "ok")
        .field("role", role)
        .end_object();
    return body;
}

}  // namespace

port::HttpResponse problem_of(const Problem& problem, std::string_view trace_id) {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object()
        .field("type", "https://taskd.dev/errors/" + std::string{problem.error})
        .field("title", problem.title)
        .field("status", problem.status)
        .field("error", problem.error);
    if (!problem.detail.empty()) json.field("detail", problem.detail);
    if (!problem.reason.empty()) json.field("reason", problem.reason);
    if (!problem.fields.empty()) {
        json.key("fields").begin_array();
        for (const FieldFault& each : problem.fields)
            json.begin_object()
                .field("field", each.field)
                .field("message", each.message)
                .end_object();
        json.end_array();
    }
    if (!problem.reasons.empty()) {
        json.key("reasons").begin_array();
        for (const std::string& each : problem.reasons)
            json.string(each);
        json.end_array();
    }
    if (!trace_id.empty()) json.field("trace_id", trace_id);
    json.field("retryable", problem.retryable).end_object();
    port::HttpResponse response{
        problem.status, {{"Content-Type", "application/problem+json"}}, std::move(body)};
    if (problem.status == 503) response.headers.emplace_back("Retry-After", "1");
    return response;
}

void Call::answer(int status, std::string json, port::HttpHeaders headers) {
    headers.emplace_back("Content-Type", "application/json");
    respond({status, std::move(headers), std::move(json)});
}

void Call::refuse(const Problem& problem, port::HttpHeaders headers) {
    port::HttpResponse response = problem_of(problem, trace.trace_id);
    for (auto& [name, value] : headers) {
        std::erase_if(response.headers, [&](const auto& each) { return each.first == name; });
        response.headers.emplace_back(std::move(name), std::move(value));
    }
    respond(std::move(response));
}

void Call::refuse(const Error& error) {
    const ErrorRow& row = row_of(error.code);
    refuse(Problem{row.http_status, row.name, row.text, error.detail, {}, {}, {}, row.retryable});
}

Front::Front(FrontSettings settings, const port::Clock& clock, port::Metrics& metrics,
             port::Log& log, Reasons reasons)
    : settings_{std::move(settings)},
      clock_{clock},
      metrics_{metrics},
      log_{log},
      reasons_{std::move(reasons)},
      random_{settings_.seed} {
    add_common();
    metrics_.add([this](port::MetricSink& sink) { report(sink); });
}

void Front::add_common() {
    add({"GET", "/healthz", [this](Call call) { call.answer(200, health_body(settings_.role)); }});
    add({"GET", "/readyz", [this](Call call) { ready(std::move(call)); }});
    add({"GET", "/openapi.json",
         [this](Call call) { call.answer(200, std::string{settings_.openapi}); }});
    if (!settings_.asyncapi.empty())
        add({"GET", "/asyncapi.json",
             [this](Call call) { call.answer(200, std::string{settings_.asyncapi}); }});
    add({"GET", "/metrics", [this](Call call) {
             const std::string wanted = "Bearer " + settings_.metrics_key;
             if (!settings_.metrics_key.empty() &&
                 !protocol::same_secret(call.header("Authorization"), wanted))
                 return call.refuse(
                     Problem{401, "missing_key", row_of(ErrorCode::missing_key).text},
                     {{"WWW-Authenticate", "Bearer"}});
             call.respond({200,
                           {{"Content-Type", std::string{port::metrics_content_type}}},
                           metrics_.text()});
         }});
}

void Front::add(Route route) {
    routes_.push_back(std::move(route));
    figures_.emplace_back();
}

void Front::handle(port::HttpRequest&& request, port::HttpResponder respond) {
    Call call{std::move(request), {}, {}, {}, clock_.wall(), {}};
    call.trace = enter_trace(call.header("traceparent"), random_);
    call.respond = std::move(respond);
    auto target = protocol::parse_target(call.request.target);
    if (!target) return turn_away(call, target.error(), {});
    call.target = std::move(*target);
    const std::string_view method =
        call.request.method == "HEAD" ? std::string_view{"GET"} : call.request.method;
    std::string allowed;
    for (const Route& route : routes_) {
        if (!fits(route.pattern, call.target.path, call.parameters)) continue;
        if (route.method != method) {
            allowed.append(allowed.empty() ? "" : ", ").append(route.method);
            continue;
        }
        const std::string_view media = media_of(call.header("Content-Type"));
        if (!call.request.body.empty() && !media.empty() && !port::same_header(media, route.media))
            return call.refuse(Error{ErrorCode::unsupported_media_type, std::string{media}});
        if (call.request.body.size() > body_bytes_max)
            return call.refuse(Error{ErrorCode::body_too_large, {}});
        call.respond =
            watched(std::move(call.respond), static_cast<std::size_t>(&route - routes_.data()),
                    call.trace.trace_id);
        return route.handle(std::move(call));
    }
    if (allowed.empty()) return turn_away(call, {ErrorCode::not_found, call.request.target}, {});
    turn_away(call, {ErrorCode::method_not_allowed, call.request.method},
              {{"Allow", std::move(allowed)}});
}

void Front::turn_away(Call& call, const Error& error, port::HttpHeaders headers) {
    const ErrorRow& row = row_of(error.code);
    unrouted_.note(row.http_status, Duration{0});
    call.refuse(Problem{row.http_status, row.name, row.text, error.detail}, std::move(headers));
}

void Front::ready(Call call) {
    if (shutting_) return call.refuse(Error{ErrorCode::shutting_down, {}});
    auto reasons = reasons_();
    if (reasons.empty()) return call.answer(200, health_body(settings_.role));
    const ErrorRow& row = row_of(ErrorCode::not_ready);
    call.refuse(Problem{row.http_status, row.name, row.text, {}, {}, {}, std::move(reasons), true});
}

// Counted under its route; a line each at level debug.
port::HttpResponder Front::watched(port::HttpResponder respond, std::size_t number,
                                   std::string trace) {
    return [this, number, begin = clock_.steady(), trace = std::move(trace),
            respond = std::move(respond)](port::HttpResponse response) mutable {
        const Duration took = clock_.steady() - begin;
        figures_[number].note(response.status, took);
        log_.debug("request", {{"method", std::string{routes_[number].method}},
                               {"route", std::string{routes_[number].pattern}},
                               {"status", std::to_string(response.status)},
                               {"took", std::to_string(took.count()) + "us"},
                               {"trace_id", trace}});
        respond(std::move(response));
    };
}

void Front::Figures::note(int status, Duration took) {
    seconds.observe(took);
    for (auto& [seen, count] : by_status)
        if (seen == status) {
            ++count;
            return;
        }
    by_status.emplace_back(status, 1);
}

void Front::report(port::MetricSink& sink) const {
    const auto put = [&](std::string_view method, std::string_view route, const Figures& figures) {
        if (figures.by_status.empty()) return;
        for (const auto& [status, count] : figures.by_status)
            sink.put(port::Metric::http_requests_total, count,
                     {method, route, std::to_string(status)});
        sink.put(port::Metric::http_request_seconds, figures.seconds, {method, route});
    };
    for (std::size_t i = 0; i < routes_.size(); ++i)
        put(routes_[i].method, routes_[i].pattern, figures_[i]);
    put("any", "none", unrouted_);
}

Result<std::int64_t> limit_of(const protocol::Target& target) {
    const std::string* text = target.find("limit");
    if (text == nullptr) return 100;
    std::int64_t limit = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), limit);
    if (error != std::errc{} || end != text->data() + text->size() || limit < 1 ||
        limit > limit_max)
        return fail(ErrorCode::invalid_field, "limit: 1 to 1000");
    return limit;
}

}  // namespace taskd::pizza
