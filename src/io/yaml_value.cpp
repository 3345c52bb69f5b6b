#include "taskd/io/yaml_value.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "io/yaml_document.hpp"
#include "taskd/model/document_value.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::io {
namespace {

constexpr std::size_t name_bytes_max = 1'000;  // YAML's own bound is 1,024 characters with quotes

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
    return std::ranges::find(words, text) != words.end();
}

// Letters first, nothing that YAML of any version takes for something else.
bool is_plain(std::string_view text) {
    constexpr std::string_view marks = "_-./";
    const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    if (text.empty() || !is_letter(text.front())) return false;
    if (!std::ranges::all_of(text, [&](char c) {
            return is_letter(c) || (c >= '0' && c <= '9') ||
                   marks.find(c) != std::string_view::npos;
        }))
        return false;
    std::string lower{text};
    std::ranges::transform(lower, lower.begin(), [&](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return !is_one_of(lower, {"null", "true", "false", "yes", "no", "on", "off", "y", "n"});
}

// JSON's quotes are YAML's; what JSON leaves as it is and YAML does not print is escaped as well.
void append_text(std::string& out, std::string_view text) {
    if (is_plain(text)) {
        out += text;
        return;
    }
    constexpr std::array<std::pair<std::string_view, std::string_view>, 4> unprinted = {{
        {"\x7f", "\\x7f"},
        {"\u2028", "\\u2028"},
        {"\u2029", "\\u2029"},
        {"\ufeff", "\\ufeff"},
    }};
    std::string json;
    protocol::append_json_string(json, text);
    for (std::size_t at = 0; at < json.size();) {
        const std::string_view rest = std::string_view{json}.substr(at);
        const auto found = std::ranges::find_if(
            unprinted, [&](const auto& each) { return rest.starts_with(each.first); });
        const bool is_control = rest.size() > 1 && rest[0] == '\xc2' &&
                                static_cast<unsigned char>(rest[1]) < 0xa0;  // U+0080 to U+009F
        if (found != unprinted.end()) {
            out += found->second;
            at += found->first.size();
        } else if (is_control) {
            constexpr std::string_view hex = "0123456789abcdef";
            const auto low = static_cast<unsigned char>(rest[1]);
            out.append("\\x").append({hex[low >> 4U], hex[low & 15U]});
            at += 2;
        } else {
            out += json[at++];
        }
    }
}

bool is_block(const Value& value) {
    return !value.items.empty() || !value.fields.empty();
}

Result<void> append_value(std::string& out, const Value& value, std::size_t depth);

// What stands behind "-" or a name: on the same line, or as a block below it.
Result<void> append_behind(std::string& out, const Value& value, std::size_t depth) {
    if (is_block(value)) {
        out += '\n';
        return append_value(out, value, depth + 1);
    }
    out += ' ';
    return append_value(out, value, depth);
}

Result<void> append_block(std::string& out, const Value& value, std::size_t depth) {
    const std::string indent(2 * depth, ' ');
    for (const Value& item : value.items) {
        out += indent + "-";
        if (auto done = append_behind(out, item, depth); !done) return done;
    }
    for (const ValueField& field : value.fields) {
        if (field.name.size() > name_bytes_max)
            return fail(
                ErrorCode::not_convertible,
                "YAML has no room for a name of " + std::to_string(field.name.size()) + " bytes");
        out += indent;
        append_text(out, field.name);
        out += ':';
        if (auto done = append_behind(out, field.value, depth); !done) return done;
    }
    return {};
}

Result<void> append_value(std::string& out, const Value& value, std::size_t depth) {
    switch (value.kind) {
        case ValueKind::null:
            out += "null\n";
            return {};
        case ValueKind::boolean:
            out += value.boolean ? "true\n" : "false\n";
            return {};
        case ValueKind::number:
            out += value.text + "\n";
            return {};
        case ValueKind::text:
            append_text(out, value.text);
            out += '\n';
            return {};
        case ValueKind::list:
            if (!value.items.empty()) return append_block(out, value, depth);
            out += "[]\n";
            return {};
        case ValueKind::map:
            if (!value.fields.empty()) return append_block(out, value, depth);
            out += "{}\n";
            return {};
    }
    return {};
}

}  // namespace

Result<Value> read_yaml_value(const std::string& text) {
    if (!protocol::is_utf8(text)) return fail(ErrorCode::not_convertible, "it is not UTF-8");
    const auto document = parse_yaml_document(text, "line");
    if (!document) return fail(ErrorCode::not_convertible, document.error().detail);
    return value_of(*document);
}

Result<std::string> write_yaml_value(const Value& value) {
    std::string out;
    if (auto done = append_value(out, value, 0); !done) return fail(std::move(done));
    return out;
}

}  // namespace taskd::io
