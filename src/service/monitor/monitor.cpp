#include "taskd/service/monitor.hpp"

#include <utility>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::service {
namespace {

// Scripts, styles and requests of this page alone, so that nothing shown there can run or leave.
constexpr std::string_view page_policy =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

}  // namespace

Monitor::Monitor(MonitorSettings settings, std::string_view page, port::HttpExchange& http,
                 port::Clock& clock, port::Timers& timers, port::Log& log)
    : settings_{std::move(settings)},
      page_{page},
      http_{http},
      clock_{clock},
      log_{log},
      containers_{{.socket = settings_.container_socket}, http, clock, timers, log} {
    const auto source = [&](std::string name, const std::string& url, std::string target,
                            std::string field) {
        return Source{.name = std::move(name),
                      .url = url,
                      .target = std::move(target),
                      .field = std::move(field),
                      .body = {},
                      .why = "not asked yet",
                      .timer = timers.make()};
    };
    stats_ = source("dispatcher", settings_.dispatcher_url, "/v1/stats", {});
    workers_ = source("dispatcher's workers", settings_.dispatcher_url, "/v1/workers", "workers");
    registrations_ =
        source("nameservice", settings_.nameservice_url, "/v1/registrations", "registrations");
}

void Monitor::report(port::MetricSink& sink) const {
    for (const Source* source : {&stats_, &workers_, &registrations_})
        sink.put(port::Metric::source_reachable, source->reachable ? 1.0 : 0.0, {source->name});
}

Result<void> Monitor::start() {
    for (Source* source : {&stats_, &workers_, &registrations_})
        ask(*source);
    containers_.start();
    return {};
}

void Monitor::add_routes(HttpFront& front) {
    front.add({"GET", "/", {"key"}, [this](Call&& call) {  // the page reads the key itself
                   call.respond({200,
                                 {{"Content-Type", "text/html; charset=utf-8"},
                                  {"Content-Security-Policy", std::string{page_policy}},
                                  {"Referrer-Policy", "no-referrer"},
                                  {"X-Content-Type-Options", "nosniff"},
                                  {"Cache-Control", "no-store"}},
                                 std::string{page_}});
               }});
    front.add({"GET", "/v1/tasks", {"q", "type", "state", "limit", "after"}, [this](Call&& call) {
                   pass_on(std::move(call));
               }});
    front.add({"GET", "/v1/overview", {}, [this](Call&& call) {
                   if (!has_looked())
                       return call.answer(Error{ErrorCode::not_ready, "the first answers are out"});
                   call.answer(200, overview());
               }});
}

void Monitor::pass_on(Call call) {
    port::HttpRequest request{"GET", call.request.target, {}, {}};
    add_key(request.headers, settings_.key);
    auto shared = std::make_shared<Call>(std::move(call));
    http_.send(
        settings_.dispatcher_url, std::move(request), settings_.search_timeout,
        [shared](Result<port::HttpResponse> answer) {
            if (!answer) return shared->answer(answer.error());
            std::string type{port::find_header(answer->headers, "Content-Type")};
            shared->respond(
                {answer->status, {{"Content-Type", std::move(type)}}, std::move(answer->body)});
        });
}

bool Monitor::has_looked() const {
    return stats_.asked && workers_.asked && registrations_.asked;
}

void Monitor::ask(Source& source) {
    port::HttpRequest request{"GET", source.target, {}, {}};
    add_key(request.headers, settings_.key);
    http_.send(source.url, std::move(request), settings_.timeout,
               [this, &source, alive = std::weak_ptr{alive_}](const auto& answer) {
                   if (!alive.expired()) answered(source, answer);
               });
}

Result<std::string> Monitor::read(const Source& source, const Result<port::HttpResponse>& answer) {
    if (!answer) return std::unexpected{answer.error()};
    if (answer->status != 200)
        return std::unexpected{protocol::parse_problem(answer->body, answer->status)};
    if (!protocol::check_json(answer->body))
        return fail(ErrorCode::bad_answer, source.url + " does not answer in JSON");
    if (source.field.empty()) return answer->body;
    const auto fields = protocol::split_object(answer->body);
    if (!fields) return fail(ErrorCode::bad_answer, source.url + " does not answer an object");
    for (const auto& [name, raw] : *fields)
        if (name == source.field) return std::string{raw};
    return fail(ErrorCode::bad_answer, source.url + " does not answer " + source.field);
}

void Monitor::answered(Source& source, const Result<port::HttpResponse>& answer) {
    auto body = read(source, answer);
    source.asked = true;
    source.reachable = body.has_value();
    if (body) {
        source.body = std::move(*body);
        source.why.clear();
        if (std::exchange(source.told, false))
            log_.info("answers again", {{"asked", source.name}, {"url", source.url}});
    } else {
        source.why = body.error().to_string();
        if (!std::exchange(source.told, true))
            log_.warn("cannot be asked",
                      {{"asked", source.name}, {"url", source.url}, {"error", source.why}});
    }
    source.timer->set(clock_.steady() + settings_.interval, [this, &source] { ask(source); });
}

std::string Monitor::overview() const {
    std::string out;
    protocol::JsonWriter json{out};
    json.begin_object().field("now", clock_.wall()).key("dispatcher").begin_object();
    const bool dispatcher = stats_.reachable && workers_.reachable;
    json.field("reachable", dispatcher);
    if (dispatcher)
        json.key("stats").raw(stats_.body).key("workers").raw(workers_.body);
    else
        json.field("detail", stats_.reachable ? workers_.why : stats_.why);
    json.end_object().key("nameservice").begin_object();
    json.field("reachable", registrations_.reachable);
    if (registrations_.reachable)
        json.key("registrations").raw(registrations_.body);
    else
        json.field("detail", registrations_.why);
    json.end_object().key("containers");
    containers_.write(json);
    json.end_object();
    return out;
}

}  // namespace taskd::service
