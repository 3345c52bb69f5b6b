// What a program can call beside Lua itself: modules of functions. A direct function answers within
// the call; a command puts the program aside until whoever handles it has answered.
#pragma once

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/model/value.hpp"
#include "taskd/runtime/commands.hpp"

namespace taskd::lua {

// On whichever thread runs the program; must not block. An error comes back as `nil, error`.
using DirectFunction = std::function<Result<Value>(const std::vector<Value>& arguments)>;

struct ModuleFunction {
    std::string name;
    std::variant<DirectFunction, runtime::CommandId> does;
};

struct Module {
    std::string name;
    std::vector<ModuleFunction> functions;
};

}  // namespace taskd::lua
