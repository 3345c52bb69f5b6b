// Events as JSON.
#include <algorithm>

#include "protocol/base64.hpp"
#include "protocol/json_parts.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/protocol/topic_json.hpp"

namespace taskd::protocol {
namespace {

using Refused = std::unexpected<BodyError>;

// The parts of an event whose meaning depends on each other.
struct Parts {
    std::optional<std::string_view> data;
    std::optional<std::string> data_base64;
};

Result<void> take_text(std::string_view raw, std::string_view name, std::string& target) {
    auto text = read_string(raw, name);
    if (!text) return fail(std::move(text));
    target = std::move(*text);
    return {};
}

Result<void> take_headers(std::string_view raw, TopicEvent& event) {
    const auto fields = split_object(raw);
    if (!fields || fields->size() > limits::event_headers_max)
        return fail(ErrorCode::invalid_field, "headers must be an object of up to 32 texts");
    for (const auto& [name, value] : *fields) {
        auto text = read_string(value, "headers." + name);
        if (!text) return fail(std::move(text));
        event.headers[name] = std::move(*text);
    }
    return {};
}

Result<void> take_field(std::string_view key, std::string_view raw, TopicEvent& event,
                        Parts& parts) {
    if (key == "data") {
        parts.data = raw;
        return {};
    }
    if (key == "data_base64") return take_text(raw, key, parts.data_base64.emplace());
    if (key == "id") {
        event.id_given = true;
        return take_text(raw, key, event.id);
    }
    if (key == "source") return take_text(raw, key, event.source);
    if (key == "type") return take_text(raw, key, event.type);
    if (key == "key") return take_text(raw, key, event.key);
    if (key == "traceparent") return take_text(raw, key, event.trace);
    if (key == "content_type") return take_text(raw, key, event.content_type);
    if (key == "headers") return take_headers(raw, event);
    if (key != "time") return fail(ErrorCode::unknown_field, std::string{key});
    const auto time = read_instant(raw, key);
    if (!time) return std::unexpected{time.error()};
    event.time = *time;
    return {};
}

Result<TopicEvent> parse_event(std::string_view raw) {
    const auto fields = split_object(raw);
    if (!fields) return std::unexpected{fields.error()};
    TopicEvent event;
    Parts parts;
    for (const auto& [key, value] : *fields)
        if (auto taken = take_field(key, value, event, parts); !taken)
            return fail(std::move(taken));
    if (parts.data.has_value() == parts.data_base64.has_value())
        return fail(parts.data ? ErrorCode::invalid_field : ErrorCode::missing_field,
                    parts.data ? "data and data_base64 exclude each other" : "data");
    if (event.id_given && event.id.empty())
        return fail(ErrorCode::invalid_field, "id must not be empty");
    if (parts.data_base64) {
        auto bytes = decode_base64(*parts.data_base64);
        if (!bytes) return fail(ErrorCode::invalid_field, "data_base64");
        event.body = Blob{std::move(*bytes)};
        if (event.content_type.empty()) event.content_type = "application/octet-stream";
    } else if (event.content_type.empty() || is_json_media(event.content_type)) {
        if (event.content_type.empty()) event.content_type = json_type;
        event.body = Blob{std::string{*parts.data}};
    } else {
        std::string text;
        if (auto taken = take_text(*parts.data, "data", text); !taken)
            return fail(std::move(taken));
        event.body = Blob{std::move(text)};
    }
    if (auto fits = check_event(event); !fits) return fail(std::move(fits));
    return event;
}

bool is_plain(std::string_view text) {
    return is_utf8(text) && std::ranges::none_of(text, [](char c) {
               return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
           });
}

}  // namespace

bool is_json_media(std::string_view content_type) {
    const std::string_view media = content_type.substr(0, content_type.find(';'));
    return media == json_type || media.ends_with("+json");
}

Result<void> check_event(const TopicEvent& event) {
    const std::pair<std::string_view, const std::string*> texts[] = {
        {"id", &event.id},   {"source", &event.source},     {"type", &event.type},
        {"key", &event.key}, {"traceparent", &event.trace}, {"content_type", &event.content_type}};
    for (const auto& [name, text] : texts)
        if (text->size() > limits::event_text_bytes_max || !is_plain(*text))
            return fail(ErrorCode::invalid_field,
                        std::string{name} + " has up to 1024 bytes of text in one line");
    if (event.key.size() > limits::key_bytes_max)
        return fail(ErrorCode::invalid_field, "key has up to 256 bytes");
    if (event.headers.size() > limits::event_headers_max)
        return fail(ErrorCode::invalid_field, "an event has up to 32 headers");
    for (const auto& [name, value] : event.headers)
        if (name.empty() || name.size() > limits::label_name_bytes_max || !is_plain(name) ||
            value.size() > limits::event_header_bytes_max || !is_plain(value))
            return fail(ErrorCode::invalid_field, "headers." + name);
    if (bytes_of(event) > limits::event_bytes_max) return fail(ErrorCode::event_too_large);
    return {};
}

std::expected<PublishBody, BodyError> parse_publish(std::string_view body) {
    if (auto checked = check_json(body); !checked)
        return Refused{BodyError{checked.error(), std::nullopt}};
    PublishBody parsed;
    parsed.is_array = kind_of(body) == JsonKind::array;
    std::vector<std::string_view> raw{body};
    if (parsed.is_array) raw = split_array(body).value();
    if (raw.empty())
        return Refused{BodyError{{ErrorCode::invalid_field, "no events"}, std::nullopt}};
    if (raw.size() > limits::publish_events_max)
        return Refused{BodyError{{ErrorCode::too_many_events, std::to_string(raw.size())}, {}}};
    for (std::size_t i = 0; i < raw.size(); ++i) {
        auto event = parse_event(raw[i]);
        if (!event)
            return Refused{
                BodyError{event.error(), parsed.is_array ? std::optional{i} : std::nullopt}};
        parsed.events.push_back(std::move(*event));
    }
    return parsed;
}

void write_event(std::string& out, const TopicEvent& event) {
    JsonWriter json{out};
    json.begin_object()
        .field("topic", event.topic)
        .field("sequence", event.sequence.value)
        .field("id", event.id);
    if (!event.source.empty()) json.field("source", event.source);
    if (!event.type.empty()) json.field("type", event.type);
    if (!event.key.empty()) json.field("key", event.key);
    if (event.time) json.field("time", *event.time);
    json.field("published_at", event.at);
    if (!event.trace.empty()) json.field("traceparent", event.trace);
    if (!event.content_type.empty()) json.field("content_type", event.content_type);
    if (!event.headers.empty()) {
        std::string headers;
        for (const auto& [name, value] : event.headers) {
            append_json_string(headers += headers.empty() ? '{' : ',', name);
            append_json_string(headers += ':', value);
        }
        json.key("headers").raw(headers += '}');
    }
    const std::string_view body = event.body.view();
    if (is_json_media(event.content_type) && check_json(body))
        json.key("data").raw(body);
    else if (is_utf8(body))
        json.field("data", body);
    else
        json.field("data_base64", encode_base64(body));
    json.end_object();
}

}  // namespace taskd::protocol
