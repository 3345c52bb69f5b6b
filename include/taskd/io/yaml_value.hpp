// Values as YAML 1.2 (core schema). What JSON has no word for (.inf, .nan), anchors, aliases and
// tags are refused, so that whatever is read can be written as JSON.
#pragma once

#include <string>

#include "taskd/base/result.hpp"
#include "taskd/model/value.hpp"

namespace taskd::io {

// One document; none at all is null. not_convertible names line and column.
Result<Value> read_yaml_value(const std::string& text);

// In blocks, one value a line, ending with a line break. not_convertible for a name too long to
// stand in front of a colon.
Result<std::string> write_yaml_value(const Value& value);

}  // namespace taskd::io
