#include "taskd/model/document_value.hpp"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <optional>
#include <string_view>

namespace taskd {
namespace {

// ---- scalars that are not quoted ----------------------------------------------------------------

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
    return std::ranges::find(words, text) != words.end();
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

std::size_t skip_digits(std::string_view text, std::size_t at) {
    while (at < text.size() && is_digit(text[at]))
        ++at;
    return at;
}

// [-+]? (digits [. digits?] | . digits) ([eE] [-+]? digits)?
bool is_decimal(std::string_view text) {
    std::size_t at = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    const std::size_t whole = skip_digits(text, at) - at;
    at += whole;
    std::size_t part = 0;
    if (at < text.size() && text[at] == '.') {
        part = skip_digits(text, at + 1) - at - 1;
        at += part + 1;
    }
    if (whole + part == 0) return false;
    if (at == text.size()) return true;
    if (text[at] != 'e' && text[at] != 'E') return false;
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    return at < text.size() && skip_digits(text, at) == text.size();
}

// As JSON writes the same number.
std::string decimal_as_json(std::string_view text) {
    std::string out;
    if (text[0] == '-') out = "-";
    if (text[0] == '-' || text[0] == '+') text.remove_prefix(1);
    const std::size_t end = skip_digits(text, 0);
    const std::size_t begin = std::min(text.find_first_not_of('0'), end);
    out += begin == end ? "0" : text.substr(begin, end - begin);
    text.remove_prefix(end);
    if (!text.empty() && text[0] == '.') {
        const std::size_t part = skip_digits(text, 1);
        if (part > 1) out += text.substr(0, part);
        text.remove_prefix(part);
    }
    return out.append(text);
}

// "0x1f" and "0o17"; none when it is neither or larger than can be told.
std::optional<std::string> based_as_json(std::string_view text) {
    const int base = text.starts_with("0x") ? 16 : text.starts_with("0o") ? 8 : 0;
    if (base == 0) return std::nullopt;
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [last, error] = std::from_chars(text.data() + 2, end, number, base);
    if (error != std::errc{} || last != end) return std::nullopt;
    return std::to_string(number);
}

std::unexpected<Error> refuse(const Document& at, std::string_view what) {
    return fail(ErrorCode::not_convertible, at.place + ": " + std::string{what});
}

Result<Value> scalar(const Document& from) {
    const std::string& text = from.text;
    if (from.quoted) return Value::of_text(text);
    if (is_one_of(text, {"", "~", "null", "Null", "NULL"})) return Value{};
    if (is_one_of(text, {"true", "True", "TRUE"})) return Value::of_boolean(true);
    if (is_one_of(text, {"false", "False", "FALSE"})) return Value::of_boolean(false);
    if (is_decimal(text)) return Value::of_number(decimal_as_json(text));
    if (auto number = based_as_json(text)) return Value::of_number(std::move(*number));
    const std::string_view bare = text.starts_with('-') || text.starts_with('+')
                                      ? std::string_view{text}.substr(1)
                                      : std::string_view{text};
    if (is_one_of(bare, {".inf", ".Inf", ".INF"}) || is_one_of(text, {".nan", ".NaN", ".NAN"}))
        return refuse(from, "no number but a finite one can be told");
    return Value::of_text(text);
}

}  // namespace

Result<Value> value_of(const Document& from) {
    Value value;
    switch (from.kind) {
        case DocumentKind::null:
            return value;
        case DocumentKind::scalar:
            return scalar(from);
        case DocumentKind::list:
            value.kind = ValueKind::list;
            for (const Document& each : from.items) {
                auto item = value_of(each);
                if (!item) return item;
                value.items.push_back(std::move(*item));
            }
            return value;
        case DocumentKind::map:
            value.kind = ValueKind::map;
            for (const DocumentField& each : from.fields) {
                auto field = value_of(each.value);
                if (!field) return field;
                value.fields.push_back({each.name, std::move(*field)});
            }
            return value;
    }
    return value;
}

}  // namespace taskd
