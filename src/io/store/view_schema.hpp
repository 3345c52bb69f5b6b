// Tables and version of the view's file; used by the view itself and by the check of a store.
#pragma once

#include <cstdint>

#include "io/store/sqlite_db.hpp"

namespace taskd::io {

inline constexpr std::int64_t view_version = 7;

// Makes the tables in an empty file, or sees that they are ours and of this store: store_too_new,
// store_mismatch, view_corrupt.
Result<void> open_schema(SqliteDb& db, std::uint64_t store_id);
// The second half alone.
Result<void> check_schema(SqliteDb& db, std::uint64_t store_id);

}  // namespace taskd::io
