#include "taskd/lua/watch_messages.hpp"

#include <algorithm>
#include <charconv>
#include <initializer_list>

#include "taskd/base/limits.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/protocol/value_json.hpp"

namespace taskd::lua {
namespace {

constexpr std::uint64_t wait_ms_max = 30'000;
constexpr std::size_t text_bytes_max = 8 * limits::kibibyte;

const Value* find(const Value& map, std::string_view name) {
    for (const ValueField& field : map.fields)
        if (field.name == name) return &field.value;
    return nullptr;
}

Result<Value> read_map(const std::string& json, std::initializer_list<std::string_view> known) {
    auto value = protocol::read_json_value(json);
    if (!value) return value;
    if (value->kind != ValueKind::map)
        return fail(ErrorCode::invalid_field, "the body is no object");
    for (const ValueField& field : value->fields)
        if (std::ranges::find(known, field.name) == known.end())
            return fail(ErrorCode::unknown_field, field.name);
    return value;
}

Result<std::uint64_t> read_number(const Value& map, std::string_view name, std::uint64_t least,
                                  std::uint64_t most) {
    const Value* value = find(map, name);
    if (value == nullptr) return fail(ErrorCode::missing_field, std::string{name});
    std::uint64_t number = 0;
    const char* last = value->text.data() + value->text.size();
    const auto [end, error] = std::from_chars(value->text.data(), last, number);
    if (value->kind != ValueKind::number || error != std::errc{} || end != last || number < least ||
        number > most)
        return fail(ErrorCode::invalid_field, std::string{name});
    return number;
}

std::string text_of(const Value& map, std::string_view name) {
    const Value* value = find(map, name);
    return value == nullptr ? std::string{} : value->text.substr(0, text_bytes_max);
}

Result<std::vector<Value>> read_list(const Value& map, std::string_view name) {
    const Value* value = find(map, name);
    if (value == nullptr) return std::vector<Value>{};
    if (value->kind != ValueKind::list) return fail(ErrorCode::invalid_field, std::string{name});
    if (value->items.size() > limits::node_watches_max)
        return fail(ErrorCode::too_many_watches, std::string{name});
    return value->items;
}

Result<NodeLinkPair> read_pair(const Value& map) {
    const auto here = read_number(map, "here", 1, UINT64_MAX);
    const auto there = read_number(map, "there", 1, UINT64_MAX);
    if (!here) return std::unexpected{here.error()};
    if (!there) return std::unexpected{there.error()};
    return NodeLinkPair{*here, *there};
}

Result<void> read_lists(const Value& map, WatchQuestion& question) {
    const auto watch = read_list(map, "watch");
    const auto links = read_list(map, "links");
    const auto failed = read_list(map, "failed");
    if (!watch) return std::unexpected{watch.error()};
    if (!links) return std::unexpected{links.error()};
    if (!failed) return std::unexpected{failed.error()};
    for (const Value& each : *watch) {
        Value one;
        one.kind = ValueKind::map;
        one.fields.push_back({"watch", each});
        const auto number = read_number(one, "watch", 1, UINT64_MAX);
        if (!number) return std::unexpected{number.error()};
        question.watch.insert(*number);
    }
    for (const Value& each : *links) {
        const auto pair = read_pair(each);
        if (!pair) return std::unexpected{pair.error()};
        question.links.insert(*pair);
    }
    for (const Value& each : *failed) {
        const auto pair = read_pair(each);
        if (!pair) return std::unexpected{pair.error()};
        question.failed.push_back({*pair, text_of(each, "kind"), text_of(each, "message")});
    }
    return {};
}

void write_pair(protocol::JsonWriter& json, const NodeLinkPair& pair) {
    json.field("here", pair.here).field("there", pair.there);
}

}  // namespace

std::string write_watch_question(const WatchQuestion& question) {
    std::string out;
    protocol::JsonWriter json{out};
    json.begin_object()
        .field("node", question.node)
        .field("session", protocol::write_session(question.session))
        .field("number", question.number)
        .field("wait_ms", question.wait / std::chrono::milliseconds{1})
        .key("watch")
        .begin_array();
    for (const runtime::ProcessNumber each : question.watch)
        json.number(each);
    json.end_array().key("links").begin_array();
    for (const NodeLinkPair& each : question.links) {
        json.begin_object();
        write_pair(json, each);
        json.end_object();
    }
    json.end_array().key("failed").begin_array();
    for (const FailedLink& each : question.failed) {
        json.begin_object();
        write_pair(json, each.pair);
        json.field("kind", each.kind).field("message", each.message).end_object();
    }
    json.end_array().end_object();
    return out;
}

Result<WatchQuestion> read_watch_question(const std::string& json) {
    const auto map =
        read_map(json, {"node", "session", "number", "wait_ms", "watch", "links", "failed"});
    if (!map) return std::unexpected{map.error()};
    WatchQuestion question;
    question.node = text_of(*map, "node");
    if (question.node.empty()) return fail(ErrorCode::missing_field, "node");
    const Value* session = find(*map, "session");
    if (session == nullptr) return fail(ErrorCode::missing_field, "session");
    const auto read = protocol::parse_session(session->text);
    if (!read) return std::unexpected{read.error()};
    question.session = *read;
    const auto number = read_number(*map, "number", 1, UINT64_MAX);
    if (!number) return std::unexpected{number.error()};
    question.number = *number;
    if (find(*map, "wait_ms") != nullptr) {
        const auto wait = read_number(*map, "wait_ms", 0, wait_ms_max);
        if (!wait) return std::unexpected{wait.error()};
        question.wait = std::chrono::milliseconds{*wait};
    }
    if (auto lists = read_lists(*map, question); !lists) return fail(std::move(lists));
    return question;
}

std::string write_watch_answer(const WatchAnswer& answer) {
    std::string out;
    protocol::JsonWriter json{out};
    json.begin_object()
        .field("session", protocol::write_session(answer.session))
        .key("ended")
        .begin_array();
    for (const FarEnd& each : answer.ended) {
        json.begin_object().field("number", each.number).field("ok", each.ok);
        if (!each.program.empty()) json.field("program", each.program);
        if (!each.ok) json.field("kind", each.kind).field("message", each.message);
        json.end_object();
    }
    json.end_array().end_object();
    return out;
}

Result<WatchAnswer> read_watch_answer(const std::string& json) {
    const auto map = read_map(json, {"session", "ended"});
    const auto bad = [](const Error& error) {
        return fail(ErrorCode::bad_answer, error.to_string());
    };
    if (!map) return bad(map.error());
    const auto session = protocol::parse_session(text_of(*map, "session"));
    const auto ended = read_list(*map, "ended");
    if (!session) return bad(session.error());
    if (!ended) return bad(ended.error());
    WatchAnswer answer{*session, {}};
    for (const Value& each : *ended) {
        const auto number = read_number(each, "number", 1, UINT64_MAX);
        if (!number) return bad(number.error());
        const Value* ok = find(each, "ok");
        answer.ended.push_back({*number, ok != nullptr && ok->boolean, text_of(each, "program"),
                                text_of(each, "kind"), text_of(each, "message")});
    }
    return answer;
}

}  // namespace taskd::lua
