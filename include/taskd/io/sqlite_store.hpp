// A small store of rows in a SQLite file, for services that keep a few tables of their own. What a
// transaction wrote is synced when it returns. Blocking, one thread at a time; several processes
// may share a file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "taskd/base/result.hpp"

namespace taskd::io {

using SqlValue = std::variant<std::monostate, std::int64_t, std::string>;

class SqlRow {
  public:
    explicit SqlRow(std::vector<SqlValue> values) : values_{std::move(values)} {}
    // By column; what is NULL or of the other kind is 0 or empty.
    std::int64_t number(std::size_t column) const;
    const std::string& text(std::size_t column) const;
    bool is_null(std::size_t column) const;

  private:
    std::vector<SqlValue> values_;
};

class SqliteStore {
  public:
    // Makes file and folder when they are missing. `formats[n]` is the SQL that leads from format n
    // to n + 1; store_too_new for a file beyond the last. Else as SQLite says: view_corrupt,
    // store_locked, disk_full, io_failed.
    static Result<std::unique_ptr<SqliteStore>> open(const std::string& path,
                                                     std::span<const char* const> formats);
    ~SqliteStore();
    SqliteStore(const SqliteStore&) = delete;
    SqliteStore& operator=(const SqliteStore&) = delete;

    Result<std::vector<SqlRow>> rows(std::string_view sql,
                                     const std::vector<SqlValue>& values = {});
    // How many rows it changed.
    Result<std::int64_t> run(std::string_view sql, const std::vector<SqlValue>& values = {});
    // All that `work` does, or nothing when it answers an error.
    Result<void> transaction(const std::function<Result<void>()>& work);

  private:
    struct Impl;
    explicit SqliteStore(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace taskd::io
