#include "taskd/service/http_front.hpp"

#include <algorithm>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/openapi.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/protocol/trace.hpp"

namespace taskd::service {
namespace {

// Whether a path fits a pattern; fills in what stood for {…}.
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
    return pattern.empty() || (path.empty() && pattern == "/");
}

port::HttpResponse empty_response(int status, std::string allow) {
    port::HttpResponse response;
    response.status = status;
    response.headers.emplace_back("Allow", std::move(allow));
    return response;
}

}  // namespace

port::HttpResponse json_response(int status, std::string json) {
    return {status, {{"Content-Type", std::string{protocol::json_type}}}, std::move(json)};
}

port::HttpResponse problem_response(const Error& error, const protocol::ProblemExtras& extras) {
    const ErrorRow& row = row_of(error.code);
    port::HttpResponse response{row.http_status,
                                {{"Content-Type", std::string{protocol::problem_content_type}}},
                                protocol::write_problem(error, extras)};
    if (row.http_status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
    if (row.http_status == 429 || row.http_status == 503 || row.http_status == 507)
        response.headers.emplace_back("Retry-After", "1");
    return response;
}

void Call::answer(int status, std::string json) {
    respond(json_response(status, std::move(json)));
}

void Call::answer(const Error& error, std::optional<std::size_t> index) {
    respond(problem_response(error, {index, {}, trace_id()}));
}

const std::string& Call::trace_id() {
    if (!trace.empty()) return trace;
    auto given = protocol::parse_trace_id(port::find_header(request.headers, "traceparent"));
    if (given)
        trace = std::move(*given);
    else if (chance != nullptr)
        trace = protocol::make_trace_id(*chance);
    return trace;
}

HttpFront::HttpFront(protocol::ClusterKey key, std::string role, Readiness readiness,
                     FrontWatch watch)
    : key_{std::move(key)},
      role_{std::move(role)},
      readiness_{std::move(readiness)},
      watch_{watch},
      random_{watch.seed} {
    add({"GET", "/openapi.json", {}, [](Call call) {
             call.answer(200, std::string{protocol::openapi_json()});
         }});
    add({"GET", "/healthz", {}, [this](Call call) { health(std::move(call)); }});
    add({"GET", "/readyz", {}, [this](Call call) { health(std::move(call)); }});
}

void HttpFront::add(Route route) {
    routes_.push_back(std::move(route));
}

void HttpFront::handle(port::HttpRequest&& request, port::HttpResponder respond) {
    auto target = protocol::parse_target(request.target);
    Call call{std::move(request), {}, {}, std::move(respond), &random_, {}};
    if (!target) return call.answer(target.error());
    call.target = std::move(*target);
    const bool guarded = !call.target.path.empty() && call.target.path.front() == "v1";
    if (guarded)
        if (const auto error = refused(call.request)) return call.answer(*error);
    const std::string_view method = call.request.method == "HEAD" ? "GET" : call.request.method;
    std::string allowed;
    for (const Route& route : routes_) {
        if (!fits(route.pattern, call.target.path, call.parameters)) continue;
        if (route.method == method) {
            call.respond = watched(call, route);
            return enter(route, std::move(call));
        }
        if (!allowed.empty()) allowed += ", ";
        allowed += route.method;
        if (route.method == "GET") allowed += ", HEAD";
    }
    if (allowed.empty()) return call.answer(Error{ErrorCode::not_found, call.request.target});
    allowed += ", OPTIONS";
    if (method == "OPTIONS") return call.respond(empty_response(204, std::move(allowed)));
    auto response = problem_response({ErrorCode::method_not_allowed, call.request.method},
                                     {{}, {}, call.trace_id()});
    response.headers.emplace_back("Allow", std::move(allowed));
    call.respond(std::move(response));
}

// What every handler may rely on: no unknown name in the query, a body that says it is JSON.
void HttpFront::enter(const Route& route, Call call) const {
    for (const auto& [name, value] : call.target.query)
        if (std::ranges::find(route.query, name) == route.query.end())
            return call.answer(Error{ErrorCode::unknown_field, name});
    const std::string_view type = port::find_header(call.request.headers, "Content-Type");
    const std::string_view media = type.substr(0, std::min(type.find(';'), type.find(' ')));
    if (!call.request.body.empty() && !media.empty() &&
        !port::same_header(media, protocol::json_type))
        return call.answer(Error{ErrorCode::unsupported_media_type, std::string{media}});
    route.handle(std::move(call));
}

std::optional<Error> HttpFront::refused(const port::HttpRequest& request) const {
    if (key_.empty()) return std::nullopt;
    std::string_view given = port::find_header(request.headers, "Authorization");
    if (given.empty()) return Error{ErrorCode::missing_key, {}};
    constexpr std::string_view scheme = "Bearer ";
    if (!given.starts_with(scheme)) return Error{ErrorCode::missing_key, "not a bearer token"};
    given.remove_prefix(scheme.size());
    if (!protocol::same_secret(given, key_.secret())) return Error{ErrorCode::wrong_key, {}};
    return std::nullopt;
}

// Alive is not ready: /healthz says the loop turns, /readyz that work may come.
void HttpFront::health(Call call) const {
    const bool asks_ready = call.target.path.front() == "readyz";
    if (asks_ready)
        if (auto why = readiness_())
            return call.respond(
                problem_response({why->code, {}}, {{}, std::move(why->reasons), call.trace_id()}));
    std::string body;
    protocol::JsonWriter{body}
        .begin_object()
        .field("status", "ok")
        .field("role", role_)
        .end_object();
    call.answer(200, std::move(body));
}

// One line a request once it is answered, when such lines are wanted.
port::HttpResponder HttpFront::watched(Call& call, const Route& route) {
    const bool tells = watch_.clock != nullptr && watch_.log != nullptr &&
                       watch_.log->takes(port::LogLevel::debug);
    if (!tells) return std::move(call.respond);
    const bool has_task = route.pattern.find("{id}") != std::string_view::npos &&
                          TaskId::parse(call.parameters.front()).has_value();
    return [log = watch_.log, clock = watch_.clock, &route, begin = watch_.clock->steady(),
            trace = call.trace_id(), task = has_task ? call.parameters.front() : std::string{},
            respond = std::move(call.respond)](port::HttpResponse response) mutable {
        const std::string took = std::to_string((clock->steady() - begin).count()) + "us";
        const std::string status = std::to_string(response.status);
        const std::string method{route.method};
        const std::string pattern{route.pattern};
        if (task.empty())
            log->debug("request", {{"method", method},
                                   {"route", pattern},
                                   {"status", status},
                                   {"took", took},
                                   {"trace_id", trace}});
        else
            log->debug("request", {{"method", method},
                                   {"route", pattern},
                                   {"status", status},
                                   {"took", took},
                                   {"trace_id", trace},
                                   {"task_id", task}});
        respond(std::move(response));
    };
}

void add_key(port::HttpHeaders& headers, const protocol::ClusterKey& key) {
    if (!key.empty()) headers.emplace_back("Authorization", "Bearer " + key.secret());
}

}  // namespace taskd::service
