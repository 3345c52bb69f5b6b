// Conditions, read and evaluated in one go. Pure.
#pragma once

#include <string_view>

#include "taskd/model/templates.hpp"

namespace taskd::protocol {

// Without `find` it is only read: true when it can be understood. bad_condition and
// unresolved_reference say the column, in bytes from 1.
Result<bool> evaluate(std::string_view condition, const FindReferred* find);

}  // namespace taskd::protocol
