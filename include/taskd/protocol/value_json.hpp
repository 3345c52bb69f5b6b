// Values as JSON. Pure.
#pragma once

#include <string>
#include <string_view>

#include "taskd/base/result.hpp"
#include "taskd/model/value.hpp"

namespace taskd::protocol {

// One JSON value (RFC 8259), else bad_json. Numbers keep their digits.
Result<Value> read_json_value(std::string_view text);

// On one line. As deep as the value is: one that was read is limits::json_depth_max deep at most.
std::string write_json_value(const Value& value);

}  // namespace taskd::protocol
