// Operations as JSON, as config/openapi.yaml says. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "taskd/base/result.hpp"
#include "taskd/model/operation.hpp"

namespace taskd::protocol {

// The body of a POST, its search checked; without an id of its own it is left empty.
Result<Operation> parse_operation(std::string_view body);
// Of a POST that may say why: {"reason": ...}, or nothing at all.
Result<std::string> parse_reason(std::string_view body);
void write_operation(std::string& out, const Operation& operation);

}  // namespace taskd::protocol
