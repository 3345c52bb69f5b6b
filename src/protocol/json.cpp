#include "taskd/protocol/json.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <unordered_set>

#include "taskd/base/assert.hpp"
#include "taskd/base/limits.hpp"

namespace taskd::protocol {
namespace {

using namespace simdjson;

// What a thread reads short texts with again and again: making it anew costs more than they do.
struct Reader {
    static constexpr std::size_t text_bytes_max = 64 * limits::kibibyte;
    static constexpr std::size_t body_limit = 2 * limits::frame_bytes_max;

    ondemand::parser parser{body_limit};
    std::string bytes;
    bool taken = false;
};

// A copy with the zero bytes behind it that simdjson may read, and the parser to go with it. What
// the parser hands out is gone with the source.
class Source {
  public:
    explicit Source(std::string_view text)
        : own_{at_hand().taken || text.size() > Reader::text_bytes_max ? std::make_unique<Reader>()
                                                                       : nullptr},
          reader_{own_ ? *own_ : at_hand()},
          size_{text.size()} {
        reader_.taken = true;
        reader_.bytes.assign(text);
        reader_.bytes.append(SIMDJSON_PADDING, '\0');
    }
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    ~Source() { reader_.taken = false; }

    error_code read(ondemand::document& document) {
        const padded_string_view view{reader_.bytes.data(), size_, reader_.bytes.size()};
        return reader_.parser.iterate(view).get(document);
    }
    const char* data() const { return reader_.bytes.data(); }

  private:
    static Reader& at_hand() {
        thread_local Reader reader;
        return reader;
    }

    std::unique_ptr<Reader> own_;
    Reader& reader_;
    std::size_t size_;
};

bool is_number(std::string_view text) {
    const auto digits = [&] {
        const std::size_t before = text.size();
        while (!text.empty() && text.front() >= '0' && text.front() <= '9')
            text.remove_prefix(1);
        return before - text.size();
    };
    if (text.starts_with('-')) text.remove_prefix(1);
    const bool zero = text.starts_with('0');
    const std::size_t whole = digits();
    if (whole == 0 || (zero && whole > 1)) return false;
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        if (digits() == 0) return false;
    }
    if (text.starts_with('e') || text.starts_with('E')) {
        text.remove_prefix(1);
        if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
        if (digits() == 0) return false;
    }
    return text.empty();
}

bool is_blank(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is_blank(text.back()))
        text.remove_suffix(1);
    while (!text.empty() && is_blank(text.front()))
        text.remove_prefix(1);
    return text;
}

// Visits every value, because what On-Demand skips it does not check.
template <class Value>
error_code walk(Value& value, std::size_t depth) {
    if (depth > limits::json_depth_max) return DEPTH_ERROR;
    ondemand::json_type type;
    if (auto error = value.type().get(type)) return error;
    switch (type) {
        case ondemand::json_type::object: {
            ondemand::object object;
            if (auto error = value.get_object().get(object)) return error;
            for (auto found : object) {
                ondemand::field field;
                if (auto error = std::move(found).get(field)) return error;
                std::string_view key;
                if (auto error = field.unescaped_key().get(key)) return error;
                ondemand::value inner = field.value();
                if (auto error = walk(inner, depth + 1)) return error;
            }
            return SUCCESS;
        }
        case ondemand::json_type::array: {
            ondemand::array array;
            if (auto error = value.get_array().get(array)) return error;
            for (auto found : array) {
                ondemand::value inner;
                if (auto error = std::move(found).get(inner)) return error;
                if (auto error = walk(inner, depth + 1)) return error;
            }
            return SUCCESS;
        }
        case ondemand::json_type::string: {
            std::string_view text;
            return value.get_string().get(text);
        }
        case ondemand::json_type::number: {
            std::string_view token;
            if constexpr (std::is_same_v<Value, ondemand::document>) {
                if (auto error = value.raw_json_token().get(token)) return error;
            } else {
                token = value.raw_json_token();
            }
            return is_number(trimmed(token)) ? SUCCESS : NUMBER_ERROR;
        }
        case ondemand::json_type::boolean: {
            bool truth = false;
            return value.get_bool().get(truth);
        }
        case ondemand::json_type::null: {
            bool null = false;
            if (auto error = value.is_null().get(null)) return error;
            return null ? SUCCESS : N_ATOM_ERROR;
        }
    }
    return TAPE_ERROR;
}

// Scalars at the root are not walked: On-Demand treats them apart.
Result<void> check_scalar(std::string_view text) {
    if (text == "null" || text == "true" || text == "false" || is_number(text)) return {};
    return fail(ErrorCode::bad_json, "not a JSON value");
}

std::unexpected<Error> bad(error_code error) {
    return fail(ErrorCode::bad_json, error_message(error));
}

// With line and column, from 1, where the reader stopped. Some faults it sees before it begins:
// they have no place.
std::unexpected<Error> bad_at(error_code error, ondemand::document& document, const Source& source,
                              std::string_view text, std::string_view body) {
    const char* stopped = nullptr;
    if (document.current_location().get(stopped) || stopped <= source.data() ||
        stopped >= source.data() + body.size())
        return bad(error);
    const auto offset =
        static_cast<std::size_t>((body.data() - text.data()) + (stopped - source.data()));
    const std::string_view before = text.substr(0, offset);
    const std::size_t begin = before.rfind('\n') + 1;  // 0 when there is none
    return fail(ErrorCode::bad_json,
                fmt::format("line {}, column {}: {}", 1 + std::ranges::count(before, '\n'),
                            offset - begin + 1, error_message(error)));
}

std::string_view name_of(JsonKind kind) {
    switch (kind) {
        case JsonKind::object:
            return "an object";
        case JsonKind::array:
            return "an array";
        case JsonKind::string:
            return "a string";
        case JsonKind::number:
            return "a number";
        case JsonKind::boolean:
            return "a boolean";
        case JsonKind::null:
            return "null";
    }
    return "";
}

std::unexpected<Error> wrong_kind(std::string_view field, std::string_view wanted,
                                  std::string_view raw) {
    return fail(ErrorCode::invalid_field,
                fmt::format("{} must be {}, not {}", field, wanted, name_of(kind_of(raw))));
}

// Where a raw value stands in the caller's text: the copy and the text have the same places.
std::string_view same_place(std::string_view text, const Source& source, std::string_view part) {
    const auto offset = static_cast<std::size_t>(part.data() - source.data());
    return trimmed(text.substr(offset, part.size()));
}

// A few keys are compared with each other, many looked up.
const std::string* found_twice(const JsonFields& fields) {
    if (fields.size() <= 16) {
        for (auto each = fields.begin(); each != fields.end(); ++each)
            for (auto before = fields.begin(); before != each; ++before)
                if (before->first == each->first) return &each->first;
        return nullptr;
    }
    std::unordered_set<std::string_view> seen;
    for (const auto& [key, raw] : fields)
        if (!seen.insert(key).second) return &key;
    return nullptr;
}

}  // namespace

Result<void> check_json(std::string_view text) {
    const std::string_view body = trimmed(text);
    if (body.empty()) return fail(ErrorCode::bad_json, "the text is empty");
    if (body.front() != '{' && body.front() != '[' && body.front() != '"')
        return check_scalar(body);
    Source source{body};
    ondemand::document document;
    if (auto error = source.read(document)) return bad(error);
    error_code error = SUCCESS;
    if (body.front() == '"') {
        std::string_view ignored;
        error = document.get_string().get(ignored);
    } else {
        error = walk(document, 1);
    }
    if (error) return bad_at(error, document, source, text, body);
    const char* behind = nullptr;
    if (!document.current_location().get(behind))
        return fail(ErrorCode::bad_json, "something follows the value");
    return {};
}

namespace {

// Takes a text apart while it is checked: what a value's own text is shows when it has been walked.
class Splitter {
  public:
    explicit Splitter(std::string_view body) : body_{body}, source_{body} {}

    error_code read() { return source_.read(document_); }
    error_code read_object(JsonFields& fields) {
        ondemand::object object;
        if (auto error = document_.get_object().get(object)) return error;
        return take_fields(object, 2, fields);
    }
    error_code read_array(JsonItems& items, std::size_t most) {
        ondemand::array array;
        if (auto error = document_.get_array().get(array)) return error;
        return take_items(array, 2, items, most);
    }
    error_code read_envelope(std::string_view name, JsonEnvelope& envelope) {
        ondemand::object object;
        if (auto error = document_.get_object().get(object)) return error;
        for (auto found : object) {
            ondemand::value value;
            std::string_view key;
            if (auto error = take_key(std::move(found), key, value)) return error;
            std::string_view& raw = envelope.fields.emplace_back(key, "").second;
            const std::string_view token = value.raw_json_token();
            if (key != name || token.front() != '[') {
                if (auto error = take_raw(value, 2, raw)) return error;
                continue;
            }
            ondemand::array array;
            if (auto error = value.get_array().get(array)) return error;
            JsonItems items;
            if (auto error = take_items(array, 3, items, SIZE_MAX)) return error;
            if (auto error = take_container(token, raw)) return error;
            envelope.items = std::move(items.items);
        }
        return SUCCESS;
    }
    bool is_over() {
        const char* behind = nullptr;
        return document_.current_location().get(behind) != SUCCESS;
    }

  private:
    // The key is gone with the next one.
    static error_code take_key(simdjson_result<ondemand::field> found, std::string_view& key,
                               ondemand::value& value) {
        ondemand::field field;
        if (auto error = std::move(found).get(field)) return error;
        if (auto error = field.unescaped_key().get(key)) return error;
        value = field.value();
        return SUCCESS;
    }

    error_code take_fields(ondemand::object& object, std::size_t depth, JsonFields& fields) {
        fields.reserve(8);
        for (auto found : object) {
            ondemand::value value;
            std::string_view key;
            if (auto error = take_key(std::move(found), key, value)) return error;
            if (fields.size() == JsonItem::fields_max) {
                if (auto error = walk(value, depth)) return error;
                continue;
            }
            std::string_view& raw = fields.emplace_back(key, "").second;
            if (auto error = take_raw(value, depth, raw)) return error;
        }
        return SUCCESS;
    }

    // Beyond `most` items are checked and counted.
    error_code take_items(ondemand::array& array, std::size_t depth, JsonItems& items,
                          std::size_t most) {
        for (auto found : array) {
            ondemand::value value;
            if (auto error = std::move(found).get(value)) return error;
            if (++items.count > most) {
                if (auto error = walk(value, depth)) return error;
                continue;
            }
            JsonItem& item = items.items.emplace_back();
            const std::string_view token = value.raw_json_token();
            if (token.front() != '{') {
                if (auto error = take_raw(value, depth, item.raw)) return error;
                continue;
            }
            ondemand::object object;
            if (auto error = value.get_object().get(object)) return error;
            if (auto error = take_fields(object, depth + 1, item.fields)) return error;
            if (auto error = take_container(token, item.raw)) return error;
        }
        return SUCCESS;
    }

    error_code take_raw(ondemand::value& value, std::size_t depth, std::string_view& raw) {
        const std::string_view token = value.raw_json_token();
        if (auto error = walk(value, depth)) return error;
        if (token.front() == '{' || token.front() == '[') return take_container(token, raw);
        raw = same_place(body_, source_, token);
        return SUCCESS;
    }

    // It has just ended; whoever holds it goes on behind it.
    error_code take_container(std::string_view token, std::string_view& raw) {
        const char* behind = nullptr;
        if (auto error = document_.current_location().get(behind)) return error;
        raw = same_place(body_, source_, {token.data(), behind});
        return SUCCESS;
    }

    std::string_view body_;
    Source source_;
    ondemand::document document_;
};

}  // namespace

Result<JsonItems> read_items(std::string_view text, std::size_t most) {
    const std::string_view body = trimmed(text);
    JsonItems items;
    items.is_array = kind_of(body) == JsonKind::array;
    items.count = items.is_array ? 0 : 1;
    if (!items.is_array && kind_of(body) != JsonKind::object) {
        if (auto checked = check_json(body); !checked) return fail(std::move(checked));
        items.items.push_back({body, {}});
        return items;
    }
    Splitter splitter{body};
    error_code error = splitter.read();
    if (!error)
        error = items.is_array ? splitter.read_array(items, most)
                               : splitter.read_object(items.items.emplace_back(body).fields);
    if (error) return bad(error);
    if (!splitter.is_over()) return fail(ErrorCode::bad_json, "something follows the value");
    return items;
}

Result<JsonEnvelope> read_envelope(std::string_view text, std::string_view name) {
    const std::string_view body = trimmed(text);
    if (kind_of(body) != JsonKind::object) return wrong_kind("the body", "an object", body);
    Splitter splitter{body};
    JsonEnvelope envelope;
    error_code error = splitter.read();
    if (!error) error = splitter.read_envelope(name, envelope);
    if (error) return bad(error);
    if (!splitter.is_over()) return fail(ErrorCode::bad_json, "something follows the value");
    return envelope;
}

Result<void> check_names(const JsonFields& fields) {
    if (const auto* twice = found_twice(fields))
        return fail(ErrorCode::bad_json, *twice + " stands twice");
    return {};
}

Result<JsonFields> split_object(std::string_view text) {
    const std::string_view body = trimmed(text);
    if (kind_of(body) != JsonKind::object) return wrong_kind("the body", "an object", body);
    Source source{body};
    ondemand::document document;
    if (auto error = source.read(document)) return bad(error);
    ondemand::object object;
    if (auto error = document.get_object().get(object)) return bad(error);
    JsonFields fields;
    fields.reserve(8);
    for (auto found : object) {
        ondemand::field field;
        if (auto error = std::move(found).get(field)) return bad(error);
        std::string_view key, raw;
        if (auto error = field.unescaped_key().get(key)) return bad(error);
        if (auto error = to_json_string(field.value()).get(raw)) return bad(error);
        fields.emplace_back(key, same_place(body, source, raw));
    }
    if (auto checked = check_names(fields); !checked) return fail(std::move(checked));
    return fields;
}

Result<std::vector<std::string_view>> split_array(std::string_view text) {
    const std::string_view body = trimmed(text);
    if (kind_of(body) != JsonKind::array) return wrong_kind("the body", "an array", body);
    Source source{body};
    ondemand::document document;
    if (auto error = source.read(document)) return bad(error);
    ondemand::array array;
    if (auto error = document.get_array().get(array)) return bad(error);
    std::vector<std::string_view> elements;
    for (auto found : array) {
        ondemand::value value;
        if (auto error = std::move(found).get(value)) return bad(error);
        std::string_view raw;
        if (auto error = to_json_string(value).get(raw)) return bad(error);
        elements.push_back(same_place(body, source, raw));
    }
    return elements;
}

JsonKind kind_of(std::string_view raw) {
    switch (raw.empty() ? 'n' : raw.front()) {
        case '{':
            return JsonKind::object;
        case '[':
            return JsonKind::array;
        case '"':
            return JsonKind::string;
        case 't':
        case 'f':
            return JsonKind::boolean;
        case 'n':
            return JsonKind::null;
        default:
            return JsonKind::number;
    }
}

Result<std::string> read_string(std::string_view raw, std::string_view field) {
    if (kind_of(raw) != JsonKind::string) return wrong_kind(field, "a string", raw);
    const bool plain = raw.size() >= 2 && raw.find('\\') == std::string_view::npos;
    if (plain) return std::string{raw.substr(1, raw.size() - 2)};
    Source source{raw};
    ondemand::document document;
    if (auto error = source.read(document)) return bad(error);
    std::string_view text;
    if (auto error = document.get_string().get(text)) return bad(error);
    return std::string{text};
}

Result<std::int64_t> read_integer(std::string_view raw, std::string_view field, std::int64_t least,
                                  std::int64_t most) {
    if (kind_of(raw) != JsonKind::number) return wrong_kind(field, "a number", raw);
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(raw.data(), raw.data() + raw.size(), value);
    if (error != std::errc{} || end != raw.data() + raw.size() || value < least || value > most)
        return fail(ErrorCode::invalid_field,
                    fmt::format("{} must be a whole number from {} to {}", field, least, most));
    return value;
}

Result<bool> read_boolean(std::string_view raw, std::string_view field) {
    if (kind_of(raw) != JsonKind::boolean) return wrong_kind(field, "a boolean", raw);
    return raw == "true";
}

bool is_utf8(std::string_view text) {
    return simdjson::validate_utf8(text.data(), text.size());
}

}  // namespace taskd::protocol
