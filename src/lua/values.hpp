// Values as Lua has them. nil stands for "nothing" and cannot lie in a table, so null is a value of
// its own; a table is a list when its keys are 1 to n, or when it was made one (`list{}`), and else
// a map. What has no form outside is refused by name: not_convertible.
#pragma once

#include <string>
#include <vector>

#include "lua_api.hpp"
#include "taskd/base/result.hpp"
#include "taskd/model/value.hpp"

namespace taskd::lua {

// Puts the marks that null and lists need into the registry, and `null` and `list` among the
// globals. In a protected call.
void open_values(lua_State* lua);

// A number of JSON as Lua's text has it: not_convertible when Lua cannot hold it.
Result<std::string> number_text(const std::string& json);

// Onto the stack. Fails for numbers that Lua cannot hold; then nothing was pushed. May throw Lua's
// errors.
Result<void> push_value(lua_State* lua, const Value& value);

// What lies at `index`, without running any metamethod; `bytes_max` bounds what is made of it.
Result<Value> read_value(lua_State* lua, int index, std::size_t bytes_max);
// From `first` to the top, nil as null; `bytes_max` bounds them all together, and `bytes` (may be
// null) is told what they take.
Result<std::vector<Value>> read_values(lua_State* lua, int first, std::size_t bytes_max,
                                       std::size_t* bytes = nullptr);

// What a value takes as it lies in memory.
std::size_t bytes_of(const Value& value);

// An error as programs see it: a table with `kind`, `message` and `retryable`.
void push_error(lua_State* lua, const Error& error);
// The error object at `index`, whatever it is; what is no error of ours is program_failed.
Error read_error(lua_State* lua, int index);

}  // namespace taskd::lua
