// Errors as HTTP shows them: problem+json (RFC 9457) and reason phrases.
#pragma once

#include <string>
#include <string_view>

#include "taskd/base/error.hpp"

namespace taskd::protocol {

inline constexpr std::string_view problem_content_type = "application/problem+json";

// {"type":"about:blank","title":…,"status":…,"error":…,"detail":…}; detail only when there is one.
std::string problem_json(const Error& error);

std::string_view reason_phrase(int status);  // "Not Found"; "Unknown" for others

}  // namespace taskd::protocol
