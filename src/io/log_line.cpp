#include "io/log_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

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
                    fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
                } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
                    fmt::format_to(std::back_inserter(out), "\\u{:04x}", next);
                    ++i;
                } else {
                    out += text[i];
                }
        }
    }
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

std::string text_line(const LogSettings& settings, const LogRecord& record) {
    std::string level{to_text(record.level)};
    std::ranges::transform(level, level.begin(), [](char c) { return static_cast<char>(c - 32); });
    std::string line = fmt::format("{} {:<5} ", short_time(record.at), level);
    append_escaped(line, settings.role);
    if (!settings.instance.empty()) {
        line += ' ';
        append_escaped(line, settings.instance);
    }
    line += ": ";
    append_escaped(line, record.message);
    append_fields(line, record.fields);
    return line;
}

}  // namespace taskd::io
