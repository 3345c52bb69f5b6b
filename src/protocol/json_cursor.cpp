#include "protocol/json_cursor.hpp"

#include "taskd/protocol/json.hpp"

namespace taskd::protocol {
namespace {

constexpr auto npos = std::string_view::npos;

bool is_at(std::string_view text, std::size_t at, char wanted) {
    return at < text.size() && text[at] == wanted;
}

// Whether a raw string says the name; most have nothing escaped.
bool says(std::string_view raw, std::string_view name) {
    const std::string_view inner = raw.substr(1, raw.size() - 2);
    if (inner.find('\\') == npos) return inner == name;
    return text_of(raw) == name;
}

}  // namespace

std::size_t skip_blanks(std::string_view text, std::size_t at) {
    while (at < text.size() &&
           (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t'))
        ++at;
    return at;
}

std::size_t end_of_string(std::string_view text, std::size_t at) {
    if (!is_at(text, at, '"')) return npos;
    // A loop: the library's search for several characters costs four times as much.
    for (++at; at < text.size(); ++at) {
        if (text[at] == '"') return at + 1;
        if (text[at] == '\\') ++at;
    }
    return npos;
}

std::size_t end_of_value(std::string_view text, std::size_t at) {
    if (at >= text.size()) return npos;
    if (text[at] == '"') return end_of_string(text, at);
    if (text[at] != '{' && text[at] != '[') {
        while (at < text.size() && std::string_view{",]} \n\r\t"}.find(text[at]) == npos)
            ++at;
        return at;
    }
    std::size_t depth = 0;
    while (at < text.size()) {
        const char c = text[at];
        if (c == '"') {
            at = end_of_string(text, at);
            if (at == npos) return npos;
            continue;
        }
        if (c == '{' || c == '[') ++depth;
        if ((c == '}' || c == ']') && --depth == 0) return at + 1;
        ++at;
    }
    return npos;
}

std::optional<std::string_view> field_of(std::string_view object, std::string_view name) {
    std::size_t at = skip_blanks(object, 0);
    if (!is_at(object, at, '{')) return std::nullopt;
    ++at;
    while (true) {
        const std::size_t key = skip_blanks(object, at);
        const std::size_t key_end = end_of_string(object, key);
        if (key_end == npos) return std::nullopt;
        at = skip_blanks(object, key_end);
        if (!is_at(object, at, ':')) return std::nullopt;
        const std::size_t value = skip_blanks(object, at + 1);
        const std::size_t end = end_of_value(object, value);
        if (end == npos) return std::nullopt;
        if (says(object.substr(key, key_end - key), name)) return object.substr(value, end - value);
        at = skip_blanks(object, end);
        if (!is_at(object, at, ',')) return std::nullopt;
        ++at;
    }
}

std::optional<std::string_view> element_of(std::string_view array, std::size_t index) {
    std::size_t at = skip_blanks(array, 0);
    if (!is_at(array, at, '[')) return std::nullopt;
    ++at;
    while (true) {
        const std::size_t value = skip_blanks(array, at);
        if (is_at(array, value, ']')) return std::nullopt;
        const std::size_t end = end_of_value(array, value);
        if (end == npos) return std::nullopt;
        if (index == 0) return array.substr(value, end - value);
        --index;
        at = skip_blanks(array, end);
        if (!is_at(array, at, ',')) return std::nullopt;
        ++at;
    }
}

std::string text_of(std::string_view raw) {
    auto text = read_string(raw, "text");
    return text ? std::move(*text) : std::string{};
}

}  // namespace taskd::protocol
