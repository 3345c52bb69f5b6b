#include "io/store/sqlite_db.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "taskd/base/assert.hpp"

namespace taskd::io {
namespace {

constexpr mode_t file_mode = 0600;

// What is kept is its owner's alone: SQLite would let everybody read a file that it makes. What it
// puts beside the file gets the same mode. Never one that is there: closing it would take away
// locks that this process has on it.
void make_private(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, file_mode);
    if (file >= 0) ::close(file);
}

}  // namespace

Error sqlite_error(sqlite3* db, int code, std::string_view what) {
    const int extended = db == nullptr ? code : sqlite3_extended_errcode(db);
    std::string detail{what};
    detail += ": ";
    detail += db == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db);
    detail += " (" + std::to_string(extended) + ")";
    ErrorCode ours = ErrorCode::io_failed;
    switch (code & 0xff) {
        case SQLITE_FULL:
            ours = ErrorCode::disk_full;
            break;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            ours = ErrorCode::view_corrupt;
            break;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            ours = ErrorCode::store_locked;
            break;
        default:
            break;
    }
    return {ours, std::move(detail)};
}

SqliteStatement& SqliteStatement::bind(int place, std::int64_t value) {
    TASKD_ASSERT(sqlite3_bind_int64(statement_.get(), place, value) == SQLITE_OK);
    return *this;
}

SqliteStatement& SqliteStatement::bind_blob(int place, std::string_view bytes) {
    // An empty view may have no address, which SQLite would take for NULL.
    const char* data = bytes.empty() ? "" : bytes.data();
    TASKD_ASSERT(sqlite3_bind_blob64(statement_.get(), place, data, bytes.size(), SQLITE_STATIC) ==
                 SQLITE_OK);
    return *this;
}

SqliteStatement& SqliteStatement::bind_text(int place, std::string_view text) {
    const char* data = text.empty() ? "" : text.data();
    TASKD_ASSERT(sqlite3_bind_text64(statement_.get(), place, data, text.size(), SQLITE_STATIC,
                                     SQLITE_UTF8) == SQLITE_OK);
    return *this;
}

SqliteStatement& SqliteStatement::bind_null(int place) {
    TASKD_ASSERT(sqlite3_bind_null(statement_.get(), place) == SQLITE_OK);
    return *this;
}

Result<bool> SqliteStatement::step() {
    const int code = sqlite3_step(statement_.get());
    if (code == SQLITE_ROW) return true;
    sqlite3* db = sqlite3_db_handle(statement_.get());
    if (code == SQLITE_DONE) {
        reset();
        return false;
    }
    Error error = sqlite_error(db, code, sqlite3_sql(statement_.get()));
    reset();
    return std::unexpected{std::move(error)};
}

Result<void> SqliteStatement::run() {
    const auto row = step();
    if (!row) return std::unexpected{row.error()};
    if (*row) reset();
    return {};
}

void SqliteStatement::reset() {
    sqlite3_reset(statement_.get());
}

std::int64_t SqliteStatement::number(int column) const {
    return sqlite3_column_int64(statement_.get(), column);
}

std::string_view SqliteStatement::bytes(int column) const {
    const void* data = sqlite3_column_blob(statement_.get(), column);
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
    return {static_cast<const char*>(data), data == nullptr ? 0 : size};
}

bool SqliteStatement::is_null(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

bool SqliteStatement::is_text(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_TEXT;
}

int SqliteStatement::columns() const {
    return sqlite3_column_count(statement_.get());
}

Result<SqliteDb> SqliteDb::open(const std::string& path, const std::string& vfs, int flags) {
    if (vfs.empty() && (flags & SQLITE_OPEN_CREATE) != 0) make_private(path);
    sqlite3* handle = nullptr;
    const int code = sqlite3_open_v2(path.c_str(), &handle, flags | SQLITE_OPEN_NOMUTEX,
                                     vfs.empty() ? nullptr : vfs.c_str());
    SqliteDb db;
    db.db_.reset(handle);
    if (code != SQLITE_OK) return std::unexpected{sqlite_error(handle, code, "open " + path)};
    sqlite3_extended_result_codes(handle, 1);
    return db;
}

Result<SqliteStatement> SqliteDb::prepare(std::string_view sql) {
    sqlite3_stmt* made = nullptr;
    const int code = sqlite3_prepare_v3(handle(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &made, nullptr);
    SqliteStatement statement;
    statement.statement_.reset(made);
    if (code != SQLITE_OK) return std::unexpected{sqlite_error(handle(), code, sql)};
    return statement;
}

Result<void> SqliteDb::run(const char* sql) {
    const int code = sqlite3_exec(handle(), sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return std::unexpected{sqlite_error(handle(), code, sql)};
    return {};
}

Result<std::int64_t> SqliteDb::number(std::string_view sql) {
    auto statement = prepare(sql);
    if (!statement) return std::unexpected{statement.error()};
    const auto row = statement->step();
    if (!row) return std::unexpected{row.error()};
    if (!*row) return fail(ErrorCode::view_corrupt, std::string{sql} + ": no answer");
    return statement->number(0);
}

}  // namespace taskd::io
