// YAML as documents. What settings need of it: maps, lists, scalars and comments; anchors, aliases
// and tags are refused, so that no small text becomes a large tree.
#pragma once

#include <string>
#include <string_view>

#include "taskd/base/result.hpp"
#include "taskd/model/document.hpp"

namespace taskd::io {

// One document; none at all is an empty map. config_invalid with name, line and column for what is
// no YAML, a name that stands twice in a map, and what is refused.
Result<Document> parse_yaml(const std::string& text, const std::string& name);

// The same of YAML or JSON; what begins as JSON and is neither is bad_json, as JSON's fault. JSON
// is read some twenty times faster.
Result<Document> parse_document(const std::string& text, const std::string& name);

// YAML of a file. Also file_missing.
Result<Document> read_yaml_file(const std::string& path);

}  // namespace taskd::io
