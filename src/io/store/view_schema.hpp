// Tables and version of the view's file; used by the view itself and by the check of a store.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "io/store/sqlite_db.hpp"

namespace taskd::io {

inline constexpr std::int64_t view_version = 9;

// Makes the tables in an empty file, or sees that they are ours and of this store: store_too_new,
// store_mismatch, view_corrupt.
Result<void> open_schema(SqliteDb& db, std::uint64_t store_id);
// What is to be done with a file of an earlier version, in order.
std::vector<std::string_view> upgrade_steps(std::int64_t version);
// Whether it is a view's file at all, and of no newer version.
Result<void> check_kind(SqliteDb& db);
// The same, and of this store.
Result<void> check_schema(SqliteDb& db, std::uint64_t store_id);

}  // namespace taskd::io
