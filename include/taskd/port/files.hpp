// Port: the part of a file system that journal, view and registry need. What is written is durable
// only after sync() of the file, and of its folder when the name is new (sync_dir). Faults come
// back as io_failed, disk_full or file_missing with the path. Paths are absolute or relative to the
// working directory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"

namespace taskd::port {

class File {
  public:
    virtual ~File() = default;  // closes without a sync
    // Bytes read, fewer than asked only at the end of the file.
    virtual Result<std::size_t> read(std::uint64_t offset, std::span<char> into) = 0;
    // All or an error; after an error any part may have been written.
    virtual Result<void> write(std::uint64_t offset, std::string_view bytes) = 0;
    // fdatasync. After an error nobody knows what the disk kept: the caller ends.
    virtual Result<void> sync() = 0;
    virtual Result<void> truncate(std::uint64_t size) = 0;
    virtual Result<std::uint64_t> size() = 0;
};

// Held while it lives, by this process alone and not by its children.
class FileLock {
  public:
    virtual ~FileLock() = default;
};

// Of the disk that a folder is on.
struct DiskSpace {
    std::uint64_t free_bytes = 0;  // that this process may still fill
    std::uint64_t total_bytes = 0;
};

enum class OpenMode { read, read_write, create };  // create: makes it if missing, keeps content

class Files {
  public:
    virtual ~Files() = default;
    // file_missing when there is none and none is to be made.
    virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
    // Names (no path) of the plain files in a folder, sorted. file_missing when there is no folder.
    virtual Result<std::vector<std::string>> list(const std::string& dir) = 0;
    // Replaces what stands at `to`; after a crash either the old or the new is there.
    virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
    virtual Result<void> remove(const std::string& path) = 0;  // missing is not an error
    // With parents; existing is fine. Durable when it returns.
    virtual Result<void> make_dir(const std::string& path) = 0;
    virtual Result<void> sync_dir(const std::string& path) = 0;
    // file_missing when there is no such folder.
    virtual Result<DiskSpace> space(const std::string& dir) = 0;
    // store_locked when another process holds it.
    virtual Result<std::unique_ptr<FileLock>> lock(const std::string& path) = 0;
};

}  // namespace taskd::port
