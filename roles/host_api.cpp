#include "host_api.hpp"

#include <charconv>
#include <set>

#include "taskd/base/duration_text.hpp"
#include "taskd/protocol/entry_json.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::roles {
namespace {

using service::Call;

constexpr std::size_t page_default = 100;
constexpr std::size_t page_max = 1'000;
constexpr Duration link_timeout = std::chrono::seconds{10};
constexpr Duration timeout_least = std::chrono::milliseconds{1};

// The body as a map with no fields but these; an empty one is an empty map.
Result<Value> read_map(const Call& call, const runtime::Transcoder& formats,
                       const std::set<std::string, std::less<>>& known) {
    Value value;
    value.kind = ValueKind::map;
    if (call.request.body.empty()) return value;
    auto read = formats.read("json", call.request.body);
    if (!read) return read;
    if (read->kind != ValueKind::map)
        return fail(ErrorCode::invalid_field, "the body is no object");
    for (const ValueField& field : read->fields)
        if (!known.contains(field.name)) return fail(ErrorCode::unknown_field, field.name);
    return read;
}

const Value* find(const Value& map, std::string_view name) {
    for (const ValueField& field : map.fields)
        if (field.name == name) return &field.value;
    return nullptr;
}

Result<std::string> text_of(const Value& map, const std::string& name, bool required) {
    const Value* value = find(map, name);
    if (value == nullptr) {
        if (required) return fail(ErrorCode::missing_field, name);
        return std::string{};
    }
    if (value->kind != ValueKind::text || (required && value->text.empty()))
        return fail(ErrorCode::invalid_field, name + " takes a text");
    return value->text;
}

Result<std::uint64_t> number_of(std::string_view text, const std::string& name,
                                std::uint64_t most) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || number > most)
        return fail(ErrorCode::invalid_field, name + " '" + std::string{text} + "'");
    return number;
}

// What answers a call from another thread: on the loop.
std::function<void(std::function<void(Call&)>)> answering(Call call, const lua::Post& post) {
    auto shared = std::make_shared<Call>(std::move(call));
    return [shared, post](std::function<void(Call&)> how) {
        post([shared, how = std::move(how)] { how(*shared); });
    };
}

void answer_done(Call& call, const Result<void>& outcome) {
    if (!outcome) return call.answer(outcome.error());
    call.answer(200, "{}");
}

void answer_held(Call& call, const Result<HeldPrograms>& held) {
    if (!held) return call.answer(held.error());
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object()
        .field("functions", held->functions)
        .field("processes", held->processes)
        .field("version", held->version)
        .end_object();
    call.answer(200, std::move(body));
}

}  // namespace

void HostApi::add_routes(service::HttpFront& front) {
    const auto to = [this](auto handler) {
        return [this, handler](Call&& call) { (this->*handler)(std::move(call)); };
    };
    front.add({"GET", "/v1/processes", {"after", "limit"}, to(&HostApi::list)});
    front.add({"POST", "/v1/processes", {}, to(&HostApi::spawn)});
    front.add({"POST", "/v1/processes/{process}/end", {}, to(&HostApi::end)});
    front.add({"POST", "/v1/messages", {}, to(&HostApi::message)});
    front.add({"POST", "/v1/watches", {}, to(&HostApi::watch)});
    front.add({"GET", "/v1/functions", {}, to(&HostApi::list_functions)});
    front.add({"POST", "/v1/functions/{name}", {"timeout"}, to(&HostApi::call_function)});
    front.add({"POST", "/v1/entries/check", {}, to(&HostApi::check_entries)});
    front.add({"POST", "/v1/entries/reload", {}, to(&HostApi::reload_entries)});
}

void HostApi::list(Call call) const {
    std::uint64_t after = 0;
    std::uint64_t limit = page_default;
    if (const std::string* text = call.target.find("after")) {
        const auto read = number_of(*text, "after", std::numeric_limits<std::uint64_t>::max());
        if (!read) return call.answer(read.error());
        after = *read;
    }
    if (const std::string* text = call.target.find("limit")) {
        const auto read = number_of(*text, "limit", page_max);
        if (!read) return call.answer(read.error());
        if (*read == 0) return call.answer(Error{ErrorCode::invalid_field, "limit '0'"});
        limit = *read;
    }
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object().key("processes").begin_array();
    for (const runtime::ProcessRow& row : ports_.topology.rows(after, limit)) {
        json.begin_object()
            .field("pid", to_text(ports_.topology.id_of(row.number)))
            .field("number", row.number);
        if (row.parent != 0) json.field("parent", row.parent);
        json.field("program", row.runs);
        if (!row.name.empty()) json.field("name", row.name);
        json.field("memory_bytes", ports_.host.memory_bytes(row.number)).end_object();
    }
    json.end_array().field("alive", ports_.topology.count()).end_object();
    call.answer(200, std::move(body));
}

void HostApi::spawn(Call call) {
    auto given = read_map(call, ports_.formats, {"program", "arguments"});
    if (!given) return call.answer(given.error());
    auto program = text_of(*given, "program", true);
    if (!program) return call.answer(program.error());
    std::vector<Value> arguments;
    if (const Value* values = find(*given, "arguments")) {
        if (values->kind != ValueKind::list || values->items.size() > 100)
            return call.answer(Error{ErrorCode::invalid_field, "arguments takes up to 100 values"});
        arguments = values->items;
    }
    const auto id =
        ports_.host.spawn({.program = std::move(*program), .arguments = std::move(arguments)});
    if (!id) return call.answer(id.error());
    std::string body;
    protocol::JsonWriter{body}
        .begin_object()
        .field("pid", to_text(*id))
        .field("number", id->number)
        .end_object();
    call.answer(201, std::move(body));
}

void HostApi::end(Call call) {
    const auto given = read_map(call, ports_.formats, {"reason", "grace_ms"});
    if (!given) return call.answer(given.error());
    const auto reason = text_of(*given, "reason", false);
    if (!reason) return call.answer(reason.error());
    std::uint64_t grace = 0;
    if (const Value* value = find(*given, "grace_ms")) {
        const auto read = value->kind == ValueKind::number
                              ? number_of(value->text, "grace_ms", 3'600'000)
                              : fail(ErrorCode::invalid_field, "grace_ms takes a number");
        if (!read) return call.answer(read.error());
        grace = *read;
    }
    const std::string& which = call.parameters[0];
    const auto number = number_of(which, "process", std::numeric_limits<std::uint64_t>::max());
    const runtime::ProcessNumber process = number ? *number : ports_.topology.find_name(which);
    if (process == 0) return call.answer(Error{ErrorCode::process_not_found, which});
    const std::string why = reason->empty() ? "asked from outside" : *reason;
    answer_done(call, grace > 0 ? ports_.host.cancel(process, why, std::chrono::milliseconds{grace})
                                : ports_.host.terminate(process, why));
}

void HostApi::message(Call call) {
    auto given = read_map(call, ports_.formats, {"to", "from", "topic", "payload", "wait"});
    if (!given) return call.answer(given.error());
    auto to = text_of(*given, "to", true);
    const auto from = text_of(*given, "from", false);
    auto topic = text_of(*given, "topic", true);
    if (!to) return call.answer(to.error());
    if (!from) return call.answer(from.error());
    if (!topic) return call.answer(topic.error());
    runtime::Package package{
        .from = {}, .to = {}, .name = {}, .topic = std::move(*topic), .payload = {}};
    if (!from->empty()) {
        auto id = runtime::parse_process_id(*from);
        if (!id) return call.answer(id.error());
        package.from = std::move(*id);
    }
    if (to->starts_with('{')) {
        auto id = runtime::parse_process_id(*to);
        if (!id) return call.answer(id.error());
        package.to = std::move(*id);
    } else {
        package.name = std::move(*to);
        package.to = ports_.topology.id_of(0);
    }
    // What came from another node is for this one: it does not travel on.
    if (package.to.node != ports_.relay.node())
        return call.answer(Error{ErrorCode::node_unknown, package.to.node});
    if (const Value* payload = find(*given, "payload")) package.payload = *payload;
    if (auto good = lua::Host::check_message(package.topic, package.payload); !good)
        return call.answer(good.error());
    const Value* wait = find(*given, "wait");
    if (wait != nullptr && wait->boolean) package.wait = limits::send_wait_default;
    ports_.relay.send(std::move(package),
                      [answer = answering(std::move(call), ports_.post)](Result<void> sent) {
                          answer([sent = std::move(sent)](Call& its) { answer_done(its, sent); });
                      });
}

// On the loop from the beginning to the end.
void HostApi::watch(Call call) {
    auto question = lua::read_watch_question(call.request.body);
    if (!question) return call.answer(question.error());
    const auto shared = std::make_shared<Call>(std::move(call));
    ports_.desk.take(
        std::move(*question), [shared] { return shared->request.nobody_waits(); },
        [shared](const Result<lua::WatchAnswer>& answer) {
            if (!answer) return shared->answer(answer.error());
            shared->answer(200, lua::write_watch_answer(*answer));
        });
}

void HostApi::list_functions(Call call) const {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object().key("functions").begin_array();
    for (const std::string& name : entries_.functions()) {
        const lua::PoolCounts counts = ports_.functions.counts(name);
        json.begin_object()
            .field("name", name)
            .field("machines", counts.machines)
            .field("busy", counts.busy)
            .field("waiting", counts.waiting)
            .field("made", counts.made)
            .field("calls", counts.calls)
            .field("failed", counts.failed)
            .end_object();
    }
    json.end_array().end_object();
    call.answer(200, std::move(body));
}

void HostApi::call_function(Call call) {
    std::vector<Value> arguments;
    if (!call.request.body.empty()) {
        auto value = ports_.formats.read("json", call.request.body);
        if (!value) return call.answer(value.error());
        arguments.push_back(std::move(*value));
    }
    Duration timeout{0};
    if (const std::string* text = call.target.find("timeout")) {
        const auto read = parse_duration(*text);
        if (!read || *read < timeout_least || *read > limits::endpoint_wait_most)
            return call.answer(Error{ErrorCode::invalid_field, "timeout '" + *text + "'"});
        timeout = *read;
    }
    const std::string name = call.parameters[0];
    const std::uint64_t number = ++calls_;
    const auto answer = answering(std::move(call), ports_.post);
    const auto id = ports_.functions.call(
        name, std::move(arguments),
        [this, answer, number, &formats = ports_.formats](Result<Value> value) {
            answer([this, value = std::move(value), number, &formats](Call& its) {
                timers_.erase(number);
                if (!value) return its.answer(value.error());
                auto json = formats.write("json", *value);
                if (!json) return its.answer(json.error());
                its.answer(200, std::move(*json));
            });
        });
    if (timeout == Duration{0}) return;
    auto timer = ports_.timers.make();
    timer->set(ports_.clock.steady() + timeout, [&functions = ports_.functions, id, timeout] {
        functions.stop(id, {ErrorCode::timed_out, "it took longer than " + to_text(timeout)});
    });
    timers_.emplace(number, std::move(timer));
}

// ---- entries ------------------------------------------------------------------------------------

void HostApi::check_entries(Call call) const {
    const auto asked = protocol::parse_registry_asked(call.request.body);
    if (!asked) return call.answer(asked.error());
    if (asked->restore) return call.answer(Error{ErrorCode::invalid_field, "restore"});
    answer_held(call, entries_.check(entries_of_host(asked->entries)));
}

void HostApi::reload_entries(Call call) const {
    answer_held(call, entries_.reload());
}

void HttpLink::send(const std::string& base_url, runtime::Package package,
                    runtime::Delivered delivered) {
    Value message;
    message.kind = ValueKind::map;
    const bool named = package.to.number == 0;
    message.fields.push_back({"to", Value::of_text(named ? package.name : to_text(package.to))});
    if (package.from.number != 0)
        message.fields.push_back({"from", Value::of_text(to_text(package.from))});
    message.fields.push_back({"topic", Value::of_text(std::move(package.topic))});
    message.fields.push_back({"payload", std::move(package.payload)});
    if (package.wait > Duration{0})  // the other node's wait
        message.fields.push_back({"wait", Value::of_boolean(true)});
    auto body = formats_.write("json", message);
    if (!body) return delivered(fail(std::move(body)));
    port::HttpRequest request{
        "POST", "/v1/messages", {{"Content-Type", std::string{protocol::json_type}}}, *body};
    service::add_key(request.headers, key_);
    post_([this, base_url, request = std::move(request),
           delivered = std::move(delivered)]() mutable {
        http_.send(
            base_url, std::move(request), link_timeout,
            [delivered](const Result<port::HttpResponse>& answer) {
                if (!answer) return delivered(std::unexpected{answer.error()});
                if (answer->status == 200) return delivered({});
                delivered(std::unexpected{protocol::parse_problem(answer->body, answer->status)});
            });
    });
}

}  // namespace taskd::roles
