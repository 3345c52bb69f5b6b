#include "taskd/io/sqlite_store.hpp"

#include <filesystem>
#include <map>

#include "io/store/sqlite_db.hpp"

namespace taskd::io {
namespace {

constexpr int busy_ms = 5'000;  // another process writes

}  // namespace

std::int64_t SqlRow::number(std::size_t column) const {
    const auto* value = std::get_if<std::int64_t>(&values_.at(column));
    return value == nullptr ? 0 : *value;
}

const std::string& SqlRow::text(std::size_t column) const {
    static const std::string none;
    const auto* value = std::get_if<std::string>(&values_.at(column));
    return value == nullptr ? none : *value;
}

bool SqlRow::is_null(std::size_t column) const {
    return std::holds_alternative<std::monostate>(values_.at(column));
}

struct SqliteStore::Impl {
    explicit Impl(SqliteDb opened) : db{std::move(opened)} {}

    Result<SqliteStatement*> bound(std::string_view sql, const std::vector<SqlValue>& values) {
        auto found = statements.find(sql);
        if (found == statements.end()) {
            auto made = db.prepare(sql);
            if (!made) return fail(std::move(made));
            found = statements.emplace(std::string{sql}, std::move(*made)).first;
        }
        int place = 0;
        for (const SqlValue& value : values) {
            ++place;
            if (const auto* number = std::get_if<std::int64_t>(&value))
                found->second.bind(place, *number);
            else if (const auto* text = std::get_if<std::string>(&value))
                found->second.bind_text(place, *text);
            else
                found->second.bind_null(place);
        }
        return &found->second;
    }

    Result<void> upgrade(std::span<const char* const> formats) {
        const auto last = static_cast<std::int64_t>(formats.size());
        auto format = db.number("PRAGMA user_version");
        if (!format) return fail(std::move(format));
        if (*format > last)
            return fail(ErrorCode::store_too_new, "it has format " + std::to_string(*format));
        for (std::int64_t next = *format; next < last; ++next) {
            const std::string script = std::string{formats[static_cast<std::size_t>(next)]} +
                                       ";PRAGMA user_version=" + std::to_string(next + 1);
            if (auto done = db.run(script.c_str()); !done) return done;
        }
        return {};
    }

    SqliteDb db;
    std::map<std::string, SqliteStatement, std::less<>> statements;
};

SqliteStore::SqliteStore(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
SqliteStore::~SqliteStore() = default;

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& path,
                                                       std::span<const char* const> formats) {
    std::error_code fault;
    const auto folder = std::filesystem::path{path}.parent_path();
    if (!folder.empty()) std::filesystem::create_directories(folder, fault);
    if (fault) return fail(ErrorCode::io_failed, folder.string() + ": " + fault.message());
    auto db = SqliteDb::open(path, {}, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (!db) return fail(std::move(db));
    sqlite3_busy_timeout(db->handle(), busy_ms);
    if (auto set = db->run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"); !set)
        return fail(std::move(set));
    std::unique_ptr<SqliteStore> store{new SqliteStore{std::make_unique<Impl>(std::move(*db))}};
    // Within a transaction, so that two processes that start at once do it one after the other.
    auto ready = store->transaction([&] { return store->impl_->upgrade(formats); });
    if (!ready) return fail(std::move(ready));
    return store;
}

Result<std::vector<SqlRow>> SqliteStore::rows(std::string_view sql,
                                              const std::vector<SqlValue>& values) {
    auto statement = impl_->bound(sql, values);
    if (!statement) return fail(std::move(statement));
    std::vector<SqlRow> all;
    while (true) {
        auto more = (*statement)->step();
        if (!more) return fail(std::move(more));
        if (!*more) return all;
        std::vector<SqlValue> row;
        for (int column = 0; column < (*statement)->columns(); ++column) {
            if ((*statement)->is_null(column))
                row.emplace_back();
            else if ((*statement)->is_text(column))
                row.emplace_back(std::string{(*statement)->bytes(column)});
            else
                row.emplace_back((*statement)->number(column));
        }
        all.emplace_back(std::move(row));
    }
}

Result<std::int64_t> SqliteStore::run(std::string_view sql, const std::vector<SqlValue>& values) {
    auto statement = impl_->bound(sql, values);
    if (!statement) return fail(std::move(statement));
    if (auto done = (*statement)->run(); !done) return fail(std::move(done));
    return sqlite3_changes64(impl_->db.handle());
}

Result<void> SqliteStore::transaction(const std::function<Result<void>()>& work) {
    if (auto begun = impl_->db.run("BEGIN IMMEDIATE"); !begun) return begun;
    auto done = work();
    if (done) done = impl_->db.run("COMMIT");
    if (done) return done;
    // On some faults SQLite has rolled back by itself.
    if (sqlite3_get_autocommit(impl_->db.handle()) == 0)
        if (auto undone = impl_->db.run("ROLLBACK"); !undone) return undone;
    return done;
}

}  // namespace taskd::io
