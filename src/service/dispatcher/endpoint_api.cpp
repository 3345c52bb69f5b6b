#include "taskd/service/endpoint_api.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "taskd/base/duration_text.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/protocol/target.hpp"
#include "taskd/service/whole_file.hpp"

namespace taskd::service {
namespace {

using protocol::Endpoint;
using protocol::JsonView;

constexpr std::size_t file_bytes_max = limits::body_bytes_max;  // body_too_large
constexpr Duration host_patience = std::chrono::seconds{2};     // beyond what a call may take

Result<std::string> read_stored(port::Files& files, const std::string& path) {
    auto text = read_whole(files, path, file_bytes_max);
    if (!text && text.error().code == ErrorCode::file_missing) return "[]";
    return text;
}

std::string write_all(const std::map<std::string, Endpoint>& endpoints) {
    std::string out;
    protocol::JsonWriter json{out};
    json.begin_array();
    for (const auto& [name, endpoint] : endpoints)
        json.raw(protocol::write_endpoint(endpoint));
    json.end_array();
    return out;
}

Result<Endpoint> read_one(std::string_view raw) {
    const auto fields = protocol::split_object(raw);
    if (!fields) return std::unexpected{fields.error()};
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object();
    std::string name;
    for (const auto& [field, value] : *fields) {
        if (field == "name")
            name = protocol::read_string(value, field).value_or("");
        else
            json.key(field).raw(value);
    }
    json.end_object();
    return protocol::parse_endpoint(body, std::move(name));
}

void put_texts(protocol::JsonWriter& json, std::string_view name,
               const protocol::PathValues& some) {
    json.key(name).begin_object();
    for (const auto& [key, value] : some) {
        std::string quoted;
        protocol::append_json_string(quoted, key);
        json.field(std::string_view{quoted}.substr(1, quoted.size() - 2), value);
    }
    json.end_object();
}

// What stands behind the endpoint is given.
std::string payload_of(const Endpoint& endpoint, const protocol::PathValues& values,
                       const Call& call) {
    std::string body = call.request.body.empty() ? "null" : call.request.body;
    if (!endpoint.whole_request) return body;
    std::string out;
    protocol::JsonWriter json{out};
    json.begin_object();
    put_texts(json, "path", values);
    put_texts(json, "query", call.target.query);
    json.key("body").raw(body).end_object();
    return out;
}

// The task that a request asks for.
std::string submit_body(const Endpoint& endpoint, const std::string& payload) {
    std::string out;
    protocol::JsonWriter json{out};
    json.begin_object().field("type", endpoint.type);
    const auto more = protocol::split_object(endpoint.task);
    for (const auto& [name, raw] : more.value_or(protocol::JsonFields{}))
        json.key(name).raw(raw);
    json.key("payload").raw(payload).end_object();
    return out;
}

// A problem under the status that the endpoint names for the code of the error, if it does.
port::HttpResponse with_status(const Endpoint& endpoint, const std::string& code,
                               port::HttpResponse response) {
    auto said = endpoint.statuses.find(code);
    if (said == endpoint.statuses.end()) said = endpoint.statuses.find("*");
    if (said == endpoint.statuses.end()) return response;
    const auto member = [](int status) { return "\"status\":" + std::to_string(status); };
    const std::string before = member(response.status);
    if (const auto at = response.body.find(before); at != std::string::npos)
        response.body.replace(at, before.size(), member(said->second));
    response.status = said->second;
    return response;
}

// What a task that ended without success is, for who asked over HTTP.
port::HttpResponse failed(const Endpoint& endpoint, const JsonView& task,
                          const std::string& trace) {
    const std::string code = task["error"]["code"].text();
    const ErrorRow* known = find_error(code);
    Error error{known != nullptr ? known->code : ErrorCode::worker_failed,
                task["error"]["message"].text()};
    if (known == nullptr && !code.empty()) error.detail = code + ": " + error.detail;
    if (code.empty()) error.detail = "the task is " + task["state"].text();
    return with_status(endpoint, code, problem_response(error, {{}, {}, trace}));
}

// What a call of a function came to.
port::HttpResponse answer_of_host(const Endpoint& endpoint,
                                  const Result<port::HttpResponse>& answer,
                                  const std::string& trace) {
    if (answer && answer->status == 200) return json_response(200, answer->body);
    const Error error =
        answer ? protocol::parse_problem(answer->body, answer->status) : answer.error();
    return with_status(endpoint, std::string{row_of(error.code).name},
                       problem_response(error, {{}, {}, trace}));
}

port::HttpResponse answer_of(const Endpoint& endpoint, port::HttpResponse submitted,
                             const std::string& trace) {
    const JsonView task{submitted.body};
    if (submitted.status == 202) {
        const std::string id = task["id"].text();
        auto response = json_response(202, std::move(submitted.body));
        response.headers.emplace_back("Location", "/v1/tasks/" + id + "/result");
        return response;
    }
    if (submitted.status != 200) {
        const std::string code = task["error"].text();
        const bool is_named = endpoint.statuses.contains(code);
        return is_named ? with_status(endpoint, code, std::move(submitted)) : std::move(submitted);
    }
    if (task["state"].text() != "succeeded") return failed(endpoint, task, trace);
    const std::string result{task["result"].raw()};
    return json_response(200, result.empty() ? "null" : result);
}

}  // namespace

EndpointApi::EndpointApi(std::string path, EndpointPorts ports, HttpFront& front,
                         protocol::ClusterKey key)
    : path_{std::move(path)}, ports_{ports}, front_{front}, key_{std::move(key)} {}

Result<void> EndpointApi::start() {
    if (ports_.files != nullptr) {
        const auto text = read_stored(*ports_.files, path_);
        if (!text) return std::unexpected{text.error()};
        const auto valid = protocol::check_json(*text);
        const auto all = valid ? protocol::split_array(*text)
                               : Result<std::vector<std::string_view>>{fail(ErrorCode::bad_json)};
        if (!all) return fail(ErrorCode::store_damaged, path_);
        for (const std::string_view raw : *all) {
            auto endpoint = read_one(raw);
            if (!endpoint)
                return fail(ErrorCode::store_damaged, path_ + ": " + endpoint.error().detail);
            endpoints_.emplace(endpoint->name, std::move(*endpoint));
        }
    }
    const auto to = [this](void (EndpointApi::*handler)(Call)) {
        return [this, handler](Call&& call) { (this->*handler)(std::move(call)); };
    };
    front_.add({"GET", "/v1/endpoints", {}, to(&EndpointApi::list)});
    front_.add({"GET", "/v1/endpoints/{name}", {}, to(&EndpointApi::get)});
    front_.add({"PUT", "/v1/endpoints/{name}", {}, to(&EndpointApi::put)});
    front_.add({"DELETE", "/v1/endpoints/{name}", {}, to(&EndpointApi::remove)});
    front_.add_last([this](Call& call) { return serve(call); });
    return {};
}

void EndpointApi::list(Call call) {
    call.answer(200, "{\"endpoints\":" + write_all(endpoints_) + "}");
}

void EndpointApi::get(Call call) {
    const auto found = endpoints_.find(call.parameters[0]);
    if (found == endpoints_.end())
        return call.answer(Error{ErrorCode::not_found, call.parameters[0]});
    call.answer(200, protocol::write_endpoint(found->second));
}

void EndpointApi::put(Call call) {
    const std::string name = call.parameters[0];
    if (!is_instance_name(name))
        return call.answer(Error{ErrorCode::invalid_field, "'" + name + "' is no name"});
    auto endpoint = protocol::parse_endpoint(call.request.body, name);
    if (!endpoint) return call.answer(endpoint.error());
    change({std::move(call), name, std::move(*endpoint)});
}

void EndpointApi::remove(Call call) {
    const std::string name = call.parameters[0];
    change({std::move(call), name, std::nullopt});
}

void EndpointApi::change(Change change) {
    if (changes_.size() >= limits::endpoints_max)
        return change.call.answer(Error{ErrorCode::overloaded, "endpoints wait for the disk"});
    changes_.push_back(std::move(change));
    next_change();
}

void EndpointApi::next_change() {
    while (!writing_ && !changes_.empty()) {
        const auto change = std::make_shared<Change>(std::move(changes_.front()));
        changes_.pop_front();
        if (const auto error = why_not(*change))
            change->call.answer(*error);
        else
            write(change);
    }
}

// By what is there when its turn has come.
std::optional<Error> EndpointApi::why_not(const Change& change) const {
    const bool there = endpoints_.contains(change.name);
    if (!change.to)
        return there ? std::nullopt : std::optional{Error{ErrorCode::not_found, change.name}};
    for (const auto& [other, theirs] : endpoints_)
        if (other != change.name && overlap(*change.to, theirs))
            return Error{ErrorCode::invalid_field, change.to->method + " " + path_text(*change.to) +
                                                       " is answered by the endpoint " + other};
    if (endpoints_.size() >= limits::endpoints_max && !there)
        return Error{
            ErrorCode::invalid_field,
            "there are " + std::to_string(limits::endpoints_max) + " endpoints, as many as may be"};
    return std::nullopt;
}

// It holds from here on; when it cannot be written, what was there comes back.
void EndpointApi::write(const std::shared_ptr<Change>& change) {
    const auto answer = [change] {
        if (!change->to) return change->call.respond({204, {}, {}});
        change->call.answer(200, protocol::write_endpoint(*change->to));
    };
    auto before = set(change->name, change->to);
    std::string text = write_all(endpoints_);
    if (text.size() > file_bytes_max) {
        set(change->name, std::move(before));
        return change->call.answer(Error{
            ErrorCode::body_too_large,
            "all endpoints together have up to " + std::to_string(file_bytes_max) + " bytes"});
    }
    if (ports_.files == nullptr) return answer();
    writing_ = true;
    auto written = std::make_shared<Result<void>>();
    ports_.lane.run([&files = *ports_.files, path = path_, text = std::move(text),
                     written] { *written = write_whole(files, path, text); },
                    [this, change, before = std::move(before), written, answer] {
                        writing_ = false;
                        if (*written) {
                            answer();
                        } else {
                            set(change->name, before);
                            change->call.answer(written->error());
                        }
                        next_change();
                    });
}

// Answers what was there.
std::optional<Endpoint> EndpointApi::set(const std::string& name, std::optional<Endpoint> to) {
    std::optional<Endpoint> before;
    if (auto found = endpoints_.extract(name)) before = std::move(found.mapped());
    if (to) endpoints_.emplace(name, std::move(*to));
    return before;
}

bool EndpointApi::serve(Call& call) {
    protocol::PathValues values;
    for (const auto& [name, endpoint] : endpoints_)
        if (endpoint.method == call.request.method &&
            protocol::fits(endpoint, call.target.path, values)) {
            if (const auto error = front_.refused(call.request))
                call.answer(*error);
            else
                begin(endpoint, values, std::move(call));
            return true;
        }
    return false;
}

void EndpointApi::begin(const Endpoint& endpoint, const protocol::PathValues& values, Call call) {
    if (!endpoint.whole_request && !call.target.query.empty())
        return call.answer(Error{ErrorCode::unknown_field, call.target.query.front().first});
    if (!call.request.body.empty()) {
        if (!port::find_header(call.request.headers, "Content-Type").empty() &&
            !call.sends(protocol::json_type))
            return call.answer(Error{ErrorCode::unsupported_media_type, {}});
        if (auto valid = protocol::check_json(call.request.body); !valid)
            return call.answer(valid.error());
    }
    std::string payload = payload_of(endpoint, values, call);
    if (endpoint.function.empty()) return submit(endpoint, payload, std::move(call));
    call_function(endpoint, std::move(payload), std::move(call));
}

// The host ends a call that takes too long, and says so.
void EndpointApi::call_function(const Endpoint& endpoint, std::string payload, Call call) {
    port::HttpRequest request{"POST",
                              "/v1/functions/" + protocol::percent_encode(endpoint.function) +
                                  "?timeout=" + to_text(endpoint.wait),
                              {{"Content-Type", std::string{protocol::json_type}}},
                              std::move(payload)};
    if (const auto value = port::find_header(call.request.headers, "traceparent"); !value.empty())
        request.headers.emplace_back("traceparent", std::string{value});
    add_key(request.headers, key_);
    const std::string trace = call.trace_id();
    call.drop_body();
    auto shared = std::make_shared<Call>(std::move(call));
    ports_.http.send(endpoint.host, std::move(request), endpoint.wait + host_patience,
                     [endpoint, trace, shared](const Result<port::HttpResponse>& answer) {
                         shared->respond(answer_of_host(endpoint, answer, trace));
                     });
}

void EndpointApi::submit(const Endpoint& endpoint, const std::string& payload, Call call) {
    port::HttpRequest request{"POST", "/v1/tasks", {}, submit_body(endpoint, payload)};
    if (endpoint.wait > Duration{0}) request.target += "?wait=" + to_text(endpoint.wait);
    for (const char* name : {"Idempotency-Key", "traceparent"})
        if (const auto value = port::find_header(call.request.headers, name); !value.empty())
            request.headers.emplace_back(name, std::string{value});
    add_key(request.headers, key_);
    request.client_gone = call.request.client_gone;
    const std::string trace = call.trace_id();
    front_.handle(std::move(request), [endpoint, trace, respond = std::move(call.respond)](
                                          port::HttpResponse response) mutable {
        respond(answer_of(endpoint, std::move(response), trace));
    });
}

}  // namespace taskd::service
