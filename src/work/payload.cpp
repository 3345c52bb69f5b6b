// Payloads by simdjson On-Demand, which checks only what is visited: so every byte is visited, or
// the payload is refused for its shape.
#include "work/payload.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <charconv>
#include <unordered_set>

namespace taskd::work {
namespace {

namespace json = simdjson::ondemand;

std::unexpected<TaskError> not_json(std::string_view why) {
    return refuse(ErrorCode::bad_payload, fmt::format("the payload is not valid JSON: {}", why));
}

std::string_view without_blanks_behind(std::string_view text) {
    return text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
}

std::size_t digits_at(std::string_view text) {
    const std::size_t end = text.find_first_not_of("0123456789");
    return end == std::string_view::npos ? text.size() : end;
}

// RFC 8259: -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
bool is_json_number(std::string_view text) {
    if (text.starts_with('-')) text.remove_prefix(1);
    const std::size_t whole = digits_at(text);
    if (whole == 0 || (whole > 1 && text.front() == '0')) return false;
    text.remove_prefix(whole);
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        const std::size_t fraction = digits_at(text);
        if (fraction == 0) return false;
        text.remove_prefix(fraction);
    }
    if (text.starts_with('e') || text.starts_with('E')) {
        text.remove_prefix(1);
        if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
        const std::size_t exponent = digits_at(text);
        if (exponent == 0) return false;
        text.remove_prefix(exponent);
    }
    return text.empty();
}

// simdjson 3.0 lets some lone surrogates pass and makes other characters of them.
bool has_lone_surrogate(std::string_view raw) {
    const auto unit_at = [raw](std::size_t at) -> unsigned {
        if (at + 6 > raw.size() || raw[at] != '\\' || raw[at + 1] != 'u') return 0;
        unsigned unit = 0;
        std::from_chars(raw.data() + at + 2, raw.data() + at + 6, unit, 16);
        return unit;
    };
    for (std::size_t at = raw.find('\\'); at != std::string_view::npos; at = raw.find('\\', at)) {
        const unsigned unit = unit_at(at);
        const bool high = unit >= 0xD800 && unit < 0xDC00;
        if (unit >= 0xDC00 && unit < 0xE000) return true;
        if (high) {
            const unsigned next = unit_at(at + 6);
            if (next < 0xDC00 || next >= 0xE000) return true;
            at += 6;
        }
        at += 2;
    }
    return false;
}

std::expected<std::string_view, TaskError> read_string(
    std::string_view raw, simdjson::simdjson_result<std::string_view> text) {
    if (has_lone_surrogate(raw))
        return refuse(ErrorCode::bad_payload,
                      "a string holds half a character: a surrogate escape such as \\ud83d alone");
    if (text.error()) return not_json("a string holds an escape that does not exist");
    return text.value_unsafe();
}

// A key as written, from behind its first quote; that the last one is there has been checked.
std::string_view raw_key(const char* begin) {
    const char* end = begin;
    while (*end != '"')
        end += *end == '\\' ? 2 : 1;
    return {begin, end};
}

std::expected<Value, TaskError> read_value(json::value value) {
    const auto type = value.type();
    if (type.error()) return not_json(simdjson::error_message(type.error()));
    const std::string_view raw = without_blanks_behind(value.raw_json_token());
    switch (type.value_unsafe()) {
        case json::json_type::array:
            return Value{Kind::array, {}};
        case json::json_type::object:
            return Value{Kind::object, {}};
        case json::json_type::string: {
            auto text = read_string(raw, value.get_string());
            if (!text) return std::unexpected{std::move(text).error()};
            return Value{Kind::string, *text};
        }
        case json::json_type::number:
            if (!is_json_number(raw)) return not_json(fmt::format("{} is no number", shown(raw)));
            return Value{Kind::number, raw};
        case json::json_type::boolean:
            if (raw == "true" || raw == "false") return Value{Kind::boolean, {}};
            break;
        case json::json_type::null:
            if (raw == "null") return Value{Kind::null, {}};
            break;
    }
    return not_json(fmt::format("{} is no value", shown(raw)));
}

}  // namespace

struct Payload::Reader {
    simdjson::padded_string bytes;
    json::parser parser;

    static std::expected<void, TaskError> read_items(json::value value, std::vector<Value>& into);
    static std::expected<void, TaskError> read_fields(json::value value, std::vector<Field>& into);
    static std::expected<void, TaskError> read_whole(json::value value, Payload& into);
};

std::expected<void, TaskError> Payload::Reader::read_items(json::value value,
                                                           std::vector<Value>& into) {
    json::array array;
    if (const auto error = value.get_array().get(array))
        return not_json(simdjson::error_message(error));
    for (auto each : array) {
        if (each.error()) return not_json(simdjson::error_message(each.error()));
        auto item = read_value(each.value_unsafe());
        if (!item) return std::unexpected{std::move(item).error()};
        into.push_back(*item);
    }
    return {};
}

std::expected<void, TaskError> Payload::Reader::read_fields(json::value value,
                                                            std::vector<Field>& into) {
    json::object object;
    if (const auto error = value.get_object().get(object))
        return not_json(simdjson::error_message(error));
    std::unordered_set<std::string_view> names;
    for (auto each : object) {
        if (each.error()) return not_json(simdjson::error_message(each.error()));
        json::field field = each.value_unsafe();
        const std::string_view raw = raw_key(field.key().raw());  // gone once it is unescaped
        auto name = read_string(raw, field.unescaped_key());
        if (!name) return std::unexpected{std::move(name).error()};
        if (!names.insert(*name).second)
            return refuse(ErrorCode::bad_payload,
                          fmt::format("the key {} stands twice", shown(*name)));
        auto item = read_value(field.value());
        if (!item) return std::unexpected{std::move(item).error()};
        into.push_back({*name, *item});
    }
    return {};
}

std::expected<void, TaskError> Payload::Reader::read_whole(json::value value, Payload& into) {
    auto whole = read_value(value);
    if (!whole) return std::unexpected{std::move(whole).error()};
    into.value_ = *whole;
    if (whole->kind == Kind::array) return read_items(value, into.items_);
    if (whole->kind == Kind::object) return read_fields(value, into.fields_);
    return {};
}

std::expected<Payload, TaskError> Payload::read(std::string_view text) {
    if (text.size() > limits::task_bytes_max)
        return refuse(ErrorCode::task_too_large, "the payload is larger than 1 MiB");
    Payload payload;
    if (without_blanks_behind(text).empty()) return payload;
    // On-Demand treats a document that is a scalar unlike a value: inside an array all are values.
    std::string wrapped;
    wrapped.reserve(text.size() + 2);
    wrapped.append("[").append(text).append("]");
    Reader& reader = *payload.reader_;
    reader.bytes = simdjson::padded_string{wrapped};
    json::document document;
    if (const auto error = reader.parser.iterate(reader.bytes).get(document))
        return not_json(simdjson::error_message(error));
    json::array array;
    if (const auto error = document.get_array().get(array))
        return not_json(simdjson::error_message(error));
    std::size_t count = 0;
    for (auto each : array) {
        if (each.error()) return not_json(simdjson::error_message(each.error()));
        if (++count > 1) return not_json("more than one value");
        auto done = Reader::read_whole(each.value_unsafe(), payload);
        if (!done) return std::unexpected{std::move(done).error()};
    }
    const bool at_end = document.current_location().error() == simdjson::OUT_OF_BOUNDS;
    if (count == 0 || !at_end) return not_json("a bracket closes that was never opened");
    return payload;
}

Payload::Payload() : reader_{std::make_unique<Reader>()} {}
Payload::Payload(Payload&&) noexcept = default;
Payload& Payload::operator=(Payload&&) noexcept = default;
Payload::~Payload() = default;

std::string_view to_text(Kind kind) {
    switch (kind) {
        case Kind::nothing:
            return "nothing";
        case Kind::null:
            return "null";
        case Kind::boolean:
            return "a boolean";
        case Kind::number:
            return "a number";
        case Kind::string:
            return "a string";
        case Kind::array:
            return "an array";
        case Kind::object:
            return "an object";
    }
    return {};
}

}  // namespace taskd::work
