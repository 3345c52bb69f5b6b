// How many connections a role can take: each is an open file.
#pragma once

#include "taskd/port/log.hpp"

namespace taskd::roles {

// Open files for all connections we would take; says so where the system allows fewer.
void raise_open_files(port::Log& log);

}  // namespace taskd::roles
