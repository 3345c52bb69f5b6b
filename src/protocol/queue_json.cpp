#include "taskd/protocol/queue_json.hpp"

#include <algorithm>

#include "protocol/json_parts.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_schema.hpp"

namespace taskd::protocol {
namespace {

constexpr std::int64_t per_ms_max = limits::backoff_most / std::chrono::milliseconds{1};

Result<void> take_number(std::string_view raw, std::string_view name, std::int64_t least,
                         std::int64_t most, std::uint32_t& target) {
    const auto number = read_integer(raw, name, least, most);
    if (!number) return std::unexpected{number.error()};
    target = static_cast<std::uint32_t>(*number);
    return {};
}

Result<void> take_rate(std::string_view raw, const std::string& name, Rate& rate) {
    const auto fields = split_object(raw);
    if (!fields) return fail(ErrorCode::invalid_field, name + " must be an object");
    for (const auto& [key, value] : *fields) {
        const std::string path = name + "." + key;
        Result<void> taken;
        if (key == "count") {
            taken = take_number(value, path, 0, limits::rate_count_max, rate.count);
        } else if (key == "burst") {
            taken = take_number(value, path, 1, limits::rate_count_max, rate.burst);
        } else if (key == "per_ms") {
            const auto ms = read_integer(value, path, 1'000, per_ms_max);
            if (!ms) return std::unexpected{ms.error()};
            rate.per = std::chrono::milliseconds{*ms};
        } else {
            return fail(ErrorCode::unknown_field, path);
        }
        if (!taken) return taken;
    }
    return {};
}

Result<void> take_weights(std::string_view raw, QueueRules& rules) {
    const auto fields = split_object(raw);
    if (!fields || fields->size() > limits::keys_named_max)
        return fail(ErrorCode::invalid_field, "weights must be an object of up to 1000 keys");
    for (const auto& [key, value] : *fields) {
        if (key.size() > limits::key_bytes_max)
            return fail(ErrorCode::invalid_field, "weights: a key has up to 256 bytes");
        auto taken =
            take_number(value, "weights." + key, 1, limits::weight_max, rules.weights[key]);
        if (!taken) return taken;
    }
    return {};
}

Result<void> take_rule(std::string_view key, std::string_view raw, QueueRules& rules) {
    constexpr std::int64_t most = limits::rate_count_max;
    if (key == "concurrency") return take_number(raw, key, 0, most, rules.concurrency);
    if (key == "key_concurrency") return take_number(raw, key, 0, most, rules.key_concurrency);
    if (key == "key_backlog_max")
        return take_number(raw, key, 0, UINT32_MAX, rules.key_backlog_max);
    if (key == "rate") return take_rate(raw, "rate", rules.rate);
    if (key == "key_rate") return take_rate(raw, "key_rate", rules.key_rate);
    if (key == "weights") return take_weights(raw, rules);
    if (key == "schema") {
        auto schema = parse_schema(raw);
        if (!schema) return fail(std::move(schema));
        rules.schema = std::move(*schema);
        return {};
    }
    return fail(ErrorCode::unknown_field, std::string{key});
}

void put_rate(JsonWriter& json, std::string_view name, const Rate& rate) {
    if (!rate.limits()) return;
    json.key(name)
        .begin_object()
        .field("count", rate.count)
        .field("per_ms", rate.per / std::chrono::milliseconds{1})
        .field("burst", rate.burst)
        .end_object();
}

}  // namespace

Result<Blob> parse_schema(std::string_view body) {
    if (auto checked = check_json(body); !checked) return fail(std::move(checked));
    body.remove_prefix(std::min(body.find_first_not_of(" \t\r\n"), body.size()));
    if (kind_of(body) == JsonKind::null) return Blob{};
    if (auto compiled = JsonSchema::compile(body); !compiled)
        return std::unexpected{compiled.error()};
    return Blob{std::string{body}};
}

Result<QueueRules> parse_queue_rules(std::string_view body) {
    if (auto checked = check_json(body); !checked) return fail(std::move(checked));
    const auto fields = split_object(body);
    if (!fields) return std::unexpected{fields.error()};
    QueueRules rules;
    for (const auto& [key, raw] : *fields)
        if (auto taken = take_rule(key, raw, rules); !taken) return fail(std::move(taken));
    return rules;
}

std::string write_queue_rules(const QueueRules& rules) {
    std::string out;
    JsonWriter json{out};
    json.field("concurrency", rules.concurrency).field("key_concurrency", rules.key_concurrency);
    put_rate(json, "rate", rules.rate);
    put_rate(json, "key_rate", rules.key_rate);
    json.field("key_backlog_max", rules.key_backlog_max);
    json.key("weights").begin_object();
    for (const auto& [key, weight] : rules.weights) {
        std::string name;
        append_json_string(name, key);
        json.key(std::string_view{name}.substr(1, name.size() - 2)).number(std::uint64_t{weight});
    }
    json.end_object();
    if (!rules.schema.empty()) json.key("schema").raw(rules.schema.view());
    if (rules.paused) put_pause(json.key("paused"), *rules.paused);
    if (rules.draining) put_pause(json.key("draining"), *rules.draining);
    if (rules.paused_keys.empty()) return out;
    json.key("paused_keys").begin_array();
    for (const auto& [key, pause] : rules.paused_keys) {
        json.begin_object().field("key", key).key("pause");
        put_pause(json, pause);
        json.end_object();
    }
    json.end_array();
    return out;
}

Result<PauseBody> parse_pause(std::string_view body) {
    PauseBody pause;
    if (body.empty()) return pause;
    if (auto checked = check_json(body); !checked) return fail(std::move(checked));
    const auto fields = split_object(body);
    if (!fields) return std::unexpected{fields.error()};
    for (const auto& [key, raw] : *fields) {
        const bool is_key = key == "key";
        if (!is_key && key != "by" && key != "reason") return fail(ErrorCode::unknown_field, key);
        auto text = read_string(raw, key);
        if (!text) return fail(std::move(text));
        if (text->size() > (is_key ? limits::key_bytes_max : limits::reason_bytes_max))
            return fail(ErrorCode::invalid_field, key + " is too long");
        if (is_key)
            pause.key = std::move(*text);
        else
            (key == "by" ? pause.by : pause.reason) = std::move(*text);
    }
    return pause;
}

std::string write_hold(const WorkerHold& hold) {
    std::string out;
    JsonWriter json{out};
    json.begin_object().field("instance", hold.instance);
    if (hold.pause) put_pause(json.key("paused"), *hold.pause);
    json.field("draining", hold.draining).end_object();
    return out;
}

}  // namespace taskd::protocol
