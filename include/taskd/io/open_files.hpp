// How many files this process may hold open at a time (the soft RLIMIT_NOFILE), and who gets them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "taskd/base/limits.hpp"

namespace taskd::io {

std::uint64_t open_files_max();

// As many as the system allows, for a role that serves; what that is. Programs that we start get
// the bound from before: some cannot hold descriptors from 1024 on.
std::uint64_t raise_open_files_max();

// For a child between fork and exec: the bound from before it was raised.
void restore_open_files_max();

// What connections may take of so many: the rest is left to the store, calls and children.
constexpr std::uint64_t files_for_connections(std::uint64_t files) {
    return files - std::min<std::uint64_t>(limits::files_reserved, files / 2);
}

}  // namespace taskd::io
