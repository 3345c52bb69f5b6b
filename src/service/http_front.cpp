#include "taskd/service/http_front.hpp"

#include <algorithm>
#include <cstdint>

#include "taskd/protocol/http_url.hpp"
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

// "application/json" of "application/json; charset=utf-8".
std::string_view media_of(std::string_view type) {
    return type.substr(0, std::min(type.find(';'), type.find(' ')));
}

// Takes the next element off a list, without the blanks around it.
std::string_view next_of(std::string_view& list, char separator) {
    std::string_view each = list.substr(0, list.find(separator));
    list.remove_prefix(std::min(list.size(), each.size() + 1));
    while (each.starts_with(' ') || each.starts_with('\t'))
        each.remove_prefix(1);
    while (each.ends_with(' ') || each.ends_with('\t'))
        each.remove_suffix(1);
    return each;
}

// Whether a media type of an Accept is said to be not acceptable: "text/plain;q=0".
bool is_unwanted(std::string_view range) {
    while (!range.empty()) {
        std::string_view each = next_of(range, ';');
        if (!each.starts_with("q=") && !each.starts_with("Q=")) continue;
        each.remove_prefix(2);
        return each.starts_with('0') && each.find_first_not_of("0.") == each.npos;
    }
    return false;
}

// Tells one body from another; nobody gains by a collision but a stale copy of his own.
std::string tag_of(std::string_view body) {
    std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
    for (const char c : body)
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    static constexpr char digits[] = "0123456789abcdef";
    std::string tag(18, '"');
    for (std::size_t i = 0; i < 16; ++i)
        tag[i + 1] = digits[hash >> (60 - 4 * i) & 15];
    return tag;
}

// Whether an If-None-Match names the tag: "*", or a list in which weak ones count as others do.
bool names_tag(std::string_view header, std::string_view tag) {
    if (header == "*") return true;
    while (!header.empty()) {
        std::string_view each = next_of(header, ',');
        if (each.starts_with("W/")) each.remove_prefix(2);
        if (each == tag) return true;
    }
    return false;
}

// Answers that say what they are, and nothing else to who knows it.
port::HttpResponder tagged(Call& call) {
    std::string known{port::find_header(call.request.headers, "If-None-Match")};
    return [known = std::move(known),
            respond = std::move(call.respond)](port::HttpResponse response) mutable {
        if (response.status == 200) {
            std::string tag = tag_of(response.body);
            if (names_tag(known, tag)) response = {304, {}, {}};
            response.headers.emplace_back("ETag", std::move(tag));
            response.headers.emplace_back("Cache-Control", "no-cache");
        }
        respond(std::move(response));
    };
}

// "localhost" of "localhost:4000", "[::1]" of "[::1]:4000".
std::string_view name_of(std::string_view host) {
    const std::size_t end = host.starts_with('[') ? host.find(']') : 0;
    return host.substr(0, host.find(':', end));
}

// Names that nobody beyond this machine and its network can give away: an address, "localhost", a
// single word. Who leaves it out is no browser.
bool is_name_of_here(std::string_view name) {
    const bool number = name.find_first_not_of("0123456789.") == name.npos;
    return number || name.starts_with('[') || name.find('.') == name.npos;
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

void Call::drop_body() {
    std::string{}.swap(request.body);
}

bool Call::sends(std::string_view media) const {
    return port::same_header(media_of(port::find_header(request.headers, "Content-Type")), media);
}

bool Call::accepts(std::string_view media) const {
    std::string_view asked = port::find_header(request.headers, "Accept");
    while (!asked.empty()) {
        const std::string_view each = next_of(asked, ',');
        if (port::same_header(media_of(each), media) && !is_unwanted(each)) return true;
    }
    return false;
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
    add({.method = "GET",
         .pattern = "/openapi.json",
         .handle = [](Call&& call) { call.answer(200, std::string{protocol::openapi_json()}); },
         .tagged = true});
    add({"GET", "/healthz", {}, [this](Call&& call) { health(std::move(call)); }});
    add({"GET", "/readyz", {}, [this](Call&& call) { health(std::move(call)); }});
    if (watch_.metrics == nullptr) return;
    add({"GET", "/metrics", {}, [this](Call&& call) {
             call.respond({200,
                           {{"Content-Type", std::string{port::metrics_content_type}}},
                           watch_.metrics->text()});
         }});
    watch_.metrics->add([this](port::MetricSink& sink) { report(sink); });
}

void HttpFront::add(Route route) {
    routes_.push_back(std::move(route));
    figures_.emplace_back();
}

void HttpFront::handle(port::HttpRequest&& request, port::HttpResponder respond) {
    auto target = protocol::parse_target(request.target);
    Call call{std::move(request), {}, {}, std::move(respond), &random_, {}};
    if (!target) return turn_away(std::move(call), target.error());
    call.target = std::move(*target);
    if (needs_key(call.target))
        if (const auto error = refused(call.request)) return turn_away(std::move(call), *error);
    std::string_view method = call.request.method;
    if (method == "HEAD") method = "GET";
    std::string allowed;
    for (const Route& route : routes_) {
        if (!fits(route.pattern, call.target.path, call.parameters)) continue;
        if (route.method == method) {
            call.respond = watched(call, static_cast<std::size_t>(&route - routes_.data()));
            return enter(route, std::move(call));
        }
        if (!allowed.empty()) allowed += ", ";
        allowed += route.method;
        if (route.method == "GET") allowed += ", HEAD";
    }
    if (allowed.empty() && last_ && last_(call)) return;
    if (allowed.empty()) {
        const Error error{ErrorCode::not_found, call.request.target};
        return turn_away(std::move(call), error);
    }
    allowed += ", OPTIONS";
    if (method == "OPTIONS") return call.respond(empty_response(204, std::move(allowed)));
    unrouted_.note(row_of(ErrorCode::method_not_allowed).http_status, Duration{0});
    auto response = problem_response({ErrorCode::method_not_allowed, call.request.method},
                                     {{}, {}, call.trace_id()});
    response.headers.emplace_back("Allow", std::move(allowed));
    call.respond(std::move(response));
}

// What every handler may rely on: no unknown name in the query, a body of a kind it takes.
void HttpFront::enter(const Route& route, Call&& call) const {
    for (const auto& [name, value] : call.target.query)
        if (std::ranges::find(route.query, name) == route.query.end())
            return call.answer(Error{ErrorCode::unknown_field, name});
    const std::string_view media =
        media_of(port::find_header(call.request.headers, "Content-Type"));
    const bool understood = std::ranges::any_of(route.media, [&](std::string_view each) {
        return each == any_media || port::same_header(media, each);
    });
    if (!call.request.body.empty() && !media.empty() && !understood)
        return call.answer(Error{ErrorCode::unsupported_media_type, std::string{media}});
    if (route.tagged) call.respond = tagged(call);
    route.handle(std::move(call));
}

bool HttpFront::needs_key(const protocol::Target& target) const {
    std::string_view top;
    if (!target.path.empty()) top = target.path.front();
    return top == "v1" || (top == "metrics" && !watch_.metrics_open);
}

bool HttpFront::refuses(const port::HttpRequest& head) const {
    // What is open without the key reads no body.
    return refused(head) || !protocol::parse_target(head.target);
}

std::optional<Error> HttpFront::refused(const port::HttpRequest& request) const {
    if (key_.empty()) return foreign(request);
    std::string_view given = port::find_header(request.headers, "Authorization");
    if (given.empty()) return Error{ErrorCode::missing_key, {}};
    constexpr std::string_view scheme = "Bearer ";
    if (!port::same_header(given.substr(0, scheme.size()), scheme))
        return Error{ErrorCode::missing_key, "not a bearer token"};
    given.remove_prefix(scheme.size());
    if (!protocol::same_secret(given, key_.secret())) return Error{ErrorCode::wrong_key, {}};
    return std::nullopt;
}

// Without a key whoever reaches us may ask, and a browser on this machine does for any page it
// shows: it says of which one. A page that gave its own name our address (DNS rebinding) asks under
// that name.
std::optional<Error> HttpFront::foreign(const port::HttpRequest& request) const {
    const std::string_view host = port::find_header(request.headers, "Host");
    if (!watch_.is_public && !is_name_of_here(name_of(host)))
        return Error{ErrorCode::foreign_origin,
                     "'" + std::string{host} + "' is not a name of this server: use its address"};
    // Pictures and scripts of a page are asked for without an origin; what a person follows is not
    // theirs.
    const std::string_view site = port::find_header(request.headers, "Sec-Fetch-Site");
    const bool follows = port::find_header(request.headers, "Sec-Fetch-Mode") == "navigate";
    if ((site == "cross-site" || site == "same-site") && !follows)
        return Error{ErrorCode::foreign_origin, "a page of another site"};
    const std::string_view origin = port::find_header(request.headers, "Origin");
    const std::size_t scheme = protocol::http_scheme_bytes(origin);
    const bool own = scheme > 0 && port::same_header(origin.substr(scheme), host);
    if (origin.empty() || own) return std::nullopt;
    return Error{ErrorCode::foreign_origin, "a page of " + std::string{origin}};
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

struct HttpFront::Line {
    std::string trace;
    std::string task;
    std::size_t route = 0;
};

// Counts what is answered; a line a request, when such lines are wanted.
port::HttpResponder HttpFront::watched(Call& call, std::size_t number) {
    if (watch_.clock == nullptr) return std::move(call.respond);
    std::unique_ptr<Line> line;
    if (watch_.log != nullptr && watch_.log->takes(port::LogLevel::debug)) {
        line = std::make_unique<Line>(Line{call.trace_id(), {}, number});
        if (routes_[number].pattern.find("{id}") != std::string_view::npos &&
            TaskId::parse(call.parameters.front()))
            line->task = call.parameters.front();
    }
    return [this, number, begin = watch_.clock->steady(), line = std::move(line),
            respond = std::move(call.respond)](port::HttpResponse response) mutable {
        const Duration took = watch_.clock->steady() - begin;
        figures_[number].note(response.status, took);
        if (line) tell(*line, response.status, took);
        respond(std::move(response));
    };
}

void HttpFront::tell(const Line& line, int status, Duration took) const {
    const std::string method{routes_[line.route].method};
    const std::string pattern{routes_[line.route].pattern};
    const std::string took_text = std::to_string(took.count()) + "us";
    if (line.task.empty())
        watch_.log->debug("request", {{"method", method},
                                      {"route", pattern},
                                      {"status", std::to_string(status)},
                                      {"took", took_text},
                                      {"trace_id", line.trace}});
    else
        watch_.log->debug("request", {{"method", method},
                                      {"route", pattern},
                                      {"status", std::to_string(status)},
                                      {"took", took_text},
                                      {"trace_id", line.trace},
                                      {"task_id", line.task}});
}

void HttpFront::turn_away(Call call, const Error& error) {
    unrouted_.note(row_of(error.code).http_status, Duration{0});
    call.answer(error);
}

void HttpFront::Figures::note(int status, Duration took) {
    seconds.observe(took);
    for (auto& [seen, count] : by_status)
        if (seen == status) {
            ++count;
            return;
        }
    by_status.emplace_back(status, 1);
}

void HttpFront::report(port::MetricSink& sink) const {
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

}  // namespace taskd::service
