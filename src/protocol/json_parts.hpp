// Parts of JSON bodies that more than one of them has.
#pragma once

#include <string_view>

#include "taskd/base/result.hpp"
#include "taskd/model/queue_rules.hpp"
#include "taskd/model/task.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::protocol {

// RFC 3339; invalid_field naming `name`.
Result<WallTime> read_instant(std::string_view raw, std::string_view name);
// 1 to 64 letters, digits, '.', '_', '/' and '-'.
bool is_label_name(std::string_view name);
void put_pause(JsonWriter& json, const Pause& pause);
// "backoff" of tasks, "retry" of groups. invalid_field, unknown_field.
Result<Backoff> parse_backoff(std::string_view raw);
void put_backoff(JsonWriter& json, const Backoff& backoff);

}  // namespace taskd::protocol
