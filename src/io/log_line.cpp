#include "io/log_line.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "taskd/protocol/json.hpp"

namespace taskd::io {
namespace {

// What may stand bare; everything else is quoted.
bool is_plain(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view{"-._:/@+,%[]*"}.find(c) != std::string_view::npos;
}

// No byte below a blank leaves here as it is: a value can neither end its line nor steer a
// terminal. The second byte of a C1 control character (U+0080 to U+009F) is escaped with the first.
void append_escaped(std::string& out, std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0U;
        switch (byte) {
            case '"':
                out += "\\\"";
                break;
            case '\\':
                out += "\\\\";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\r':
                out += "\\r";
                break;
            case '\t':
                out += "\\t";
                break;
            default:
                if (byte < 0x20 || byte == 0x7f) {
                    out += fmt::format("\\x{:02x}", byte);
                } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
                    out += fmt::format("\\u{:04x}", next);
                    ++i;
                } else {
                    out += text[i];
                }
        }
    }
}

// The same for JSON, which must also be UTF-8: bytes that are not become U+FFFD.
void append_json(std::string& out, std::string_view text) {
    const bool valid = protocol::is_utf8(text);
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0U;
        if (byte == '"' || byte == '\\') {
            out.append("\\").push_back(text[i]);
        } else if (byte < 0x20 || byte == 0x7f) {
            out += fmt::format("\\u{:04x}", byte);
        } else if (valid && byte == 0xc2 && next >= 0x80 && next < 0xa0) {
            out += fmt::format("\\u{:04x}", next);
            ++i;
        } else if (!valid && byte >= 0x80) {
            out += "\xef\xbf\xbd";
        } else {
            out += text[i];
        }
    }
}

std::string_view colour_of(port::LogLevel level) {
    switch (level) {
        case port::LogLevel::trace:
        case port::LogLevel::debug:
            return "\x1b[2m";  // faint
        case port::LogLevel::info:
            return "\x1b[32m";
        case port::LogLevel::warn:
            return "\x1b[33m";
        case port::LogLevel::error:
            return "\x1b[31m";
    }
    return "";
}

void append_value(std::string& out, std::string_view value) {
    if (!value.empty() && std::ranges::all_of(value, is_plain)) {
        out += value;
        return;
    }
    out += '"';
    append_escaped(out, value);
    out += '"';
}

void append_fields(std::string& out, std::span<const port::LogField> fields) {
    for (const auto& [name, value] : fields) {
        out.append(" ").append(name).append("=");
        append_value(out, value);
    }
}

// Milliseconds are enough for people.
std::string short_time(WallTime at) {
    std::string text = to_rfc3339(at);
    text.replace(text.size() - 4, 3, "");
    return text;
}

}  // namespace

std::string logfmt_line(const LogSettings& settings, const LogRecord& record) {
    std::string line = "ts=" + short_time(record.at);
    line.append(" level=").append(to_text(record.level)).append(" role=");
    append_value(line, settings.role);
    if (!settings.instance.empty()) {
        line += " instance=";
        append_value(line, settings.instance);
    }
    line += " msg=\"";
    append_escaped(line, record.message);
    line += '"';
    append_fields(line, record.fields);
    return line;
}

std::string json_line(const LogSettings& settings, const LogRecord& record) {
    std::string line = "{\"ts\":\"" + short_time(record.at) + "\"";
    const auto field = [&line](std::string_view name, std::string_view value) {
        line.append(",\"").append(name).append("\":\"");
        append_json(line, value);
        line += '"';
    };
    field("level", to_text(record.level));
    field("role", settings.role);
    if (!settings.instance.empty()) field("instance", settings.instance);
    field("msg", record.message);
    for (const auto& [name, value] : record.fields)
        field(name, value);
    return line + '}';
}

std::string text_line(const LogSettings& settings, const LogRecord& record, bool colour) {
    std::string level{to_text(record.level)};
    std::ranges::transform(level, level.begin(), [](char c) { return static_cast<char>(c - 32); });
    const std::string_view paint = colour ? colour_of(record.level) : "";
    const std::string_view plain = paint.empty() ? "" : "\x1b[0m";
    std::string line = fmt::format("{} {}{:<5}{} ", short_time(record.at), paint, level, plain);
    const bool says_role = settings.instance.starts_with(settings.role + "-");
    if (!says_role) append_escaped(line, settings.role);
    if (!settings.instance.empty()) {
        if (!says_role) line += ' ';
        append_escaped(line, settings.instance);
    }
    line += ": ";
    append_escaped(line, record.message);
    append_fields(line, record.fields);
    return line;
}

}  // namespace taskd::io
