// Payloads and results as people type and read them on a command line. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "taskd/base/result.hpp"

namespace taskd::service {

// One argument is that value, several are an array of them, none is no payload (empty). An argument
// that is a JSON number, true, false or null stays so; anything else is a text. bad_json when an
// argument is not UTF-8.
Result<std::string> payload_of_arguments(std::span<const std::string> arguments);

// What a file or stdin holds: one JSON value is the payload as it stands; a text is a string
// without its last line end. bad_json for what begins like an object, an array or a string and is
// none, so that a slip in a file is not sent as a text.
Result<std::string> payload_of_file(std::string content);

// A JSON string as its text, any other value as it stands.
std::string shown_result(std::string_view raw);

}  // namespace taskd::service
