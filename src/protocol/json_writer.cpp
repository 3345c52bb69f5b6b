// JSON text, a piece at a time.
#include <fmt/format.h>

#include <cstring>

#include "taskd/protocol/json.hpp"

namespace taskd::protocol {
namespace {

// Not 0 when one of eight bytes has to be escaped. A borrow from the byte below can only add a find
// above one that is there.
std::uint64_t escaped_among(std::uint64_t bytes) {
    constexpr std::uint64_t ones = 0x0101010101010101, highest = 0x8080808080808080;
    const auto below = [](std::uint64_t each, std::uint64_t bound) {
        return (each - ones * bound) & ~each & highest;
    };
    return below(bytes, 0x20) | below(bytes ^ ones * '"', 1) | below(bytes ^ ones * '\\', 1);
}

// Most texts have nothing to escape.
bool is_plain(std::string_view text) {
    std::uint64_t found = 0;
    std::uint64_t bytes = 0;
    for (; text.size() >= sizeof bytes; text.remove_prefix(sizeof bytes)) {
        std::memcpy(&bytes, text.data(), sizeof bytes);
        found |= escaped_among(bytes);
    }
    bytes = 0x2020202020202020;
    std::memcpy(&bytes, text.data(), text.size());
    return (found | escaped_among(bytes)) == 0;
}

// Room for so many bytes more, at once; where they begin.
char* grow(std::string& out, std::size_t bytes) {
    const std::size_t before = out.size();
    const std::size_t after = before + bytes;
    // What the library hands in is the capacity.
    out.resize_and_overwrite(after, [after](char*, std::size_t) { return after; });
    return out.data() + before;
}

char* put(char* at, std::string_view text) {
    std::memcpy(at, text.data(), text.size());
    return at + text.size();
}

void put_quoted(std::string& out, bool comma, std::string_view text, std::string_view behind) {
    char* at = grow(out, text.size() + 2 + behind.size() + (comma ? 1 : 0));
    if (comma) *at++ = ',';
    *at = '"';
    at = put(at + 1, text);
    *at = '"';
    put(at + 1, behind);
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
    static constexpr char hex[] = "0123456789abcdef";
    if (is_plain(text)) {
        put_quoted(out, false, text, "");
        return;
    }
    out.push_back('"');
    std::size_t start = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        out.append(text.substr(start, i - start));
        start = i + 1;
        switch (c) {
            case '"':
                out.append("\\\"");
                break;
            case '\\':
                out.append("\\\\");
                break;
            case '\n':
                out.append("\\n");
                break;
            case '\r':
                out.append("\\r");
                break;
            case '\t':
                out.append("\\t");
                break;
            default:
                out.append("\\u00");
                out.push_back(hex[c >> 4]);
                out.push_back(hex[c & 0x0f]);
        }
    }
    out.append(text.substr(start));
    out.push_back('"');
}

void JsonWriter::separate() {
    if (needs_comma_) out_.push_back(',');
    needs_comma_ = true;
}

JsonWriter& JsonWriter::begin_object() {
    separate();
    out_.push_back('{');
    needs_comma_ = false;
    return *this;
}

JsonWriter& JsonWriter::end_object() {
    out_.push_back('}');
    needs_comma_ = true;
    return *this;
}

JsonWriter& JsonWriter::begin_array() {
    separate();
    out_.push_back('[');
    needs_comma_ = false;
    return *this;
}

JsonWriter& JsonWriter::end_array() {
    out_.push_back(']');
    needs_comma_ = true;
    return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
    put_quoted(out_, needs_comma_, name, ":");
    needs_comma_ = false;
    return *this;
}

JsonWriter& JsonWriter::plain(std::string_view text) {
    put_quoted(out_, needs_comma_, text, "");
    needs_comma_ = true;
    return *this;
}

JsonWriter& JsonWriter::string(std::string_view text) {
    separate();
    append_json_string(out_, text);
    return *this;
}

JsonWriter& JsonWriter::number(std::int64_t value) {
    const fmt::format_int text{value};
    return raw({text.data(), text.size()});
}

JsonWriter& JsonWriter::number(std::uint64_t value) {
    const fmt::format_int text{value};
    return raw({text.data(), text.size()});
}

JsonWriter& JsonWriter::number(double value) {
    separate();
    out_ += fmt::format("{}", value);
    return *this;
}

JsonWriter& JsonWriter::boolean(bool value) {
    return raw(value ? "true" : "false");
}
JsonWriter& JsonWriter::null() {
    return raw("null");
}

JsonWriter& JsonWriter::raw(std::string_view json) {
    char* at = grow(out_, json.size() + (needs_comma_ ? 1 : 0));
    if (needs_comma_) *at++ = ',';
    put(at, json);
    needs_comma_ = true;
    return *this;
}

}  // namespace taskd::protocol
