#include "protocol/json_parts.hpp"

#include <algorithm>

#include "taskd/base/limits.hpp"

namespace taskd::protocol {

Result<WallTime> read_instant(std::string_view raw, std::string_view name) {
    auto text = read_string(raw, name);
    if (!text) return fail(std::move(text));
    const auto instant = parse_rfc3339(*text);
    if (instant) return *instant;
    std::string why{name};
    why += " must be like 2026-01-02T03:04:05Z";
    return fail(ErrorCode::invalid_field, std::move(why));
}

bool is_label_name(std::string_view name) {
    constexpr std::string_view others = "._/-";
    return !name.empty() && name.size() <= limits::label_name_bytes_max &&
           std::ranges::all_of(name, [&](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      others.find(c) != std::string_view::npos;
           });
}

void put_pause(JsonWriter& json, const Pause& pause) {
    json.begin_object()
        .field("by", pause.by)
        .field("reason", pause.reason)
        .field("since", pause.since)
        .end_object();
}

}  // namespace taskd::protocol
