#include "taskd/io/store_upgrade.hpp"

#include "io/store/sqlite_db.hpp"
#include "io/store/view_schema.hpp"
#include "taskd/io/sqlite_view.hpp"

namespace taskd::io {
namespace {

Result<StoreVersions> versions_of(port::Files& files, const Store& store, const std::string& vfs) {
    StoreVersions found{.store_id = store.id, .format = store.format, .view_newest = view_version};
    const auto file = files.open(store.paths.view, port::OpenMode::read);
    if (!file && file.error().code == ErrorCode::file_missing) return found;
    if (!file) return std::unexpected{file.error()};
    found.view_found = true;
    auto db = SqliteDb::open(store.paths.view, vfs, SQLITE_OPEN_READWRITE);
    if (!db) return std::unexpected{db.error()};
    sqlite3_db_config(db->handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    auto done = db->run("PRAGMA locking_mode = EXCLUSIVE");
    if (done) done = db->run("PRAGMA query_only = ON");
    if (done) done = check_schema(*db, store.id);
    if (!done) return std::unexpected{done.error()};
    const auto version = db->number("PRAGMA user_version");
    if (!version) return std::unexpected{version.error()};
    found.view = *version;
    found.steps = upgrade_steps(found.view);
    return found;
}

}  // namespace

Result<StoreVersions> read_versions(port::Files& files, const std::string& dir,
                                    const std::string& vfs) {
    const auto store = open_existing_store(files, dir);
    if (!store) return std::unexpected{store.error()};
    return versions_of(files, *store, vfs);
}

Result<StoreVersions> upgrade_store(port::Files& files, const std::string& dir,
                                    const std::string& vfs) {
    const auto store = open_existing_store(files, dir);
    if (!store) return std::unexpected{store.error()};
    auto found = versions_of(files, *store, vfs);
    if (!found || found->is_newest()) return found;
    const auto view = SqliteView::open(
        {.path = store->paths.view, .store_id = store->id, .vfs = vfs, .files = &files});
    if (!view) return std::unexpected{view.error()};
    return found;
}

}  // namespace taskd::io
