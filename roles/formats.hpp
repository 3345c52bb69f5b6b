// The formats that commands take values in.
#pragma once

#include <string_view>

#include "taskd/runtime/transcoder.hpp"

namespace taskd::roles {

// json, yaml, and lua: the text of a table.
const runtime::Transcoder& transcoder();

// Whether a file of such a name holds YAML: it ends in .yaml or .yml.
bool is_yaml_file(std::string_view path);

}  // namespace taskd::roles
