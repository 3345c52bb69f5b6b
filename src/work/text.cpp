// Texts in and out: what the text types take, JSON strings, and excerpts for messages.
#include <fmt/format.h>

#include "work/payload.hpp"

namespace taskd::work {

std::expected<std::string, TaskError> text_of(const Payload& payload) {
    if (payload.value().kind == Kind::string) return std::string{payload.value().text};
    if (payload.value().kind != Kind::array)
        return refuse(ErrorCode::bad_payload,
                      fmt::format("expected a string or an array of strings, got {}",
                                  to_text(payload.value().kind)));
    std::string text;
    for (std::size_t i = 0; i < payload.items().size(); ++i) {
        const Value& item = payload.items()[i];
        if (item.kind != Kind::string)
            return refuse(
                ErrorCode::bad_payload,
                fmt::format("expected a string at index {}, got {}", i, to_text(item.kind)));
        if (i > 0) text.push_back(' ');
        text.append(item.text);
    }
    return text;
}

std::string quote(std::string_view utf8) {
    std::string json;
    json.reserve(utf8.size() + 2);
    json.push_back('"');
    for (const char c : utf8) {
        if (c == '"' || c == '\\') {
            json.push_back('\\');
            json.push_back(c);
        } else if (static_cast<unsigned char>(c) >= 0x20) {
            json.push_back(c);
        } else if (c == '\n') {
            json.append("\\n");
        } else {
            json += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        }
    }
    json.push_back('"');
    return json;
}

std::string shown(std::string_view utf8) {
    constexpr std::size_t bytes_max = 40;
    if (utf8.size() <= bytes_max) return quote(utf8);
    std::size_t end = bytes_max;
    while (end > 0 && (static_cast<unsigned char>(utf8[end]) & 0xC0) == 0x80)
        --end;
    return quote(std::string{utf8.substr(0, end)}.append("…"));
}

std::unexpected<TaskError> refuse(ErrorCode code, std::string message) {
    const ErrorRow& row = row_of(code);
    return std::unexpected{TaskError{std::string{row.name}, std::move(message), !row.retryable}};
}

}  // namespace taskd::work
