#include "io/store/beside.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "io/store/view_bodies.hpp"
#include "taskd/base/limits.hpp"

namespace taskd::io {
namespace {

constexpr char table[] =
    "CREATE TABLE IF NOT EXISTS beside (name TEXT PRIMARY KEY, bytes BLOB NOT NULL)";

enum Part : int { payloads, results, logs, endpoints, done };

Result<std::string> read_whole(port::File& file) {
    const auto size = file.size();
    if (!size) return std::unexpected{size.error()};
    std::string bytes(*size, '\0');
    const auto count = file.read(0, bytes);
    if (!count) return std::unexpected{count.error()};
    bytes.resize(*count);
    return bytes;
}

Result<SqliteDb> open_file(const std::string& path, const std::string& vfs, int flags) {
    auto db = SqliteDb::open(path, vfs, flags);
    if (!db) return db;
    auto set = db->run("PRAGMA locking_mode = EXCLUSIVE");
    if (!set) return std::unexpected{set.error()};
    return db;
}

}  // namespace

std::string body_row_name(std::string_view name) {
    return fmt::format("{}/{}", bodies_folder, BodyFiles::place_of(name));
}

BesideCopy::BesideCopy(port::Files& files, BesideSource source)
    : files_{files}, source_{std::move(source)}, bodies_{files, source_.bodies} {}

Result<void> BesideCopy::begin(SqliteDb& to) {
    to_ = &to;
    // A copy that is cut short is thrown away, and a whole one is synced by who wanted it. Without
    // a journal the one that stands there already would stay behind.
    if (auto set = to.run("PRAGMA synchronous = OFF"); !set) return set;
    const std::pair<SqliteStatement*, std::string_view> wanted[] = {
        {&payloads_,
         "SELECT payload FROM " TASKD_NAMED_PAYLOAD " AND payload > ?1 ORDER BY payload LIMIT 1"},
        {&results_,
         "SELECT result FROM " TASKD_NAMED_RESULT " AND result > ?1 ORDER BY result LIMIT 1"},
        {&task_, "SELECT 1 FROM tasks WHERE id = ?1"},
    };
    for (const auto& [statement, sql] : wanted) {
        auto prepared = to.prepare(sql);
        if (!prepared) return std::unexpected{prepared.error()};
        *statement = std::move(*prepared);
    }
    if (source_.logs.empty()) folder_ = hashed_folders;
    return {};
}

Result<bool> BesideCopy::step(std::size_t bytes_max) {
    if (auto begun = to_->run("BEGIN"); !begun) return std::unexpected{begun.error()};
    auto whole = run_step(bytes_max);
    if (!whole) return whole;
    if (auto ended = to_->run("COMMIT"); !ended) return std::unexpected{ended.error()};
    return whole;
}

Result<bool> BesideCopy::run_step(std::size_t bytes_max) {
    const std::uint64_t enough = bytes_ + bytes_max;
    while (part_ != done && bytes_ < enough) {
        const auto more = next();
        if (!more) return more;
        if (*more) continue;
        ++part_;
        after_.clear();
    }
    return part_ == done;
}

// False behind the last of a part.
Result<bool> BesideCopy::next() {
    if (part_ == payloads) return next(payloads_);
    if (part_ == results) return next(results_);
    if (part_ == logs) return next_log();
    if (auto stored = put_file(std::string{endpoints_file}, source_.endpoints); !stored)
        return std::unexpected{stored.error()};
    return false;
}

Result<bool> BesideCopy::next(SqliteStatement& names) {
    const auto row = names.bind_text(1, after_).step();
    if (!row || !*row) return row;
    std::string name{names.bytes(0)};
    names.reset();
    after_ = name;
    const auto body = bodies_.read(name);
    if (!body) return std::unexpected{body.error()};
    if (auto stored = put(body_row_name(name), *body); !stored)
        return std::unexpected{stored.error()};
    return true;
}

// What a task prints while it is copied is in it or not; who reads it knows torn ends.
Result<bool> BesideCopy::next_log() {
    while (log_names_.empty()) {
        if (folder_ == hashed_folders) return false;
        auto names = files_.list(source_.logs + "/" + hashed_folder_name(folder_++));
        if (!names && names.error().code != ErrorCode::file_missing)
            return std::unexpected{names.error()};
        if (names) log_names_ = std::move(*names);
    }
    const std::string name = std::move(log_names_.back());
    log_names_.pop_back();
    if (auto stored = put_log(hashed_folder_name(folder_ - 1), name); !stored)
        return std::unexpected{stored.error()};
    return true;
}

// Of tasks that are in the copy.
Result<void> BesideCopy::put_log(const std::string& folder, const std::string& name) {
    const auto id = TaskId::parse(std::string_view{name}.substr(0, name.find('.')));
    if (!id) return {};
    const auto row = task_.bind_blob(1, id->bytes()).step();
    if (!row) return std::unexpected{row.error()};
    if (!*row) return {};
    task_.reset();
    const auto stored = put_file(fmt::format("{}/{}/{}", logs_folder, folder, name),
                                 fmt::format("{}/{}/{}", source_.logs, folder, name));
    if (!stored) return std::unexpected{stored.error()};
    log_bytes_ += *stored;
    return {};
}

// How many bytes; none of a file that is not there.
Result<std::uint64_t> BesideCopy::put_file(const std::string& name, const std::string& path) {
    const auto file = files_.open(path, port::OpenMode::read);
    if (!file && file.error().code == ErrorCode::file_missing) return 0;
    if (!file) return std::unexpected{file.error()};
    const auto bytes = read_whole(**file);
    if (!bytes) return std::unexpected{bytes.error()};
    if (auto stored = put(name, *bytes); !stored) return std::unexpected{stored.error()};
    return bytes->size();
}

Result<void> BesideCopy::put(const std::string& name, std::string_view bytes) {
    if (bytes_ == 0) {
        if (auto made = to_->run(table); !made) return made;
        auto prepared = to_->prepare("INSERT OR IGNORE INTO beside (name, bytes) VALUES (?1, ?2)");
        if (!prepared) return std::unexpected{prepared.error()};
        put_ = std::move(*prepared);
    }
    bytes_ += bytes.size() + 1;
    return put_.bind_text(1, name).bind_blob(2, bytes).run();
}

Result<bool> has_beside(SqliteDb& backup) {
    const auto found = backup.number(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'beside'");
    if (!found) return std::unexpected{found.error()};
    return *found != 0;
}

Result<void> each_beside(
    SqliteDb& backup,
    const std::function<Result<void>(const std::string& name, std::string_view bytes)>& take) {
    auto rows = backup.prepare("SELECT name, bytes FROM beside ORDER BY name");
    if (!rows) return std::unexpected{rows.error()};
    for (;;) {
        const auto row = rows->step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) return {};
        if (auto taken = take(std::string{rows->bytes(0)}, rows->bytes(1)); !taken) return taken;
    }
}

bool is_beside_name(std::string_view name) {
    const auto fits = [&](std::string_view folder) {
        constexpr std::size_t place = 4;  // "/xx/"
        if (!name.starts_with(folder) || name.size() <= folder.size() + place) return false;
        const std::string_view rest = name.substr(folder.size());
        const std::string_view last = rest.substr(place);
        return rest[0] == '/' && rest[3] == '/' && last[0] != '.' &&
               std::ranges::all_of(
                   rest.substr(1, 2),
                   [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }) &&
               !last.contains('/') && !last.contains('\0');
    };
    return fits(bodies_folder) || fits(logs_folder) || name == endpoints_file;
}

Result<void> copy_tables(const std::string& from, const std::string& to, const std::string& vfs) {
    auto db = open_file(to, vfs, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (!db) return std::unexpected{db.error()};
    // Cut short it is made anew.
    auto ran = db->run("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF");
    if (!ran) return ran;
    auto attach = db->prepare("ATTACH ?1 AS source");
    if (!attach) return std::unexpected{attach.error()};
    if (ran = attach->bind_text(1, from).run(); !ran) return ran;
    std::vector<std::pair<std::string, std::string>> tables;
    std::vector<std::string> indexes;
    {
        auto rows = db->prepare(
            "SELECT type, name, sql FROM source.sqlite_schema WHERE sql IS NOT NULL AND"
            " tbl_name <> 'beside' AND type IN ('table', 'index')");
        if (!rows) return std::unexpected{rows.error()};
        for (;;) {
            const auto row = rows->step();
            if (!row) return std::unexpected{row.error()};
            if (!*row) break;
            if (rows->bytes(0) == "table")
                tables.emplace_back(rows->bytes(1), rows->bytes(2));
            else
                indexes.emplace_back(rows->bytes(2));
        }
    }
    ran = db->run("BEGIN");
    for (const auto& [name, sql] : tables) {
        if (ran) ran = db->run(sql.c_str());
        if (ran)
            ran = db->run(
                fmt::format("INSERT INTO main.\"{0}\" SELECT * FROM source.\"{0}\"", name).c_str());
    }
    for (const std::string& sql : indexes)
        if (ran) ran = db->run(sql.c_str());
    for (const char* each : {"application_id", "user_version"}) {
        if (!ran) return ran;
        const auto value = db->number(fmt::format("PRAGMA source.{}", each));
        if (!value) return std::unexpected{value.error()};
        ran = db->run(fmt::format("PRAGMA main.{} = {}", each, *value).c_str());
    }
    if (ran) ran = db->run("COMMIT");
    return ran;
}

Result<void> write_beside(port::Files& files, const std::string& from, const std::string& dir,
                          const std::string& vfs) {
    auto db = open_file(from, vfs, SQLITE_OPEN_READWRITE);
    if (!db) return std::unexpected{db.error()};
    if (auto set = db->run("PRAGMA query_only = ON"); !set) return set;
    std::set<std::string> folders;
    auto ran =
        each_beside(*db, [&](const std::string& name, std::string_view bytes) -> Result<void> {
            const std::string path = dir + "/" + name;
            const std::string folder = path.substr(0, path.find_last_of('/'));
            if (folders.insert(folder).second)
                if (auto made = files.make_dir(folder); !made) return made;
            const auto file = files.open(path, port::OpenMode::create);
            if (!file) return std::unexpected{file.error()};
            auto written = (*file)->truncate(0);
            if (written) written = (*file)->write(0, bytes);
            if (written) written = (*file)->sync();
            return written;
        });
    for (const std::string& folder : folders)
        if (ran) ran = files.sync_dir(folder);
    return ran;
}

Result<void> clear_beside(port::Files& files, const std::string& dir) {
    for (const std::string_view kind : {bodies_folder, logs_folder})
        for (std::size_t number = 0; number < hashed_folders; ++number) {
            const std::string folder =
                fmt::format("{}/{}/{}", dir, kind, hashed_folder_name(number));
            const auto names = files.list(folder);
            if (!names && names.error().code == ErrorCode::file_missing) continue;
            if (!names) return std::unexpected{names.error()};
            for (const std::string& name : *names)
                if (auto gone = files.remove(folder + "/" + name); !gone) return gone;
        }
    return files.remove(fmt::format("{}/{}", dir, endpoints_file));
}

}  // namespace taskd::io
