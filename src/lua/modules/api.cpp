// The dispatcher's API and other services for programs: each function is one HTTP request, and its
// answer is the answer's body.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <set>

#include "lua/arguments.hpp"
#include "lua/modules/exchange_room.hpp"
#include "taskd/lua/modules.hpp"
#include "taskd/protocol/http_url.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::lua {
namespace {

using runtime::CommandCall;
using runtime::CommandId;

constexpr Duration timeout_default = std::chrono::seconds{30};
constexpr CommandId http_request = 100;

// What stands behind the parts of a path among the arguments.
enum class Body : std::uint8_t {
    none,    // {options}
    value,   // a value as it is, {options}
    submit,  // type, payload, {options, which go into the body but for `wait`}
    start,   // a workflow's document, inputs, {options}
};

struct Row {
    CommandId id;
    const char* module;
    const char* function;
    const char* method;
    const char* path;  // "{}" takes an argument
    Body body = Body::none;
};

constexpr Row rows[] = {
    {60, "tasks", "submit", "POST", "/v1/tasks", Body::submit},
    {61, "tasks", "get", "GET", "/v1/tasks/{}"},
    {62, "tasks", "result", "GET", "/v1/tasks/{}/result"},
    {63, "tasks", "explain", "GET", "/v1/tasks/{}/explain"},
    {64, "tasks", "cancel", "POST", "/v1/tasks/{}/cancel"},
    {65, "workflows", "run", "POST", "/v1/workflows", Body::start},
    {66, "workflows", "get", "GET", "/v1/workflows/{}"},
    {67, "workflows", "steps", "GET", "/v1/workflows/{}/steps"},
    {68, "workflows", "explain", "GET", "/v1/workflows/{}/explain"},
    {69, "workflows", "cancel", "POST", "/v1/workflows/{}/cancel"},
    {70, "workflows", "signal", "POST", "/v1/workflows/{}/signals/{}", Body::value},
    {81, "workflows", "approve", "POST", "/v1/workflows/{}/steps/{}/approve", Body::value},
    {82, "workflows", "reject", "POST", "/v1/workflows/{}/steps/{}/reject", Body::value},
    {71, "topics", "publish", "POST", "/v1/topics/{}/events", Body::value},
    {72, "topics", "subscribe", "PUT", "/v1/subscriptions/{}", Body::value},
    {73, "topics", "receive", "POST", "/v1/subscriptions/{}/deliveries", Body::value},
    {74, "topics", "settle", "POST", "/v1/subscriptions/{}/acks", Body::value},
    {75, "topics", "list", "GET", "/v1/topics"},
    {76, "queue", "get", "GET", "/v1/queues/{}"},
    {77, "queue", "set", "PUT", "/v1/queues/{}", Body::value},
    {78, "queue", "pause", "POST", "/v1/queues/{}/pause"},
    {79, "queue", "resume", "POST", "/v1/queues/{}/resume"},
    {80, "queue", "drain", "POST", "/v1/queues/{}/drain"},
};

struct Question {
    std::string base_url;
    port::HttpRequest request;
    Duration timeout = timeout_default;
};

void put_field(Value& map, std::string name, Value value) {
    map.kind = ValueKind::map;
    map.fields.push_back({std::move(name), std::move(value)});
}

// As texts and numbers go into a query.
Result<std::string> query_of(const Value& options, const std::set<std::string>& left_out) {
    std::string query;
    for (const ValueField& field : options.fields) {
        if (left_out.contains(field.name)) continue;
        const Value& value = field.value;
        if (value.kind == ValueKind::list || value.kind == ValueKind::map)
            return fail(ErrorCode::invalid_field,
                        fmt::format("'{}' takes a text or a number", field.name));
        const std::string text =
            value.kind == ValueKind::boolean ? (value.boolean ? "true" : "false") : value.text;
        query += fmt::format("{}{}={}", query.empty() ? '?' : '&',
                             protocol::percent_encode(field.name), protocol::percent_encode(text));
    }
    return query;
}

class RequestWriter {
  public:
    RequestWriter(const Row& row, const std::vector<Value>& arguments, const ApiPorts& ports)
        : row_{row}, values_{arguments}, given_{values_}, ports_{ports} {}

    Result<Question> write() {
        question_.base_url = ports_.dispatcher_url;
        question_.request.method = row_.method;
        if (!ports_.bearer.empty())
            question_.request.headers.emplace_back("Authorization", "Bearer " + ports_.bearer);
        if (auto made = write_path(); !made) return fail(std::move(made));
        if (auto made = write_body(); !made) return fail(std::move(made));
        if (auto made = write_options(); !made) return fail(std::move(made));
        return std::move(question_);
    }

  private:
    Result<void> write_path() {
        std::string_view rest = row_.path;
        for (auto hole = rest.find("{}"); hole != std::string_view::npos; hole = rest.find("{}")) {
            const auto part = given_.text(at_++, "id or name");
            if (!part) return std::unexpected{part.error()};
            if (part->empty()) return fail(ErrorCode::invalid_field, "an empty id or name");
            question_.request.target += rest.substr(0, hole);
            question_.request.target += protocol::percent_encode(*part);
            rest.remove_prefix(hole + 2);
        }
        question_.request.target += rest;
        return {};
    }

    Result<void> write_body() {
        Value body;
        switch (row_.body) {
            case Body::none:
                return {};
            case Body::value:
                if (const Value* wait = given_.option(at_, "wait_ms"))
                    question_.timeout += std::chrono::milliseconds{
                        std::strtoll(wait->text.substr(0, 9).c_str(), nullptr, 10)};
                body = given_.take(at_++);
                break;
            case Body::submit: {
                const auto type = given_.text(at_++, "type");
                if (!type) return std::unexpected{type.error()};
                put_field(body, "type", Value::of_text(*type));
                put_field(body, "payload", given_.take(at_++));
                if (given_.is_map(at_))
                    for (const ValueField& field : values_[at_].fields)
                        if (field.name != "wait") put_field(body, field.name, field.value);
                in_body_ = true;
                break;
            }
            case Body::start:
                put_field(body, "document", given_.take(at_++));
                if (given_.has(at_)) put_field(body, "inputs", given_.take(at_));
                ++at_;
                break;
        }
        auto text = ports_.formats.write("json", body);
        if (!text) return fail(std::move(text));
        question_.request.headers.emplace_back("Content-Type", "application/json");
        question_.request.body = std::move(*text);
        return {};
    }

    Result<void> write_options() {
        const auto wait = given_.option_duration(at_, "wait");
        if (!wait) return std::unexpected{wait.error()};
        if (*wait) question_.timeout += std::min<Duration>(**wait, limits::wait_max);
        if (!given_.is_map(at_)) return {};
        if (in_body_) {
            if (*wait) question_.request.target += "?wait=" + seconds_value(**wait).text;
            return {};
        }
        auto query = query_of(values_[at_], {});
        if (!query) return fail(std::move(query));
        question_.request.target += *query;
        return {};
    }

    const Row& row_;
    const std::vector<Value>& values_;
    Arguments given_;
    const ApiPorts& ports_;
    std::size_t at_ = 0;
    bool in_body_ = false;
    Question question_;
};

// ---- http ---------------------------------------------------------------------------------------

// A token of RFC 9110, 5.6.2.
bool is_header_name(std::string_view name) {
    return !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
        return std::isalnum(c) != 0 || std::string_view{"!#$%&'*+-.^_`|~"}.contains(c);
    });
}

bool is_header_value(std::string_view text) {
    return std::ranges::none_of(text, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

// What tells where a request ends belongs to who writes it, on a connection that others use too.
bool is_of_connection(const std::string& name) {
    constexpr std::string_view names[] = {"content-length", "transfer-encoding",
                                          "connection",     "proxy-connection",
                                          "keep-alive",     "te",
                                          "trailer",        "upgrade",
                                          "expect",         "host"};
    return std::ranges::any_of(names, [&](std::string_view each) {
        return std::ranges::equal(name, each, {}, [](unsigned char c) { return std::tolower(c); });
    });
}

// (url, {method, headers, body, timeout}); a body that is no text goes as JSON. Nobody holds a
// thread for longer than others may wait.
Result<Question> write_http(const std::vector<Value>& arguments, const ApiPorts& ports) {
    const Arguments given{arguments};
    const auto url = given.text(0, "url");
    if (!url) return std::unexpected{url.error()};
    // Unix sockets are the node's own affair.
    auto parts = protocol::parse_http_url(*url);
    const auto method = given.option_text(1, "method");
    const auto timeout = given.option_duration(1, "timeout");
    if (!parts) return fail(std::move(parts));
    if (!method) return std::unexpected{method.error()};
    if (!timeout) return std::unexpected{timeout.error()};
    Question question{
        .base_url = std::move(parts->base),
        .request = {method->empty() ? "GET" : *method, std::move(parts->target), {}, {}},
        .timeout = std::min<Duration>(timeout->value_or(timeout_default), limits::wait_max)};
    if (const Value* headers = given.option(1, "headers"))
        for (const ValueField& field : headers->fields) {
            if (!is_header_name(field.name) || !is_header_value(field.value.text))
                return fail(ErrorCode::invalid_field,
                            "a header that is none: '" + field.name + "'");
            if (is_of_connection(field.name))
                return fail(ErrorCode::invalid_field, "the header '" + field.name + "'");
            question.request.headers.emplace_back(field.name, field.value.text);
        }
    if (std::ranges::none_of(question.request.method, [](char c) { return c < 'A' || c > 'Z'; }) ==
        false)
        return fail(ErrorCode::invalid_field, "a method is upper-case letters");
    const Value* body = given.option(1, "body");
    if (body == nullptr) return question;
    if (body->kind == ValueKind::text) {
        question.request.body = body->text;
        return question;
    }
    auto text = ports.formats.write("json", *body);
    if (!text) return fail(std::move(text));
    question.request.body = std::move(*text);
    question.request.headers.emplace_back("Content-Type", "application/json");
    return question;
}

// The body as text, or what it holds when it says it is JSON.
Result<Value> read_body(const port::HttpResponse& answer, const runtime::Transcoder& formats) {
    const std::string_view type = port::find_header(answer.headers, "Content-Type");
    if (type.find("json") != std::string_view::npos && !answer.body.empty())
        return formats.read("json", answer.body);
    return Value::of_text(answer.body);
}

Result<Value> http_answer(const port::HttpResponse& answer, const runtime::Transcoder& formats) {
    auto body = read_body(answer, formats);
    if (!body) return body;
    Value value;
    put_field(value, "status", Value::of_number(std::to_string(answer.status)));
    put_field(value, "body", std::move(*body));
    Value headers;
    headers.kind = ValueKind::map;
    std::set<std::string> seen;
    for (const auto& [name, text] : answer.headers)
        if (seen.insert(name).second) put_field(headers, name, Value::of_text(text));
    put_field(value, "headers", std::move(headers));
    return value;
}

Result<Value> api_answer(const port::HttpResponse& answer, const runtime::Transcoder& formats) {
    if (answer.status < 200 || answer.status >= 300)
        return std::unexpected{protocol::parse_problem(answer.body, answer.status)};
    if (answer.body.empty()) return Value::of_boolean(true);
    return read_body(answer, formats);
}

}  // namespace

struct Api::Impl : std::enable_shared_from_this<Api::Impl> {
    explicit Impl(ApiPorts its_ports) : ports{std::move(its_ports)} {
        const ExchangeRoomPorts its{ports.http, ports.timers, ports.clock};
        of_processes.emplace(its, ports.exchanges_max, ports.exchange_patience, "processes");
        of_functions.emplace(its, ports.exchanges_max, ports.exchange_patience, "functions");
    }

    using Read = Result<Value> (*)(const port::HttpResponse&, const runtime::Transcoder&);
    // Of who has asked by the call.
    void ask(const CommandCall& call, Question question, Read read) {
        const bool is_process = ports.topology.has(call.process);
        const std::uint64_t number = ++asked;
        ports.post([weak = weak_from_this(), number, is_process, question = std::move(question),
                    read, answer = call.answer]() mutable {
            const auto self = weak.lock();
            if (!self) return;
            auto& room = is_process ? self->of_processes : self->of_functions;
            if (!room) return;
            room->send({number, std::move(question.base_url), std::move(question.request),
                        question.timeout},
                       [self = self.get(), read,
                        answer = std::move(answer)](const Result<port::HttpResponse>& got) {
                           answer(got ? read(*got, self->ports.formats)
                                      : Result<Value>{std::unexpected{got.error()}});
                       });
        });
        if (!call.when_gone) return;
        call.when_gone([weak = weak_from_this(), number, is_process] {
            if (const auto self = weak.lock())
                self->ports.post([weak, number, is_process] {
                    const auto alive = weak.lock();
                    if (!alive) return;
                    auto& room = is_process ? alive->of_processes : alive->of_functions;
                    if (room) room->let_go(number);
                });
        });
    }

    const ApiPorts ports;
    std::atomic<std::uint64_t> asked = 0;
    // None once the node lets go of them; who asks by the table of commands may come later.
    std::optional<ExchangeRoom> of_processes;
    std::optional<ExchangeRoom> of_functions;
};

Api::Api(ApiPorts ports) : impl_{std::make_shared<Impl>(std::move(ports))} {}
Api::~Api() {
    impl_->of_processes.reset();
    impl_->of_functions.reset();
}

std::vector<Module> Api::modules() const {
    std::vector<Module> modules;
    for (const Row& row : rows) {
        if (modules.empty() || modules.back().name != row.module)
            modules.push_back({row.module, {}});
        modules.back().functions.push_back({row.function, row.id});
    }
    modules.push_back({"http", {{"request", http_request}}});
    return modules;
}

Result<void> Api::add_commands(runtime::Commands& commands) {
    for (const Row& row : rows) {
        auto added = commands.add(row.id, fmt::format("{}.{}", row.module, row.function),
                                  [impl = impl_, &row](const CommandCall& call) {
                                      auto question =
                                          RequestWriter{row, call.arguments, impl->ports}.write();
                                      if (!question)
                                          return call.answer(std::unexpected{question.error()});
                                      impl->ask(call, std::move(*question), api_answer);
                                  });
        if (!added) return added;
    }
    return commands.add(http_request, "http.request", [impl = impl_](const CommandCall& call) {
        auto question = write_http(call.arguments, impl->ports);
        if (!question) return call.answer(std::unexpected{question.error()});
        impl->ask(call, std::move(*question), http_answer);
    });
}

}  // namespace taskd::lua
