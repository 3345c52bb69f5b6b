#include "taskd/io/key_stores.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "io/store/sqlite_db.hpp"

namespace taskd::io {
namespace {

constexpr std::int64_t format = 1;
constexpr int busy_ms = 5'000;  // somebody else writes
constexpr mode_t dir_mode = 0700;
constexpr std::uint64_t sweep_keys = 100;  // expired ones that a change takes with it

// `counts` has one row: the newest version, and the bytes of all rows.
constexpr const char* schema = R"sql(
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS kept(
    key TEXT PRIMARY KEY, version INTEGER NOT NULL, expires_at INTEGER, value BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS kept_by_end ON kept(expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS counts(version INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO counts SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM counts);
PRAGMA user_version = 1;
COMMIT;
)sql";

std::optional<WallTime> time_of(const SqliteStatement& row, int column) {
    if (row.is_null(column)) return std::nullopt;
    return WallTime{Duration{row.number(column)}};
}

class SqliteKeyStore final : public port::KeyStore {
  public:
    SqliteKeyStore(SqliteDb db, const KeyStoreSettings& settings, const port::Clock& clock)
        : settings_{settings}, clock_{clock}, db_{std::move(db)} {}

    Result<void> prepare();

    Result<std::optional<port::KeptValue>> get(std::string_view key) override;
    Result<std::uint64_t> put(std::string_view key, std::string_view value,
                              const port::PutOptions& options) override {
        return write(key, std::nullopt, value, options);
    }
    Result<std::uint64_t> compare_and_set(std::string_view key, std::uint64_t expected,
                                          std::string_view value,
                                          const port::PutOptions& options) override {
        return write(key, expected, value, options);
    }
    Result<bool> remove(std::string_view key) override;
    Result<std::vector<port::KeptKey>> list(const port::KeyQuery& query) override;
    Result<port::KeyStoreStats> stats() override;

  private:
    struct Counts {
        std::uint64_t version = 0;
        std::uint64_t bytes = 0;
    };
    struct Row {
        std::uint64_t version = 0;  // 0: there is none, or its time is over
        std::uint64_t bytes = 0;    // also of one whose time is over
    };
    // What `change` does is one transaction, or nothing.
    template <class Change>
    auto transact(Change change) -> decltype(change());

    std::int64_t now() const { return clock_.wall().time_since_epoch().count(); }
    static Result<void> check_key(std::string_view key);
    Result<std::uint64_t> write(std::string_view key, std::optional<std::uint64_t> expected,
                                std::string_view value, const port::PutOptions& options);
    Result<std::uint64_t> put_row(std::string_view key, const Row& before, std::string_view value,
                                  const port::PutOptions& options);
    Result<Row> find_row(std::string_view key);
    Result<Counts> counts();
    Result<void> set_counts(const Counts& counts);
    // Takes rows away whose time is over, at most so many; answers their bytes.
    Result<std::uint64_t> sweep(std::uint64_t most);

    const KeyStoreSettings settings_;
    const port::Clock& clock_;
    std::mutex mutex_;
    SqliteDb db_;
};

Result<void> SqliteKeyStore::prepare() {
    sqlite3_busy_timeout(db_.handle(), busy_ms);
    const auto version = db_.number("PRAGMA user_version");
    if (!version) return std::unexpected{version.error()};
    if (*version > format)
        return fail(ErrorCode::store_too_new, "the store has format " + std::to_string(*version));
    if (auto done = db_.run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"); !done) return done;
    return *version == format ? Result<void>{} : db_.run(schema);
}

Result<void> SqliteKeyStore::check_key(std::string_view key) {
    if (!key.empty() && key.size() <= limits::key_bytes_max) return {};
    return fail(ErrorCode::invalid_field,
                "a key has 1 to " + std::to_string(limits::key_bytes_max) + " bytes");
}

template <class Change>
auto SqliteKeyStore::transact(Change change) -> decltype(change()) {
    if (auto begun = db_.run("BEGIN IMMEDIATE"); !begun) return std::unexpected{begun.error()};
    auto done = change();
    if (done) {
        auto committed = db_.run("COMMIT");
        if (committed) return done;
        done = std::unexpected{committed.error()};
    }
    static_cast<void>(db_.run("ROLLBACK"));
    return done;
}

// ---- reading

Result<std::optional<port::KeptValue>> SqliteKeyStore::get(std::string_view key) {
    if (auto valid = check_key(key); !valid) return std::unexpected{valid.error()};
    const std::lock_guard held{mutex_};
    auto row = db_.prepare(
        "SELECT value, version, expires_at FROM kept "
        "WHERE key = ?1 AND (expires_at IS NULL OR expires_at > ?2)");
    if (!row) return std::unexpected{row.error()};
    const auto found = row->bind_text(1, key).bind(2, now()).step();
    if (!found) return std::unexpected{found.error()};
    if (!*found) return std::nullopt;
    return port::KeptValue{std::string{row->bytes(0)}, static_cast<std::uint64_t>(row->number(1)),
                           time_of(*row, 2)};
}

Result<std::vector<port::KeptKey>> SqliteKeyStore::list(const port::KeyQuery& query) {
    const std::lock_guard held{mutex_};
    auto rows = db_.prepare(
        "SELECT key, version, length(value), expires_at FROM kept WHERE key > ?1 AND key >= ?2 "
        "AND (expires_at IS NULL OR expires_at > ?3) ORDER BY key");
    if (!rows) return std::unexpected{rows.error()};
    rows->bind_text(1, query.after).bind_text(2, query.prefix).bind(3, now());
    std::vector<port::KeptKey> keys;
    const std::size_t most = std::min(query.limit, limits::store_page_max);
    while (keys.size() < most) {
        const auto row = rows->step();
        if (!row) return std::unexpected{row.error()};
        if (!*row || !rows->bytes(0).starts_with(query.prefix)) break;
        keys.push_back({std::string{rows->bytes(0)}, static_cast<std::uint64_t>(rows->number(1)),
                        static_cast<std::uint64_t>(rows->number(2)), time_of(*rows, 3)});
    }
    return keys;
}

Result<port::KeyStoreStats> SqliteKeyStore::stats() {
    const std::lock_guard held{mutex_};
    const auto keys = db_.number("SELECT count(*) FROM kept");
    if (!keys) return std::unexpected{keys.error()};
    const auto held_now = counts();
    if (!held_now) return std::unexpected{held_now.error()};
    return port::KeyStoreStats{static_cast<std::uint64_t>(*keys), held_now->bytes};
}

// ---- writing

Result<SqliteKeyStore::Row> SqliteKeyStore::find_row(std::string_view key) {
    auto row = db_.prepare(
        "SELECT version, length(value), expires_at IS NOT NULL AND expires_at <= ?2 "
        "FROM kept WHERE key = ?1");
    if (!row) return std::unexpected{row.error()};
    const auto found = row->bind_text(1, key).bind(2, now()).step();
    if (!found) return std::unexpected{found.error()};
    if (!*found) return Row{};
    const bool is_over = row->number(2) != 0;
    return Row{is_over ? 0 : static_cast<std::uint64_t>(row->number(0)),
               key.size() + static_cast<std::uint64_t>(row->number(1))};
}

Result<SqliteKeyStore::Counts> SqliteKeyStore::counts() {
    auto row = db_.prepare("SELECT version, bytes FROM counts");
    if (!row) return std::unexpected{row.error()};
    const auto found = row->step();
    if (!found) return std::unexpected{found.error()};
    if (!*found) return fail(ErrorCode::view_corrupt, "the store has lost its counts");
    return Counts{static_cast<std::uint64_t>(row->number(0)),
                  static_cast<std::uint64_t>(row->number(1))};
}

Result<void> SqliteKeyStore::set_counts(const Counts& counts) {
    auto change = db_.prepare("UPDATE counts SET version = ?1, bytes = ?2");
    if (!change) return std::unexpected{change.error()};
    return change->bind(1, counts.version).bind(2, counts.bytes).run();
}

Result<std::uint64_t> SqliteKeyStore::sweep(std::uint64_t most) {
    auto gone = db_.prepare(
        "DELETE FROM kept WHERE rowid IN (SELECT rowid FROM kept WHERE expires_at IS NOT NULL "
        "AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2) "
        "RETURNING length(CAST(key AS BLOB)) + length(value)");
    if (!gone) return std::unexpected{gone.error()};
    gone->bind(1, now()).bind(2, most);
    std::uint64_t bytes = 0;
    for (;;) {
        const auto row = gone->step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) return bytes;
        bytes += static_cast<std::uint64_t>(gone->number(0));
    }
}

Result<std::uint64_t> SqliteKeyStore::write(std::string_view key,
                                            std::optional<std::uint64_t> expected,
                                            std::string_view value,
                                            const port::PutOptions& options) {
    if (auto valid = check_key(key); !valid) return std::unexpected{valid.error()};
    if (value.size() > settings_.value_bytes_max)
        return fail(ErrorCode::value_too_large, std::to_string(value.size()) +
                                                    " bytes; there may be " +
                                                    std::to_string(settings_.value_bytes_max));
    const std::lock_guard held{mutex_};
    return transact([&]() -> Result<std::uint64_t> {
        const auto before = find_row(key);
        if (!before) return std::unexpected{before.error()};
        if (expected && *expected != before->version)
            return fail(ErrorCode::key_changed,
                        "its version is " + std::to_string(before->version));
        return put_row(key, *before, value, options);
    });
}

Result<std::uint64_t> SqliteKeyStore::put_row(std::string_view key, const Row& before,
                                              std::string_view value,
                                              const port::PutOptions& options) {
    auto now_held = counts();
    if (!now_held) return std::unexpected{now_held.error()};
    // The row itself may be among those swept: it is written anew before.
    const std::uint64_t others = now_held->bytes - before.bytes;
    Counts after{now_held->version + 1, others + key.size() + value.size()};
    auto put = db_.prepare("INSERT OR REPLACE INTO kept VALUES(?1, ?2, ?3, ?4)");
    if (!put) return std::unexpected{put.error()};
    put->bind_text(1, key).bind(2, after.version).bind_null(3).bind_blob(4, value);
    if (const auto ttl = options.ttl ? options.ttl : settings_.ttl)
        put->bind(3, now() + ttl->count());
    if (auto done = put->run(); !done) return std::unexpected{done.error()};
    const bool too_much = after.bytes > settings_.bytes_max;
    const auto swept = sweep(too_much ? INT64_MAX : sweep_keys);
    if (!swept) return std::unexpected{swept.error()};
    after.bytes -= *swept;
    if (after.bytes > settings_.bytes_max)
        return fail(ErrorCode::store_full, "it would hold " + std::to_string(after.bytes) +
                                               " bytes; there may be " +
                                               std::to_string(settings_.bytes_max));
    if (auto done = set_counts(after); !done) return std::unexpected{done.error()};
    return after.version;
}

Result<bool> SqliteKeyStore::remove(std::string_view key) {
    if (auto valid = check_key(key); !valid) return std::unexpected{valid.error()};
    const std::lock_guard held{mutex_};
    return transact([&]() -> Result<bool> {
        const auto before = find_row(key);
        if (!before) return std::unexpected{before.error()};
        if (before->bytes == 0) return false;
        auto gone = db_.prepare("DELETE FROM kept WHERE key = ?1");
        if (!gone) return std::unexpected{gone.error()};
        if (auto done = gone->bind_text(1, key).run(); !done) return std::unexpected{done.error()};
        auto now_held = counts();
        if (!now_held) return std::unexpected{now_held.error()};
        now_held->bytes -= before->bytes;
        now_held->version += before->version == 0 ? 0 : 1;
        if (auto done = set_counts(*now_held); !done) return std::unexpected{done.error()};
        return before->version != 0;
    });
}

}  // namespace

Result<std::shared_ptr<port::KeyStore>> open_key_store(const std::string& path,
                                                       const KeyStoreSettings& settings,
                                                       const port::Clock& clock) {
    auto db = SqliteDb::open(path, {}, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (!db) return std::unexpected{db.error()};
    auto store = std::make_shared<SqliteKeyStore>(std::move(*db), settings, clock);
    if (auto prepared = store->prepare(); !prepared) return fail(std::move(prepared));
    return store;
}

void KeyStoreFolder::declare(const std::string& id, const KeyStoreSettings& settings) {
    const std::lock_guard held{mutex_};
    One& one = stores_[id];
    if (one.settings == settings) return;
    one = {settings, nullptr};
}

void KeyStoreFolder::withdraw(const std::string& id) {
    const std::lock_guard held{mutex_};
    stores_.erase(id);
}

Result<std::shared_ptr<port::KeyStore>> KeyStoreFolder::find(const std::string& id) {
    const std::lock_guard held{mutex_};
    const auto found = stores_.find(id);
    if (found == stores_.end()) return fail(ErrorCode::store_not_found, id);
    if (found->second.store) return found->second.store;
    if (::mkdir(dir_.c_str(), dir_mode) != 0 && errno != EEXIST)
        return fail(ErrorCode::io_failed, dir_ + ": " + std::generic_category().message(errno));
    auto opened = open_key_store(dir_ + "/" + id + ".db", found->second.settings, clock_);
    if (opened) found->second.store = *opened;
    return opened;
}

}  // namespace taskd::io
