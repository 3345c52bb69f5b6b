// The list of workers, config/workers.json, compiled into the executable.
#pragma once

#include <string_view>

namespace taskd::web {

std::string_view default_workers();

}  // namespace taskd::web
