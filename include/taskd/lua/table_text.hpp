// Values as the text of a Lua table: "return {name = \"ann\", 1, 2}". What is read runs as a
// program in the sandbox, within its bounds and without modules, so that any expression is taken
// that Lua can work out. Lua has no order of fields: they come back by name.
#pragma once

#include <string>

#include "taskd/base/result.hpp"
#include "taskd/model/value.hpp"

namespace taskd::lua {

// not_convertible for what is no Lua or has no form outside; memory_limit, instruction_limit.
Result<Value> read_table_text(const std::string& text);
// not_convertible for numbers that Lua cannot hold, and for what lies too deep.
Result<std::string> write_table_text(const Value& value);

}  // namespace taskd::lua
