#include "io/store/sqlite_copy.hpp"

#include <utility>

namespace taskd::io {

Result<std::unique_ptr<SqliteCopy>> SqliteCopy::begin(SqliteDb& from, const std::string& path,
                                                      const std::string& vfs) {
    auto to = SqliteDb::open(path, vfs, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (!to) return std::unexpected{to.error()};
    if (auto done = to->run("PRAGMA locking_mode = EXCLUSIVE"); !done)
        return std::unexpected{done.error()};
    sqlite3_backup* backup = sqlite3_backup_init(to->handle(), "main", from.handle(), "main");
    if (backup == nullptr)
        return std::unexpected{
            sqlite_error(to->handle(), sqlite3_errcode(to->handle()), "copy to " + path)};
    return std::unique_ptr<SqliteCopy>{new SqliteCopy{std::move(*to), backup, path}};
}

SqliteCopy::~SqliteCopy() {
    sqlite3_backup_finish(backup_);
}

Result<bool> SqliteCopy::step(int pages) {
    int code = sqlite3_backup_step(backup_, pages);
    if (code == SQLITE_OK) return false;
    if (code == SQLITE_DONE) code = sqlite3_backup_finish(std::exchange(backup_, nullptr));
    if (code != SQLITE_OK)
        return std::unexpected{sqlite_error(to_.handle(), code, "copy to " + path_)};
    if (auto done = to_.run("PRAGMA journal_mode = DELETE"); !done)
        return std::unexpected{done.error()};
    return true;
}

}  // namespace taskd::io
