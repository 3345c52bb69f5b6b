// JSON as a document: each value with its line and column, for messages. Pure.
#pragma once

#include <string>
#include <string_view>

#include "taskd/base/result.hpp"
#include "taskd/model/document.hpp"

namespace taskd::protocol {

// One JSON value (RFC 8259, UTF-8, at most limits::json_depth_max deep, no name twice in an
// object), else bad_json with the place: NAME:LINE:COLUMN, columns in bytes. A short name costs
// least: each value has its place with it.
Result<Document> read_json_document(std::string_view text, const std::string& name);

// A document as JSON; what its scalars mean is YAML's to say (document_value.hpp). not_convertible.
Result<std::string> write_document(const Document& document);

}  // namespace taskd::protocol
