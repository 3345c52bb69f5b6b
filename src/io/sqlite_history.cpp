#include "taskd/io/sqlite_history.hpp"

#include <filesystem>

#include "io/store/sqlite_db.hpp"
#include "taskd/protocol/value_json.hpp"

namespace taskd::io {
namespace {

constexpr std::int64_t format = 1;
constexpr int busy_ms = 5'000;  // somebody else writes

// A change without a kind took the entry away.
constexpr const char* schema = R"sql(
CREATE TABLE IF NOT EXISTS versions(
    number INTEGER PRIMARY KEY, at INTEGER NOT NULL, note TEXT NOT NULL, changes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS changes(
    id TEXT NOT NULL, version INTEGER NOT NULL, kind TEXT, body TEXT,
    PRIMARY KEY(id, version)) WITHOUT ROWID;
PRAGMA user_version = 1;
)sql";

class SqliteHistory final : public port::History {
  public:
    explicit SqliteHistory(SqliteDb db) : db_{std::move(db)} {}

    Result<void> prepare(bool read_only) {
        sqlite3_busy_timeout(db_.handle(), busy_ms);
        const auto version = db_.number("PRAGMA user_version");
        if (!version) return std::unexpected{version.error()};
        if (*version > format)
            return fail(ErrorCode::store_too_new,
                        "the registry has format " + std::to_string(*version));
        if (read_only)  // whoever makes it has not finished
            return *version == format ? Result<void>{} : fail(ErrorCode::file_missing, "no tables");
        if (auto done = db_.run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"); !done)
            return done;
        return *version == format ? Result<void>{} : db_.run(schema);
    }

    Result<port::RegistryVersion> append(std::uint64_t base, WallTime at, const std::string& note,
                                         const std::vector<port::EntryChange>& changes) override {
        if (auto begun = db_.run("BEGIN IMMEDIATE"); !begun) return fail(std::move(begun));
        port::RegistryVersion version{base + 1, at, note, changes.size()};
        auto done = write(version, changes);
        if (done) done = db_.run("COMMIT");
        if (done) return version;
        static_cast<void>(db_.run("ROLLBACK"));
        return fail(std::move(done));
    }

    Result<std::uint64_t> newest() override {
        const auto number = db_.number("SELECT coalesce(max(number), 0) FROM versions");
        if (!number) return std::unexpected{number.error()};
        return static_cast<std::uint64_t>(*number);
    }

    Result<std::vector<port::RegistryVersion>> list(std::uint64_t before,
                                                    std::size_t most) override {
        auto rows = db_.prepare(
            "SELECT number, at, note, changes FROM versions "
            "WHERE ?1 = 0 OR number < ?1 ORDER BY number DESC LIMIT ?2");
        if (!rows) return std::unexpected{rows.error()};
        rows->bind(1, before).bind(2, std::uint64_t{most});
        std::vector<port::RegistryVersion> versions;
        for (;;) {
            const auto row = rows->step();
            if (!row) return std::unexpected{row.error()};
            if (!*row) return versions;
            versions.push_back({static_cast<std::uint64_t>(rows->number(0)),
                                WallTime{Duration{rows->number(1)}}, std::string{rows->bytes(2)},
                                static_cast<std::uint64_t>(rows->number(3))});
        }
    }

    Result<std::vector<Entry>> read(std::uint64_t version) override {
        const auto last = newest();
        if (!last) return std::unexpected{last.error()};
        if (version > *last)
            return fail(ErrorCode::version_not_found,
                        std::to_string(version) + ", the newest is " + std::to_string(*last));
        auto rows = db_.prepare(
            "SELECT id, kind, body FROM changes AS c WHERE kind IS NOT NULL AND version = "
            "(SELECT max(version) FROM changes WHERE id = c.id AND version <= ?1) ORDER BY id");
        if (!rows) return std::unexpected{rows.error()};
        rows->bind(1, version);
        std::vector<Entry> entries;
        for (;;) {
            const auto row = rows->step();
            if (!row) return std::unexpected{row.error()};
            if (!*row) return entries;
            auto body = protocol::read_json_value(rows->bytes(2));
            if (!body) return fail(ErrorCode::view_corrupt, body.error().to_string());
            entries.push_back(
                {std::string{rows->bytes(0)}, std::string{rows->bytes(1)}, std::move(*body)});
        }
    }

  private:
    Result<void> write(const port::RegistryVersion& version,
                       const std::vector<port::EntryChange>& changes) {
        const auto last = newest();
        if (!last) return std::unexpected{last.error()};
        if (*last + 1 != version.number)
            return fail(ErrorCode::registry_moved,
                        "the newest version is " + std::to_string(*last));
        auto put = db_.prepare("INSERT INTO versions VALUES(?1, ?2, ?3, ?4)");
        if (!put) return std::unexpected{put.error()};
        put->bind(1, version.number).bind(2, version.at.time_since_epoch().count());
        put->bind_text(3, version.note).bind(4, version.changes);
        if (auto done = put->run(); !done) return done;
        auto change = db_.prepare("INSERT INTO changes VALUES(?1, ?2, ?3, ?4)");
        if (!change) return std::unexpected{change.error()};
        for (const port::EntryChange& each : changes) {
            change->bind_text(1, each.id).bind(2, version.number).bind_null(3).bind_null(4);
            std::string body;
            if (each.after) {
                body = protocol::write_json_value(each.after->body);
                change->bind_text(3, each.after->kind).bind_text(4, body);
            }
            if (auto done = change->run(); !done) return done;
        }
        return {};
    }

    SqliteDb db_;
};

Result<std::unique_ptr<port::History>> open(const std::string& path, bool read_only) {
    auto db = SqliteDb::open(
        path, {}, read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (!db) return std::unexpected{db.error()};
    auto history = std::make_unique<SqliteHistory>(std::move(*db));
    if (auto prepared = history->prepare(read_only); !prepared) return fail(std::move(prepared));
    return history;
}

}  // namespace

Result<std::unique_ptr<port::History>> open_history(const std::string& path) {
    return open(path, false);
}

Result<std::unique_ptr<port::History>> read_history(const std::string& path) {
    std::error_code error;
    if (!std::filesystem::exists(path, error))
        return fail(ErrorCode::file_missing, "there is no " + path);
    return open(path, true);
}

}  // namespace taskd::io
