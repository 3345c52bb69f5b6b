// The disks that every store contract is run on: a fresh folder of the real one, and a simulated
// one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "taskd/port/files.hpp"

namespace taskd::support {

// A fresh folder, removed with all it holds.
class TempDir {
  public:
    TempDir();
    ~TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

struct DiskWorld {
    std::string name;
    std::unique_ptr<TempDir> temp;  // of the real disk only
    std::unique_ptr<port::Files> files;
    std::string dir;  // exists and is empty
};

enum class DiskKind { real, simulated };
inline constexpr DiskKind disk_kinds[] = {DiskKind::real, DiskKind::simulated};
DiskWorld make_disk_world(DiskKind kind);

// Writes and reads a whole file; asserts that it works.
void put_file(port::Files& files, const std::string& path, std::string_view bytes);
std::string get_file(port::Files& files, const std::string& path);

}  // namespace taskd::support
