#include "taskd/protocol/cloud_event.hpp"

#include <algorithm>

#include "protocol/base64.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::protocol {
namespace {

using Refused = std::unexpected<BodyError>;

Refused refuse(Error error, std::optional<std::size_t> index = {}) {
    return Refused{BodyError{std::move(error), index}};
}

std::string lower(std::string_view text) {
    std::string out{text};
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

std::string_view find(const Headers& headers, std::string_view name) {
    for (const auto& [each, value] : headers)
        if (lower(each) == name) return value;
    return {};
}

std::string_view media_of(std::string_view content_type) {
    std::string_view media = content_type.substr(0, content_type.find(';'));
    while (media.ends_with(' '))
        media.remove_suffix(1);
    return media;
}

Result<void> bad(std::string why) {
    return fail(ErrorCode::bad_cloud_event, std::move(why));
}

// One attribute of an event, whichever form it came in.
Result<void> take_attribute(const std::string& name, std::string value, TopicEvent& event) {
    const bool plain = !name.empty() && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    });
    if (!plain) return bad("an attribute's name is of a-z and 0-9: '" + name + "'");
    if (name == "specversion") {
        if (value != "1.0") return bad("specversion " + value);
    } else if (name == "id") {
        event.id = std::move(value);
        event.id_given = true;
    } else if (name == "source") {
        event.source = std::move(value);
    } else if (name == "type") {
        event.type = std::move(value);
    } else if (name == "partitionkey") {
        event.key = std::move(value);
    } else if (name == "traceparent") {
        event.trace = std::move(value);
    } else if (name == "datacontenttype") {
        event.content_type = std::move(value);
    } else if (name == "time") {
        const auto time = parse_rfc3339(value);
        if (!time) return bad("time '" + value + "'");
        event.time = *time;
    } else {
        event.headers[name] = std::move(value);
    }
    return {};
}

Result<TopicEvent> checked(TopicEvent event) {
    for (const auto& [name, text] :
         {std::pair{"id", &event.id}, {"source", &event.source}, {"type", &event.type}})
        if (text->empty())
            return fail(ErrorCode::bad_cloud_event, std::string{name} + " is missing");
    if (auto fits = check_event(event); !fits) return fail(std::move(fits));
    return event;
}

// A value of an attribute as text: texts, whole numbers and booleans are allowed.
Result<std::string> attribute_text(std::string_view raw, const std::string& name) {
    switch (kind_of(raw)) {
        case JsonKind::string:
            return read_string(raw, name);
        case JsonKind::number:
        case JsonKind::boolean:
            return std::string{raw};
        default:
            return fail(ErrorCode::bad_cloud_event, name + " is no text, number or boolean");
    }
}

// The body of a structured event: JSON, unless its content type says that the text is the body.
Result<std::string> body_of(std::string_view raw, const std::string& content_type) {
    const bool text =
        kind_of(raw) == JsonKind::string && !content_type.empty() && !is_json_media(content_type);
    return text ? read_string(raw, "data") : std::string{raw};
}

Result<TopicEvent> parse_structured(std::string_view raw) {
    const auto fields = split_object(raw);
    if (!fields) return std::unexpected{fields.error()};
    TopicEvent event;
    bool versioned = false;
    std::optional<std::string_view> data;
    std::optional<std::string> bytes;
    for (const auto& [name, value] : *fields) {
        versioned = versioned || name == "specversion";
        if (name == "data") {
            data = value;
            continue;
        }
        if (kind_of(value) == JsonKind::null) continue;  // as if it were not there
        auto text = attribute_text(value, name);
        if (!text) return fail(std::move(text));
        if (name == "data_base64") {
            bytes = decode_base64(*text);
            if (!bytes) return fail(ErrorCode::bad_cloud_event, "data_base64");
            continue;
        }
        if (auto taken = take_attribute(name, std::move(*text), event); !taken)
            return fail(std::move(taken));
    }
    if (!versioned) return fail(ErrorCode::bad_cloud_event, "specversion is missing");
    if (data && bytes) return fail(ErrorCode::bad_cloud_event, "data and data_base64");
    if (bytes) {
        event.body = Blob{std::move(*bytes)};
    } else if (data) {
        auto body = body_of(*data, event.content_type);
        if (!body) return fail(std::move(body));
        event.body = Blob{std::move(*body)};
        if (event.content_type.empty()) event.content_type = json_type;
    }
    return checked(std::move(event));
}

std::expected<PublishBody, BodyError> parse_structured_body(std::string_view body, bool batch) {
    if (auto valid = check_json(body); !valid) return refuse(valid.error());
    PublishBody parsed;
    parsed.is_array = batch;
    std::vector<std::string_view> raw{body};
    if (batch) {
        auto elements = split_array(body);
        if (!elements) return refuse(elements.error());
        raw = std::move(*elements);
    }
    if (raw.size() > limits::publish_events_max)
        return refuse({ErrorCode::too_many_events, std::to_string(raw.size())});
    for (std::size_t i = 0; i < raw.size(); ++i) {
        auto event = parse_structured(raw[i]);
        if (!event) return refuse(event.error(), batch ? std::optional{i} : std::nullopt);
        parsed.events.push_back(std::move(*event));
    }
    return parsed;
}

// As the HTTP binding has it: what is not printable ASCII is percent-encoded.
Result<std::string> decode_value(std::string_view value) {
    if (value.find('%') == std::string_view::npos) return std::string{value};
    std::string out;
    const auto digit = [](char c) {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    };
    for (std::size_t i = 0; i < value.size(); ++i) {
        if (value[i] != '%') {
            out.push_back(value[i]);
            continue;
        }
        const int high = i + 2 < value.size() ? digit(value[i + 1]) : -1;
        const int low = i + 2 < value.size() ? digit(value[i + 2]) : -1;
        if (high < 0 || low < 0)
            return fail(ErrorCode::bad_cloud_event, "'" + std::string{value} + "'");
        out.push_back(static_cast<char>(high * 16 + low));
        i += 2;
    }
    return out;
}

std::expected<PublishBody, BodyError> parse_binary(const Headers& headers, std::string_view body) {
    TopicEvent event;
    for (const auto& [name, value] : headers) {
        const std::string key = lower(name);
        if (!key.starts_with("ce-")) continue;
        auto decoded = decode_value(value);
        if (!decoded) return refuse(decoded.error());
        if (auto taken = take_attribute(key.substr(3), std::move(*decoded), event); !taken)
            return refuse(taken.error());
    }
    event.content_type = find(headers, "content-type");
    event.body = Blob{std::string{body}};
    auto whole = checked(std::move(event));
    if (!whole) return refuse(whole.error());
    return PublishBody{{std::move(*whole)}, false};
}

std::string encode_value(std::string_view value) {
    std::string out;
    constexpr std::string_view digits = "0123456789ABCDEF";
    for (const char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte > 0x20 && byte < 0x7f && c != '"' && c != '%') {
            out.push_back(c);
            continue;
        }
        out.push_back('%');
        out.push_back(digits[byte >> 4]);
        out.push_back(digits[byte & 15]);
    }
    return out;
}

}  // namespace

std::expected<PublishBody, BodyError> read_events(const Headers& headers, std::string_view body) {
    const std::string media = lower(media_of(find(headers, "content-type")));
    if (media == cloud_event_type) return parse_structured_body(body, false);
    if (media == cloud_batch_type) return parse_structured_body(body, true);
    if (!find(headers, "ce-specversion").empty()) return parse_binary(headers, body);
    if (media.empty() || media == json_type) return parse_publish(body);
    return refuse({ErrorCode::unsupported_media_type, media});
}

Headers cloud_headers(const TopicEvent& event) {
    Headers headers{{"ce-specversion", "1.0"},
                    {"ce-id", encode_value(event.id)},
                    {"ce-source", encode_value(event.source.empty() ? event.topic : event.source)},
                    {"ce-type", encode_value(event.type.empty() ? event.topic : event.type)},
                    {"ce-time", to_rfc3339(event.time.value_or(event.at))}};
    if (!event.key.empty()) headers.emplace_back("ce-partitionkey", encode_value(event.key));
    if (!event.trace.empty()) headers.emplace_back("traceparent", encode_value(event.trace));
    if (!event.trace.empty()) headers.emplace_back("ce-traceparent", encode_value(event.trace));
    for (const auto& [name, value] : event.headers)
        headers.emplace_back("ce-" + lower(name), encode_value(value));
    if (!event.content_type.empty()) headers.emplace_back("Content-Type", event.content_type);
    return headers;
}

}  // namespace taskd::protocol
