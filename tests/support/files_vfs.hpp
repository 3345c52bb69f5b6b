// SQLite's file layer over port::Files, so that SQLite runs on a simulated disk. It does as
// SQLite's own layer for Unix does, fault for fault: sync of the folder with the first sync of a
// new log or journal. It offers no shared memory: the connection has to be in exclusive locking
// mode.
#pragma once

#include <memory>
#include <string>

#include "taskd/port/files.hpp"

namespace taskd::support {

// Registered under its name while it lives; connections that use it must be closed before.
class FilesVfs {
  public:
    explicit FilesVfs(port::Files& files);
    ~FilesVfs();
    FilesVfs(const FilesVfs&) = delete;
    FilesVfs& operator=(const FilesVfs&) = delete;

    const std::string& name() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace taskd::support
