// SQLite's C interface as values: a connection, a prepared statement, errors of our table.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "taskd/base/result.hpp"

namespace taskd::io {

// disk_full, view_corrupt, store_locked or io_failed, with SQLite's own words.
Error sqlite_error(sqlite3* db, int code, std::string_view what);

// Bound values must outlive the next reset(). One user at a time.
class SqliteStatement {
  public:
    SqliteStatement() = default;

    SqliteStatement& bind(int place, std::int64_t value);
    SqliteStatement& bind(int place, std::uint64_t value) {
        return bind(place, static_cast<std::int64_t>(value));
    }
    SqliteStatement& bind_blob(int place, std::string_view bytes);
    SqliteStatement& bind_text(int place, std::string_view text);
    SqliteStatement& bind_null(int place);

    // True when there is a row. At the end, and after an error, the statement is reset.
    Result<bool> step();
    Result<void> run();  // a statement without rows
    void reset();

    std::int64_t number(int column) const;
    std::string_view bytes(int column) const;  // until the next step
    bool is_null(int column) const;
    bool is_text(int column) const;
    int columns() const;

  private:
    friend class SqliteDb;
    struct Finalize {
        void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
    };
    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class SqliteDb {
  public:
    static Result<SqliteDb> open(const std::string& path, const std::string& vfs, int flags);

    Result<SqliteStatement> prepare(std::string_view sql);
    Result<void> run(const char* sql);
    Result<std::int64_t> number(std::string_view sql);  // the one value it answers
    sqlite3* handle() const { return db_.get(); }

  private:
    struct Close {
        void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
    };
    std::unique_ptr<sqlite3, Close> db_;
};

}  // namespace taskd::io
