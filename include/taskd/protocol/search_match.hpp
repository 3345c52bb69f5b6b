// Whether a task is what a search looks for. Pure; the one meaning of the language, for the view
// and for whoever looks at tasks in memory.
#pragma once

#include "taskd/model/search.hpp"
#include "taskd/model/task.hpp"

namespace taskd::protocol {

bool matches(const Search& search, const Task& task, WallTime now);

}  // namespace taskd::protocol
