// What a reference stands for, and what a text with references becomes. Pure.
#pragma once

#include "protocol/reference.hpp"
#include "taskd/model/templates.hpp"

namespace taskd::protocol {

// Raw JSON, a copy: what was found lives until the next question only. unresolved_reference.
Result<std::string> resolve(const Reference& reference, const FindReferred& find);

// A text with every reference as text: texts as they are, all else as JSON.
Result<std::string> fill_text(std::string_view text, const FindReferred& find);

}  // namespace taskd::protocol
