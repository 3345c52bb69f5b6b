// A YAML text as a tree that is null when there is nothing in it.
#pragma once

#include <string>

#include "taskd/io/yaml.hpp"

namespace taskd::io {

// As parse_yaml, which makes an empty map of nothing.
Result<Document> parse_yaml_document(const std::string& text, const std::string& name);

}  // namespace taskd::io
