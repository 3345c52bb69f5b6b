// The payload of a task as it is given on a command line, in any of its forms.
#pragma once

#include <span>
#include <string>

#include "options.hpp"

namespace taskd::roles {

// --json, the payload as it stands.
OptionRow payload_row();

// From --json, arguments, @FILE or - (stdin); empty when there is none. bad_usage, bad_json,
// file_missing.
Result<std::string> read_payload(const Options& options, std::span<const std::string> arguments);

}  // namespace taskd::roles
