// A folder of this process's own for what it runs, and what belongs to it. Blocking.
#pragma once

#include <memory>
#include <string>

#include "taskd/base/result.hpp"
#include "taskd/port/files.hpp"

namespace taskd::io {

// BASE/NAME, locked while it lives and removed with all in it at the end. What processes that were
// killed left in BASE is removed when one is made.
class WorkDir {
  public:
    // BASE is made with mode 0700; empty: a folder of this user in $TMPDIR or /tmp. io_failed when
    // it is somebody else's.
    static Result<std::unique_ptr<WorkDir>> make(std::string base, const std::string& name);
    ~WorkDir();
    WorkDir(const WorkDir&) = delete;
    WorkDir& operator=(const WorkDir&) = delete;

    const std::string& path() const { return path_; }
    // A folder in it, with mode 0700. What lies in $TMPDIR may be cleaned away while nothing runs:
    // then it is made anew, with its lock. io_failed or disk_full.
    Result<void> make_dir(const std::string& path);

  private:
    WorkDir(std::string path, std::unique_ptr<port::FileLock> lock)
        : path_{std::move(path)}, lock_{std::move(lock)} {}

    std::string path_;
    std::unique_ptr<port::FileLock> lock_;
};

// Mode 0700, in a folder that is there. io_failed or disk_full.
Result<void> make_private_dir(const std::string& path);
// With all in it; links are removed and not followed. Missing is fine.
Result<void> remove_tree(const std::string& path);

// The absolute path of a program: as it stands from where we are if it has a slash, else as PATH
// says. file_missing.
Result<std::string> find_program(const std::string& name);

}  // namespace taskd::io
