// The registry's versions in a SQLite file. Several processes may use one file at a time.
#pragma once

#include <memory>
#include <string>

#include "taskd/port/history.hpp"

namespace taskd::io {

// Made when it is missing. store_too_new for a file of a later version; view_corrupt, io_failed,
// disk_full, store_locked as SQLite says.
Result<std::unique_ptr<port::History>> open_history(const std::string& path);

// What somebody else keeps there, to be read alone: append() is not called. file_missing when there
// is no registry yet.
Result<std::unique_ptr<port::History>> read_history(const std::string& path);

}  // namespace taskd::io
