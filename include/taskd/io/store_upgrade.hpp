// What a data directory of an earlier version needs to be one of this version. A start does it by
// itself; here it is told first, or done without a start.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "taskd/io/store_dir.hpp"

namespace taskd::io {

struct StoreVersions {
    std::uint64_t store_id = 0;
    std::uint64_t format = 0;  // of the directory
    bool view_found = false;
    std::int64_t view = 0;                // of the view's tables
    std::int64_t view_newest = 0;         // of this program
    std::vector<std::string_view> steps;  // what is to be done, in order

    bool is_newest() const { return !view_found || view == view_newest; }
};

// Changes nothing. file_missing when `dir` is no store, store_locked while it is in use,
// store_too_new, view_corrupt.
Result<StoreVersions> read_versions(port::Files& files, const std::string& dir,
                                    const std::string& vfs = {});

// Does the steps, all or none of them; answers what it found before.
Result<StoreVersions> upgrade_store(port::Files& files, const std::string& dir,
                                    const std::string& vfs = {});

}  // namespace taskd::io
