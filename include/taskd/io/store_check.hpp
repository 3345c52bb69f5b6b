// Verifies a data directory without changing it: every frame of the journal, the view's pages and
// rows, the files that these name, and that journal and view belong together.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "taskd/base/error.hpp"
#include "taskd/base/ids.hpp"
#include "taskd/port/files.hpp"

namespace taskd::io {

struct StoreReport {
    std::uint64_t store_id = 0;

    std::uint64_t segments = 0;  // also those filled ahead
    std::uint64_t frames = 0;
    std::uint64_t records = 0;
    Sequence first;  // of the journal; 0 when it is empty
    Sequence last;
    bool torn = false;  // the last write was cut short: not a fault, recovery cuts it off

    bool view_found = false;
    Sequence view_at;  // the view's mark
    std::uint64_t tasks = 0;
    std::uint64_t live = 0;
    std::uint64_t bodies = 0;  // that lie beside the view, and whose hash is right
    std::uint64_t body_bytes = 0;
    std::uint64_t log_bytes = 0;  // of a backup: what tasks printed

    std::vector<Error> findings;  // empty: all is well

    bool sound() const { return findings.empty(); }
};

// Fails only when nothing can be checked: file_missing when `dir` is no store, store_locked while
// it is in use, store_damaged, store_too_new. `vfs` is SQLite's name of the layer over `files`;
// empty for its own.
Result<StoreReport> check_store(port::Files& files, const std::string& dir,
                                const std::string& vfs = {});

}  // namespace taskd::io
