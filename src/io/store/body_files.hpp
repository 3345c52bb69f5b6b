// Long bodies of tasks, each in a file of its own that is named by its SHA-256: DIR/xx/NAME, xx
// being the name's first two digits. Equal bodies share a file, and no file is ever changed.
// Whether one is still needed is for the view's rows to say. One thread at a time.
#pragma once

#include <bitset>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "io/store/hashed_folders.hpp"
#include "taskd/port/files.hpp"

namespace taskd::io {

class BodyFiles {
  public:
    BodyFiles(port::Files& files, std::string dir) : files_{files}, dir_{std::move(dir)} {}

    static std::string name_of(std::string_view body);  // 64 digits of base 16
    static bool is_name(std::string_view text);
    // As it stands below the folder.
    static std::string place_of(std::string_view name);
    std::string path_of(std::string_view name) const { return dir_ + "/" + place_of(name); }

    // Whole under its name or not at all; durable after sync_folders(). After disk_full nothing of
    // it is left, as far as the disk lets go of it.
    Result<void> write(const std::string& name, std::string_view body);
    Result<void> sync_folders();
    // view_corrupt with the path when it is missing or not what its name says.
    Result<std::string> read(std::string_view name);
    // Whether this is what is in the file; several times faster than a name is found. Not, when the
    // file cannot be read.
    bool holds(const std::string& name, std::string_view body);
    void remove(const std::string& name);

    // What `is_needed` denies goes, and what was never finished; how many.
    Result<std::uint64_t> sweep(const std::function<Result<bool>(const std::string&)>& is_needed);

  private:
    Result<void> write_file(const std::string& path, std::string_view body);

    port::Files& files_;
    std::string dir_;
    std::bitset<hashed_folders> made_;
    std::set<std::string> unsynced_;  // folders
};

}  // namespace taskd::io
