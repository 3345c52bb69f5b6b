#include "taskd/io/store_backup.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "io/store/beside.hpp"
#include "io/store/journal_walk.hpp"
#include "io/store/sqlite_copy.hpp"
#include "io/store/sqlite_db.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/protocol/record_codec.hpp"

namespace taskd::io {
namespace {

constexpr std::size_t copy_step_bytes = limits::mebibyte;

// What SQLite may leave beside a file.
constexpr std::string_view companions[] = {"-wal", "-journal", "-shm"};

// A connection that is alone with its file, so that nothing is shared or left beside it.
Result<SqliteDb> open_alone(const std::string& path, const std::string& vfs, int flags) {
    auto db = SqliteDb::open(path, vfs, flags);
    if (!db) return db;
    if (auto done = db->run("PRAGMA locking_mode = EXCLUSIVE"); !done)
        return std::unexpected{done.error()};
    return db;
}

// ---- making a store --------------------------------------------------------------------------

Result<bool> is_there(port::Files& files, const std::string& path) {
    const auto file = files.open(path, port::OpenMode::read);
    if (!file && file.error().code != ErrorCode::file_missing) return std::unexpected{file.error()};
    return file.has_value();
}

class Restore {
  public:
    Restore(port::Files& files, std::string from, std::string dir, Random& random, std::string vfs)
        : files_{files},
          from_{std::move(from)},
          dir_{std::move(dir)},
          paths_{dir_},
          random_{random},
          vfs_{std::move(vfs)} {}

    Result<StoreReport> run() {
        auto report = check_backup(files_, from_, vfs_);
        if (!report) return report;
        if (!report->sound()) return std::unexpected{report->findings.front()};
        if (auto done = make(); !done) return std::unexpected{done.error()};
        report->store_id = id_;
        return report;
    }

  private:
    Result<void> make() {
        if (auto made = files_.make_dir(dir_); !made) return made;
        const auto lock = files_.lock(paths_.lock);
        if (!lock) return std::unexpected{lock.error()};
        auto done = begin();
        if (done) done = copy_content();
        if (done) done = adopt_view();
        if (done) done = begin_journal();
        if (done) done = describe_store(files_, dir_, id_);
        // From here on it is a store.
        if (done) done = files_.remove(paths_.restoring);
        if (done) done = files_.sync_dir(dir_);
        return done;
    }

    // The mark of an unfinished restore stands before anything else does; what an earlier one left
    // goes.
    Result<void> begin() {
        const auto again = is_there(files_, paths_.restoring);
        if (!again) return std::unexpected{again.error()};
        if (*again) {
            if (auto done = clear(); !done) return done;
        } else {
            const auto used = is_used_store(files_, paths_);
            if (!used) return std::unexpected{used.error()};
            if (*used) return fail(ErrorCode::store_not_empty, dir_);
        }
        const auto file = files_.open(paths_.restoring, port::OpenMode::create);
        if (!file) return std::unexpected{file.error()};
        auto done = (*file)->sync();
        // No part of what makes a store used, so that they may be a stranger's: not to be ours.
        if (done) done = files_.remove(paths_.endpoints);
        if (done) done = files_.remove(paths_.own_events);
        if (done) done = files_.sync_dir(dir_);
        return done;
    }

    Result<void> clear() {
        std::vector<std::string> gone{paths_.description, paths_.view};
        for (const std::string_view each : companions)
            gone.push_back(paths_.view + std::string{each});
        const auto journal = files_.list(paths_.journal);
        if (!journal && journal.error().code != ErrorCode::file_missing)
            return std::unexpected{journal.error()};
        if (journal)
            for (const std::string& name : *journal)
                gone.push_back(paths_.journal + "/" + name);
        for (const std::string& path : gone)
            if (auto done = files_.remove(path); !done) return done;
        return clear_beside(files_, dir_);
    }

    // What lies in files beside a view lies in a table of its backup.
    Result<void> copy_content() {
        bool beside = false;
        {
            auto db = open_alone(from_, vfs_, SQLITE_OPEN_READWRITE);
            if (!db) return std::unexpected{db.error()};
            const auto found = has_beside(*db);
            if (!found) return std::unexpected{found.error()};
            beside = *found;
        }
        if (!beside) return copy_file(files_, from_, paths_.view);
        if (auto done = copy_tables(from_, paths_.view, vfs_); !done) return done;
        return write_beside(files_, from_, dir_, vfs_);
    }

    // The view gets the new store's id; no log is needed, an unfinished restore is begun anew.
    Result<void> adopt_view() {
        auto db = open_alone(paths_.view, vfs_, SQLITE_OPEN_READWRITE);
        if (!db) return std::unexpected{db.error()};
        id_ = random_.next();
        auto done = db->run("PRAGMA journal_mode = OFF");
        if (done)
            done =
                db->run(fmt::format("UPDATE mark SET store_id = {}", static_cast<std::int64_t>(id_))
                            .c_str());
        if (!done) return done;
        const auto sequence = db->number("SELECT sequence FROM mark");
        if (!sequence) return std::unexpected{sequence.error()};
        const auto engine = db->number("SELECT engine FROM mark");
        if (!engine) return std::unexpected{engine.error()};
        last_ = Sequence{static_cast<std::uint64_t>(*sequence)};
        engine_ = EngineTime{Duration{*engine}};
        *db = {};
        const auto file = files_.open(paths_.view, port::OpenMode::read_write);
        if (!file) return std::unexpected{file.error()};
        return (*file)->sync();
    }

    // A journal reaches from the view's mark on: its first record is that the engine goes on.
    Result<void> begin_journal() {
        if (auto made = files_.make_dir(paths_.journal); !made) return made;
        const SegmentHeader header{id_, 1, random_.next()};
        std::string bytes = encode_segment_header(header);
        begin_frame(bytes);
        protocol::encode_batch(
            {last_.next(), engine_, {EngineResumed{engine_ + limits::lease_duration_default}}},
            bytes);
        finish_frame(bytes, segment_header_bytes, 1, header.salt);
        const auto file =
            files_.open(segment_path(paths_.journal, header.number, SegmentRole::segment),
                        port::OpenMode::create);
        if (!file) return std::unexpected{file.error()};
        auto done = (*file)->truncate(0);
        if (done) done = (*file)->write(0, bytes);
        if (done) done = (*file)->sync();
        if (done) done = files_.sync_dir(paths_.journal);
        return done;
    }

    port::Files& files_;
    const std::string from_;
    const std::string dir_;
    const StorePaths paths_;
    Random& random_;
    const std::string vfs_;
    std::uint64_t id_ = 0;
    Sequence last_;
    EngineTime engine_{};
};

}  // namespace

std::string parent_folder(const std::string& path) {
    const std::size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

Result<void> copy_file(port::Files& files, const std::string& from, const std::string& to) {
    const auto source = files.open(from, port::OpenMode::read);
    if (!source) return std::unexpected{source.error()};
    const auto copy = files.open(to, port::OpenMode::create);
    if (!copy) return std::unexpected{copy.error()};
    if (auto cut = (*copy)->truncate(0); !cut) return cut;
    std::string bytes(copy_step_bytes, '\0');
    for (std::uint64_t at = 0;;) {
        const auto count = (*source)->read(at, bytes);
        if (!count) return std::unexpected{count.error()};
        if (*count == 0) break;
        if (auto done = (*copy)->write(at, std::string_view{bytes}.substr(0, *count)); !done)
            return done;
        at += *count;
    }
    return (*copy)->sync();
}

Result<bool> copy_view(port::Files& files, const Store& store, const std::string& to,
                       const std::string& vfs) {
    const auto there = is_there(files, store.paths.view);
    if (!there || !*there) return there;
    auto from = open_alone(store.paths.view, vfs, SQLITE_OPEN_READWRITE);
    if (!from) return std::unexpected{from.error()};
    sqlite3_db_config(from->handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    if (auto done = from->run("PRAGMA query_only = ON"); !done)
        return std::unexpected{done.error()};
    auto copy = SqliteCopy::begin(*from, to, vfs);
    if (!copy) return std::unexpected{copy.error()};
    if (auto done = (*copy)->step(-1); !done) return done;
    return true;
}

Result<void> read_journal(port::Files& files, const Store& store, Sequence after,
                          const std::function<Result<void>(const RecordBatch&)>& take) {
    JournalWalk walk;
    auto done = walk_journal(files, {store.paths.journal, store.id, after}, walk,
                             [&](const RecordBatch& batch) -> Result<void> {
                                 return batch.last() <= after ? Result<void>{} : take(batch);
                             });
    if (!done && done.error().code == ErrorCode::file_missing) done = {};  // never written to
    if (done && after > walk.last)
        return fail(ErrorCode::store_mismatch,
                    fmt::format("the journal ends at {}, the view stands at {}", walk.last.value,
                                after.value));
    return done;
}

Result<std::uint64_t> seal_backup(port::Files& files, const Store& store, const std::string& path,
                                  bool with_logs, const std::string& vfs) {
    std::uint64_t log_bytes = 0;
    {
        auto db = open_alone(path, vfs, SQLITE_OPEN_READWRITE);
        if (!db) return std::unexpected{db.error()};
        BesideCopy beside{files,
                          {store.paths.bodies, with_logs ? store.paths.logs : std::string{},
                           store.paths.endpoints}};
        auto done = db->run("PRAGMA journal_mode = DELETE");
        if (done) done = beside.begin(*db);
        if (!done) return std::unexpected{done.error()};
        for (bool whole = false; !whole;) {
            const auto step = beside.step(copy_step_bytes);
            if (!step) return std::unexpected{step.error()};
            whole = *step;
        }
        log_bytes = beside.log_bytes();
    }
    const auto file = files.open(path, port::OpenMode::read_write);
    if (!file) return std::unexpected{file.error()};
    auto done = (*file)->sync();
    if (done) done = files.sync_dir(parent_folder(path));
    if (!done) return std::unexpected{done.error()};
    return log_bytes;
}

Result<StoreReport> restore_store(port::Files& files, const std::string& from,
                                  const std::string& dir, Random& random, const std::string& vfs) {
    return Restore{files, from, dir, random, vfs}.run();
}

}  // namespace taskd::io
