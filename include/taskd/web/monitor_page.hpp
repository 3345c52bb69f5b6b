// The monitor's page, src/web/monitor.html, compiled into the executable.
#pragma once

#include <string_view>

namespace taskd::web {

std::string_view monitor_page();

}  // namespace taskd::web
