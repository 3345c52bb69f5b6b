// The contract, config/openapi.yaml, as JSON compiled into the executable.
#pragma once

#include <string_view>

namespace taskd::protocol {

std::string_view openapi_json();

}  // namespace taskd::protocol
