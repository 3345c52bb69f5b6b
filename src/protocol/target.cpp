#include "taskd/protocol/target.hpp"

#include <algorithm>

#include "taskd/base/duration_text.hpp"
#include "taskd/base/limits.hpp"

namespace taskd::protocol {
namespace {

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

Result<std::string> decode(std::string_view text, bool plus_is_blank) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '+' && plus_is_blank) c = ' ';
        if (c == '%') {
            const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return fail(ErrorCode::bad_request, "a percent escape in the target is broken");
            c = static_cast<char>(high << 4 | low);
            i += 2;
        }
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
            return fail(ErrorCode::bad_request, "a control character in the target");
        out.push_back(c);
    }
    return out;
}

}  // namespace

const std::string* Target::find(std::string_view name) const {
    const auto found = std::ranges::find(query, name, &std::pair<std::string, std::string>::first);
    return found == query.end() ? nullptr : &found->second;
}

Result<Target> parse_target(std::string_view text) {
    Target target;
    const std::size_t mark = text.find('?');
    std::string_view path = text.substr(0, mark);
    std::string_view query =
        mark == std::string_view::npos ? std::string_view{} : text.substr(mark + 1);
    if (!path.starts_with('/')) return fail(ErrorCode::bad_request, "the target is not a path");
    while (!path.empty()) {
        path.remove_prefix(1);
        const std::string_view part = path.substr(0, path.find('/'));
        path.remove_prefix(part.size());
        if (part.empty() && path.empty()) break;  // the root, or a slash at the end
        auto decoded = decode(part, false);
        if (!decoded) return fail(std::move(decoded));
        target.path.push_back(std::move(*decoded));
    }
    while (!query.empty()) {
        const std::string_view pair = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(query.size(), pair.size() + 1));
        if (pair.empty()) continue;
        const std::size_t equals = pair.find('=');
        auto name = decode(pair.substr(0, equals), true);
        auto value = decode(equals == std::string_view::npos ? "" : pair.substr(equals + 1), true);
        if (!name) return fail(std::move(name));
        if (!value) return fail(std::move(value));
        target.query.emplace_back(std::move(*name), std::move(*value));
    }
    return target;
}

Result<Duration> read_wait(const Target& target, std::string_view name) {
    const std::string* text = target.find(name);
    if (text == nullptr) return Duration{0};
    const auto wait = parse_duration(*text);
    if (!wait)
        return fail(ErrorCode::invalid_field,
                    std::string{name} + " must be a duration such as 30s, not '" + *text + "'");
    return std::min(*wait, limits::wait_max);
}

std::string percent_encode(std::string_view text) {
    static constexpr char hex[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                           (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            out.push_back(c);
            continue;
        }
        out.push_back('%');
        out.push_back(hex[static_cast<unsigned char>(c) >> 4]);
        out.push_back(hex[c & 0x0f]);
    }
    return out;
}

}  // namespace taskd::protocol
