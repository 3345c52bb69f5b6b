// Registrations as JSON: between the roles and in registry.json. Pure.
#pragma once

#include <string>
#include <string_view>

#include "taskd/base/result.hpp"
#include "taskd/model/registration.hpp"

namespace taskd::protocol {

// The body of a PUT: type, host, port, session, concurrency, meta. Without host it stays empty.
Result<Registration> parse_registration(std::string_view body);
std::string write_registration_body(const Registration& registration);

std::string write_registration(const Registration& registration);
// {"version", "registrations": [...]}, the answer to a lookup and the content of registry.json.
std::string write_registry(const RegistrySnapshot& snapshot);
Result<RegistrySnapshot> parse_registry(std::string_view text);

}  // namespace taskd::protocol
