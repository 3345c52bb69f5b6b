// What a document's scalars mean by YAML 1.2's core schema. Pure.
#pragma once

#include "taskd/base/result.hpp"
#include "taskd/model/document.hpp"
#include "taskd/model/value.hpp"

namespace taskd {

// A quoted scalar is a text; one that is not may be a number, a boolean or nothing. not_convertible
// with its place for .inf and .nan, which JSON has no word for.
Result<Value> value_of(const Document& document);

}  // namespace taskd
