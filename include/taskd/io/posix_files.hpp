// The real file system behind port::Files: pread, pwrite and fdatasync. Safe from any thread as
// long as each File is used by one at a time.
#pragma once

#include <memory>

#include "taskd/port/files.hpp"

namespace taskd::io {

std::unique_ptr<port::Files> make_posix_files();

}  // namespace taskd::io
