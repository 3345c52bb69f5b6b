#include "taskd/protocol/endpoint_json.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <span>

#include "taskd/base/ids.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::protocol {
namespace {

constexpr Duration ms = std::chrono::milliseconds{1};
constexpr std::string_view methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
constexpr std::string_view payloads[] = {"body", "request"};
constexpr std::array kept_paths = {"v1", "healthz", "readyz", "metrics", "openapi.json"};
constexpr std::array task_fields = {
    "priority", "timeout_ms", "queue_timeout_ms", "total_timeout_ms", "attempts_max",
    "backoff",  "labels"};

constexpr std::size_t function_bytes_max = 256;

// Of a server, without a path.
bool is_base_url(std::string_view text) {
    constexpr std::string_view scheme = "http://";
    if (!text.starts_with(scheme) || text.size() > limits::webhook_url_bytes_max) return false;
    const std::string_view rest = text.substr(scheme.size());
    return !rest.empty() && rest.find_first_of("/?#@ \t\r\n") == std::string_view::npos;
}

bool is_parameter(std::string_view part) {
    return part.size() > 2 && part.front() == '{' && part.back() == '}';
}

std::string_view name_of(std::string_view part) {
    return part.substr(1, part.size() - 2);
}

Result<std::vector<std::string>> read_path(std::string_view raw) {
    const auto text = read_string(raw, "path");
    if (!text) return std::unexpected{text.error()};
    const auto wrong = [&](const std::string& why) {
        return fail(ErrorCode::invalid_field, "path '" + *text + "' " + why);
    };
    if (!text->starts_with('/') || text->size() > limits::event_text_bytes_max)
        return wrong("begins with / and has up to 1024 bytes");
    const auto target = parse_target(*text);
    if (!target || !target->query.empty() || target->path.empty()) return wrong("is no path");
    if (std::ranges::find(kept_paths, target->path.front()) != kept_paths.end())
        return wrong("is the dispatcher's own");
    std::set<std::string_view> names;
    for (const std::string& part : target->path) {
        if (part.empty()) return wrong("has an empty part");
        if (!is_parameter(part)) {
            if (part.find_first_of("{}") != std::string::npos) return wrong("has a stray brace");
        } else if (!names.insert(name_of(part)).second) {
            return wrong("names " + part + " twice");
        }
    }
    return target->path;
}

Result<std::map<std::string, int>> read_statuses(std::string_view raw) {
    const auto fields = split_object(raw);
    if (!fields) return fail(ErrorCode::invalid_field, "errors: an object");
    std::map<std::string, int> statuses;
    for (const auto& [code, value] : *fields) {
        const auto status = read_integer(value, "errors." + code, 400, 599);
        if (!status) return std::unexpected{status.error()};
        statuses[code] = static_cast<int>(*status);
    }
    return statuses;
}

Result<std::string> one_of(std::string_view raw, std::string_view field,
                           std::span<const std::string_view> words) {
    auto text = read_string(raw, field);
    if (!text || std::ranges::find(words, *text) != words.end()) return text;
    std::string why{field};
    for (const std::string_view each : words)
        why.append(each == words.front() ? ": one of " : ", ").append(each);
    return fail(ErrorCode::invalid_field, std::move(why));
}

template <class Value>
Result<void> take(Result<Value> value, Value& into) {
    if (!value) return std::unexpected{value.error()};
    into = std::move(*value);
    return {};
}

Result<void> take_field(Endpoint& endpoint, std::string_view name, std::string_view raw,
                        std::string& payload) {
    if (name == "method") return take(one_of(raw, name, methods), endpoint.method);
    if (name == "path") return take(read_path(raw), endpoint.path);
    if (name == "type") {
        if (auto taken = take(read_string(raw, name), endpoint.type); !taken) return taken;
        if (is_type_name(endpoint.type)) return {};
        return fail(ErrorCode::invalid_field, "type '" + endpoint.type + "'");
    }
    if (name == "function") {
        if (auto taken = take(read_string(raw, name), endpoint.function); !taken) return taken;
        if (!endpoint.function.empty() && endpoint.function.size() <= function_bytes_max) return {};
        return fail(ErrorCode::invalid_field, "function '" + endpoint.function + "'");
    }
    if (name == "host") {
        if (auto taken = take(read_string(raw, name), endpoint.host); !taken) return taken;
        if (is_base_url(endpoint.host)) return {};
        return fail(ErrorCode::invalid_field,
                    "host '" + endpoint.host + "' is no http://HOST:PORT");
    }
    if (name == "payload") return take(one_of(raw, name, payloads), payload);
    if (name == "errors") return take(read_statuses(raw), endpoint.statuses);
    if (name == "wait_ms") {
        const auto wait = read_integer(raw, name, 0, limits::endpoint_wait_most / ms);
        if (!wait) return std::unexpected{wait.error()};
        endpoint.wait = *wait * ms;
        return {};
    }
    return fail(ErrorCode::unknown_field, std::string{name});
}

// Either the one or the other stands behind it, with what belongs to it.
Result<void> check_what_is_behind(const Endpoint& endpoint) {
    if (endpoint.function.empty()) {
        if (endpoint.type.empty()) return fail(ErrorCode::missing_field, "type");
        if (!endpoint.host.empty())
            return fail(ErrorCode::invalid_field, "host goes with function");
        return {};
    }
    if (!endpoint.type.empty())
        return fail(ErrorCode::invalid_field, "it has either a type or a function");
    if (endpoint.host.empty()) return fail(ErrorCode::missing_field, "host");
    if (endpoint.task.size() > 2)
        return fail(ErrorCode::invalid_field, "a function is no task: " + endpoint.task);
    if (endpoint.wait < ms) return fail(ErrorCode::invalid_field, "wait_ms");
    return {};
}

// What goes into the submit as it is must be what a submit takes.
Result<void> check_task(const Endpoint& endpoint) {
    if (endpoint.type.empty()) return {};
    std::string submit = R"({"type":")" + endpoint.type + R"(")";
    if (endpoint.task.size() > 2)
        submit.append(",").append(endpoint.task, 1, endpoint.task.size() - 2);
    const auto parsed = parse_submit(submit + "}", [] { return TaskId{}; });
    return parsed ? Result<void>{} : std::unexpected{parsed.error().error};
}

}  // namespace

Result<Endpoint> parse_endpoint(std::string_view body, std::string name) {
    if (auto checked = check_json(body); !checked) return fail(std::move(checked));
    const auto fields = split_object(body);
    if (!fields) return std::unexpected{fields.error()};
    Endpoint endpoint;
    endpoint.name = std::move(name);
    endpoint.method = "POST";
    std::string payload;
    JsonWriter task{endpoint.task};
    task.begin_object();
    for (const auto& [field, raw] : *fields) {
        if (std::ranges::find(task_fields, field) != task_fields.end())
            task.key(field).raw(raw);
        else if (auto taken = take_field(endpoint, field, raw, payload); !taken)
            return fail(std::move(taken));
    }
    task.end_object();
    if (endpoint.path.empty()) return fail(ErrorCode::missing_field, "path");
    if (auto valid = check_what_is_behind(endpoint); !valid) return fail(std::move(valid));
    const bool has_body = endpoint.method != "GET" && endpoint.method != "DELETE";
    endpoint.whole_request = payload.empty() ? !has_body : payload == "request";
    if (auto valid = check_task(endpoint); !valid) return fail(std::move(valid));
    return endpoint;
}

std::string path_text(const Endpoint& endpoint) {
    std::string text;
    for (const std::string& part : endpoint.path)
        text.append("/").append(is_parameter(part) ? part : percent_encode(part));
    return text;
}

std::string write_endpoint(const Endpoint& endpoint) {
    std::string out;
    JsonWriter json{out};
    json.begin_object()
        .field("name", endpoint.name)
        .field("method", endpoint.method)
        .field("path", path_text(endpoint));
    if (endpoint.function.empty())
        json.field("type", endpoint.type);
    else
        json.field("function", endpoint.function).field("host", endpoint.host);
    json.field("payload", endpoint.whole_request ? "request" : "body")
        .field("wait_ms", endpoint.wait / ms);
    if (!endpoint.statuses.empty()) {
        json.key("errors").begin_object();
        for (const auto& [code, status] : endpoint.statuses) {
            std::string name;
            append_json_string(name, code);
            json.field(std::string_view{name}.substr(1, name.size() - 2), status);
        }
        json.end_object();
    }
    const auto more = split_object(endpoint.task);
    for (const auto& [name, raw] : more.value_or(JsonFields{}))
        json.key(name).raw(raw);
    json.end_object();
    return out;
}

bool fits(const Endpoint& endpoint, const std::vector<std::string>& path, PathValues& values) {
    values.clear();
    if (endpoint.path.size() != path.size()) return false;
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (is_parameter(endpoint.path[i]))
            values.emplace_back(name_of(endpoint.path[i]), path[i]);
        else if (endpoint.path[i] != path[i])
            return false;
    }
    return true;
}

bool overlap(const Endpoint& a, const Endpoint& b) {
    if (a.method != b.method || a.path.size() != b.path.size()) return false;
    for (std::size_t i = 0; i < a.path.size(); ++i)
        if (a.path[i] != b.path[i] && !is_parameter(a.path[i]) && !is_parameter(b.path[i]))
            return false;
    return true;
}

}  // namespace taskd::protocol
