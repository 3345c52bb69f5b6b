// A small file that is read and written as a whole. On a lane, or before the loop runs.
#pragma once

#include <string>
#include <string_view>

#include "taskd/port/files.hpp"

namespace taskd::service {

// A new file beside the old one, synced, then renamed over it: a reader sees one or the other.
Result<void> write_whole(port::Files& files, const std::string& path, std::string_view text);
// file_missing; body_too_large when it is longer.
Result<std::string> read_whole(port::Files& files, const std::string& path, std::size_t bytes_max);

}  // namespace taskd::service
