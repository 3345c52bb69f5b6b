#include "taskd/protocol/operation_json.hpp"

#include "taskd/base/limits.hpp"
#include "taskd/model/search.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::protocol {
namespace {

Result<void> take_text(std::string_view raw, std::string_view name, std::string& target) {
    auto text = read_string(raw, name);
    if (!text) return fail(std::move(text));
    if (text->size() > limits::reason_bytes_max)
        return fail(ErrorCode::invalid_field, std::string{name} + " is longer than 1000 bytes");
    target = std::move(*text);
    return {};
}

Result<void> take_search(std::string_view raw, Operation& operation) {
    auto text = read_string(raw, "q");
    if (!text) return fail(std::move(text));
    const auto search = parse_search(*text);
    if (!search) return std::unexpected{search.error()};
    // What is meant for all of them is said so.
    if (search->terms.empty())
        return fail(ErrorCode::invalid_field, "q has no term; type:* is every task");
    operation.search = std::move(*text);
    return {};
}

Result<void> take_field(std::string_view key, std::string_view raw, Operation& operation,
                        bool& has_action) {
    if (key == "q") return take_search(raw, operation);
    if (key == "by") return take_text(raw, key, operation.by);
    if (key == "reason") return take_text(raw, key, operation.reason);
    if (key == "rate") {
        const auto rate = read_integer(raw, key, 0, limits::operation_rate_max);
        if (!rate) return std::unexpected{rate.error()};
        operation.rate = static_cast<std::uint32_t>(*rate);
        return {};
    }
    if (key != "id" && key != "action") return fail(ErrorCode::unknown_field, std::string{key});
    const auto text = read_string(raw, key);
    if (!text) return std::unexpected{text.error()};
    if (key == "id") {
        const auto id = OperationId::parse(*text);
        if (!id) return fail(ErrorCode::invalid_id, *text);
        operation.id = *id;
        return {};
    }
    const auto action = parse_operation_action(*text);
    if (!action) return fail(ErrorCode::invalid_field, "action is cancel, redrive or delete");
    operation.action = *action;
    has_action = true;
    return {};
}

}  // namespace

Result<Operation> parse_operation(std::string_view body) {
    if (auto checked = check_json(body); !checked) return fail(std::move(checked));
    const auto fields = split_object(body);
    if (!fields) return std::unexpected{fields.error()};
    Operation operation;
    bool has_action = false;
    for (const auto& [key, raw] : *fields)
        if (auto taken = take_field(key, raw, operation, has_action); !taken)
            return fail(std::move(taken));
    if (!has_action) return fail(ErrorCode::missing_field, "action");
    if (operation.search.empty()) return fail(ErrorCode::missing_field, "q");
    return operation;
}

Result<std::string> parse_reason(std::string_view body) {
    std::string reason;
    if (body.empty()) return reason;
    if (auto checked = check_json(body); !checked) return fail(std::move(checked));
    const auto fields = split_object(body);
    if (!fields) return std::unexpected{fields.error()};
    for (const auto& [name, raw] : *fields) {
        if (name != "reason") return fail(ErrorCode::unknown_field, name);
        auto text = read_string(raw, name);
        if (!text) return text;
        if (text->size() > limits::reason_bytes_max)
            return fail(ErrorCode::invalid_field, "reason is longer than 1000 bytes");
        reason = std::move(*text);
    }
    return reason;
}

void write_operation(std::string& out, const Operation& operation) {
    JsonWriter json{out};
    json.begin_object()
        .field("id", operation.id)
        .field("action", to_text(operation.action))
        .field("q", operation.search);
    if (!operation.by.empty()) json.field("by", operation.by);
    if (!operation.reason.empty()) json.field("reason", operation.reason);
    if (operation.rate > 0) json.field("rate", operation.rate);
    json.field("state", to_text(operation.state)).field("started_at", operation.started_at);
    if (operation.ended_at) json.field("ended_at", *operation.ended_at);
    json.field("changed", operation.changed).field("passed_over", operation.passed_over);
    json.end_object();
}

}  // namespace taskd::protocol
