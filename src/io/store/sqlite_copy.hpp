// A database copied into a file of its own, some pages at a time. What its connection writes
// meanwhile is in the copy; nobody else may write.
#pragma once

#include <memory>
#include <string>

#include "io/store/sqlite_db.hpp"

namespace taskd::io {

class SqliteCopy {
  public:
    static Result<std::unique_ptr<SqliteCopy>> begin(SqliteDb& from, const std::string& path,
                                                     const std::string& vfs);
    ~SqliteCopy();
    SqliteCopy(const SqliteCopy&) = delete;
    SqliteCopy& operator=(const SqliteCopy&) = delete;

    // True when the copy is whole, and at rest: one file without a log. All pages for -1.
    Result<bool> step(int pages);
    const std::string& path() const { return path_; }
    SqliteDb& db() { return to_; }  // of a whole copy

  private:
    SqliteCopy(SqliteDb to, sqlite3_backup* backup, std::string path)
        : to_{std::move(to)}, backup_{backup}, path_{std::move(path)} {}

    SqliteDb to_;
    sqlite3_backup* backup_;
    std::string path_;
};

}  // namespace taskd::io
