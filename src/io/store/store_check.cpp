#include "taskd/io/store_check.hpp"

#include <fmt/format.h>

#include <map>

#include "io/store/beside.hpp"
#include "io/store/journal_walk.hpp"
#include "io/store/sqlite_db.hpp"
#include "io/store/view_schema.hpp"
#include "taskd/io/store_backup.hpp"
#include "taskd/io/store_dir.hpp"
#include "taskd/protocol/record_codec.hpp"

namespace taskd::io {
namespace {

// A badly damaged view has as many findings as rows; the first ones tell enough.
constexpr std::size_t findings_max = 100;

class Checker {
  public:
    Checker(port::Files& files, StorePaths paths, std::uint64_t id, std::string vfs)
        : files_{files},
          paths_{std::move(paths)},
          id_{id},
          vfs_{std::move(vfs)},
          body_files_{files_, paths_.bodies} {
        report_.store_id = id;
    }

    Result<StoreReport> run_backup() {
        is_backup_ = true;
        note(check_view());
        return std::move(report_);
    }

    StoreReport run() {
        note(check_journal());
        note(check_view());
        check_together();
        return std::move(report_);
    }

  private:
    void note(const Result<void>& done) {
        if (!done) note(done.error());
    }
    void note(Error error) {
        if (report_.findings.size() < findings_max) report_.findings.push_back(std::move(error));
    }

    Result<void> check_journal() {
        JournalWalk walk;
        const WalkOptions options{paths_.journal, id_, {}, true};
        auto done = walk_journal(files_, options, walk,
                                 [](const RecordBatch&) -> Result<void> { return {}; });
        report_.segments = walk.segments.size();
        report_.frames = walk.frames;
        report_.records = walk.records;
        report_.first = walk.first;
        report_.last = walk.last;
        report_.torn = walk.torn;
        journal_read_ = done.has_value();
        if (done || done.error().code != ErrorCode::file_missing) return done;
        journal_read_ = true;  // a store that has never been written to
        return {};
    }

    Result<void> check_view() {
        const auto file = files_.open(paths_.view, port::OpenMode::read);
        if (!file && file.error().code == ErrorCode::file_missing) return {};
        if (!file) return std::unexpected{file.error()};
        report_.view_found = true;
        // Exclusive locking needs a handle that could write; nothing here does, nor does the
        // closing.
        auto db = SqliteDb::open(paths_.view, vfs_, SQLITE_OPEN_READWRITE);
        if (!db) return std::unexpected{db.error()};
        sqlite3_db_config(db->handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
        auto done = db->run("PRAGMA locking_mode = EXCLUSIVE");
        if (done) done = db->run("PRAGMA query_only = ON");
        if (done) done = check_schema(*db, id_);
        if (done) done = check_pages(*db);
        if (done && is_backup_) done = check_beside(*db);
        if (done) done = check_rows(*db);
        if (done) done = check_topics(*db);
        if (done) done = check_workflows(*db);
        if (!done) return done;
        const auto mark = db->number("SELECT sequence FROM mark");
        if (!mark) return std::unexpected{mark.error()};
        report_.view_at = Sequence{static_cast<std::uint64_t>(*mark)};
        view_read_ = true;
        return check_sums(*db);
    }

    Result<void> check_sums(SqliteDb& db) {
        const auto version = db.number("PRAGMA user_version");
        if (!version) return std::unexpected{version.error()};
        constexpr std::int64_t with_kept = 7;
        if (*version < with_kept) return {};
        const auto kept = db.number("SELECT kept FROM mark");
        if (!kept) return std::unexpected{kept.error()};
        if (*kept != ended_)
            note({ErrorCode::view_corrupt,
                  fmt::format("{} ended tasks are counted, there are {}", *kept, ended_)});
        return {};
    }

    Result<void> check_pages(SqliteDb& db) {
        auto check = db.prepare("PRAGMA integrity_check");
        if (!check) return std::unexpected{check.error()};
        for (;;) {
            const auto row = check->step();
            if (!row) return std::unexpected{row.error()};
            if (!*row) return {};
            if (check->bytes(0) != "ok")
                note({ErrorCode::view_corrupt, std::string{check->bytes(0)}});
        }
    }

    // Every row of topics decodes, and what a topic says it keeps is there.
    Result<void> check_topics(SqliteDb& db) {
        const auto version = db.number("PRAGMA user_version");
        if (!version) return std::unexpected{version.error()};
        constexpr std::int64_t with_topics = 9;
        if (*version < with_topics) return {};
        std::map<std::string, std::uint64_t> counted;
        auto rows = db.prepare("SELECT row, topic, place FROM topic_events");
        if (!rows) return std::unexpected{rows.error()};
        auto done = each_row(*rows, [&](std::string_view bytes) -> Result<void> {
            const auto event = protocol::decode_event_row(bytes, {});
            if (!event) return std::unexpected{event.error()};
            const std::string topic{rows->bytes(1)};
            ++counted[topic];
            const auto place = static_cast<std::uint64_t>(rows->number(2));
            if (event->topic == topic && event->sequence.value == place) return {};
            return fail(ErrorCode::view_corrupt,
                        fmt::format("event {} of {} holds another", place, topic));
        });
        if (!done) return done;
        auto topics = db.prepare("SELECT row FROM topics");
        if (!topics) return std::unexpected{topics.error()};
        done = each_row(*topics, [&](std::string_view bytes) -> Result<void> {
            const auto topic = protocol::decode_topic_row(bytes);
            if (!topic) return std::unexpected{topic.error()};
            const std::uint64_t there = counted[topic->name];
            if (there == topic->count()) return {};
            return fail(ErrorCode::view_corrupt, fmt::format("{} should have {} events, has {}",
                                                             topic->name, topic->count(), there));
        });
        if (!done) return done;
        auto groups = db.prepare("SELECT row FROM subscriptions");
        if (!groups) return std::unexpected{groups.error()};
        done = each_row(*groups, [](std::string_view bytes) -> Result<void> {
            const auto group = protocol::decode_subscription_row(bytes);
            return group ? Result<void>{} : std::unexpected{group.error()};
        });
        if (!done) return done;
        auto letters = db.prepare("SELECT letter FROM dead_letters");
        if (!letters) return std::unexpected{letters.error()};
        return each_row(*letters, [](std::string_view bytes) -> Result<void> {
            const auto letter = protocol::decode_letter_row(bytes);
            return letter ? Result<void>{} : std::unexpected{letter.error()};
        });
    }

    // Every workflow decodes, has the plan its head speaks of, and no step that is not in it.
    Result<void> check_workflows(SqliteDb& db) {
        const auto version = db.number("PRAGMA user_version");
        if (!version) return std::unexpected{version.error()};
        constexpr std::int64_t with_workflows = 9;
        if (*version < with_workflows) return {};
        std::map<std::string, std::size_t> planned;  // steps, by id
        auto plans = db.prepare("SELECT plan, id FROM workflow_plans");
        if (!plans) return std::unexpected{plans.error()};
        auto done = each_row(*plans, [&](std::string_view bytes) -> Result<void> {
            const auto plan = protocol::decode_plan_row(bytes);
            if (!plan) return std::unexpected{plan.error()};
            planned[std::string{plans->bytes(1)}] = (*plan)->steps.size();
            return {};
        });
        if (!done) return done;
        auto heads = db.prepare("SELECT head, id FROM workflows");
        if (!heads) return std::unexpected{heads.error()};
        done = each_row(*heads, [&](std::string_view bytes) -> Result<void> {
            const auto head = protocol::decode_workflow_row(bytes);
            if (!head) return std::unexpected{head.error()};
            const auto plan = planned.find(std::string{heads->bytes(1)});
            if (head->id.bytes() == heads->bytes(1) && plan != planned.end() &&
                plan->second == head->steps)
                return {};
            return fail(ErrorCode::view_corrupt,
                        head->id.to_string() + ": workflow and plan differ");
        });
        if (!done) return done;
        auto steps = db.prepare("SELECT row, id, step FROM workflow_steps");
        if (!steps) return std::unexpected{steps.error()};
        return each_row(*steps, [&](std::string_view bytes) -> Result<void> {
            const auto step = protocol::decode_step_row(bytes);
            if (!step) return std::unexpected{step.error()};
            const auto plan = planned.find(std::string{steps->bytes(1)});
            const auto place = static_cast<std::size_t>(steps->number(2));
            if (plan != planned.end() && place < plan->second) return {};
            return fail(ErrorCode::view_corrupt, "a step that is in no plan");
        });
    }

    // What is wrong with a row is noted, and the next one looked at.
    template <class Look>
    Result<void> each_row(SqliteStatement& rows, const Look& look) {
        for (;;) {
            const auto row = rows.step();
            if (!row) return std::unexpected{row.error()};
            if (!*row) return {};
            if (const Result<void> fine = look(rows.bytes(0)); !fine) note(fine.error());
        }
    }

    // What lies in files beside a view lies in rows of its backup.
    Result<void> check_beside(SqliteDb& db) {
        const auto there = has_beside(db);
        if (!there) return std::unexpected{there.error()};
        if (!*there) return {};
        return each_beside(
            db, [&](const std::string& name, std::string_view bytes) -> Result<void> {
                const std::string last = name.substr(name.find_last_of('/') + 1);
                const bool body = name.starts_with(bodies_folder);
                if (!is_beside_name(name) ||
                    (body && (name != body_row_name(last) || BodyFiles::name_of(bytes) != last)))
                    note({ErrorCode::view_corrupt, name + " is not what its name says"});
                else if (body)
                    count_body(last, bytes.size());
                else if (name.starts_with(logs_folder))
                    report_.log_bytes += bytes.size();
                return {};
            });
    }

    void count_body(const std::string& name, std::uint64_t bytes) {
        bodies_[name] = bytes;
        ++report_.bodies;
        report_.body_bytes += bytes;
    }

    // How long a body is that a row names; each is read once, and told once when it is not sound.
    std::uint64_t size_of_body(std::string_view text) {
        const std::string name{text};
        if (const auto known = bodies_.find(name); known != bodies_.end()) return known->second;
        Result<std::string> body =
            is_backup_ ? fail(ErrorCode::view_corrupt, body_row_name(name) + " is missing")
                       : body_files_.read(name);
        if (body) {
            count_body(name, body->size());
            return body->size();
        }
        note(body.error());
        return bodies_[name] = 0;
    }

    // Each row decodes, and what is kept beside it for searching says the same.
    Result<void> check_rows(SqliteDb& db) {
        const auto version = db.number("PRAGMA user_version");
        if (!version) return std::unexpected{version.error()};
        constexpr std::int64_t with_keys = 6;
        auto rows = db.prepare(
            fmt::format("SELECT id, type, state, live, queued_as, row, head, length(payload), {}, "
                        "CASE typeof(payload) WHEN 'text' THEN payload END, "
                        "CASE typeof(result) WHEN 'text' THEN result END FROM tasks",
                        *version < with_keys ? "NULL, NULL" : "key, member_of"));
        if (!rows) return std::unexpected{rows.error()};
        for (;;) {
            const auto row = rows->step();
            if (!row) return std::unexpected{row.error()};
            if (!*row) return {};
            ++report_.tasks;
            const auto task = protocol::decode_task_row(rows->bytes(5), {}, {});
            if (!task) {
                note(task.error());
                continue;
            }
            const bool live = is_live(*task);
            if (is_terminal(task->state)) ++ended_;
            if (live) ++report_.live;
            std::string bytes;
            TaskHead head = head_of(*task);
            std::uint64_t payload_bytes = static_cast<std::uint64_t>(rows->number(7));
            if (!rows->is_null(10)) payload_bytes = size_of_body(rows->bytes(10));
            if (!rows->is_null(11)) static_cast<void>(size_of_body(rows->bytes(11)));
            if (!rows->is_null(10) && payload_bytes == 0) continue;  // told already
            head.payload_bytes = static_cast<std::uint32_t>(payload_bytes);
            if (live) protocol::encode_task_head(head, bytes);
            const std::string_view group =
                task->spec.group ? task->spec.group->bytes() : std::string_view{};
            const bool agrees =
                task->spec.id.bytes() == rows->bytes(0) && task->spec.type == rows->bytes(1) &&
                rows->number(2) == static_cast<std::int64_t>(task->state) &&
                rows->number(3) == (live ? 1 : 0) &&
                rows->number(4) == static_cast<std::int64_t>(task->queued_as.value) &&
                rows->bytes(6) == bytes &&
                (*version < with_keys ||
                 (rows->bytes(8) == task->spec.key && rows->bytes(9) == group));
            if (!agrees)
                note({ErrorCode::view_corrupt,
                      task->spec.id.to_string() + ": row and columns differ"});
        }
    }

    // The view may be behind the journal, never ahead of it, and never so far that records are
    // missing.
    void check_together() {
        if (!journal_read_ || (report_.view_found && !view_read_)) return;
        if (report_.view_at > report_.last)
            note({ErrorCode::store_mismatch,
                  fmt::format("the journal ends at {}, the view stands at {}", report_.last.value,
                              report_.view_at.value)});
        if (report_.first > report_.view_at.next())
            note({ErrorCode::store_mismatch,
                  fmt::format("the journal begins at {}, the view stands at {}",
                              report_.first.value, report_.view_at.value)});
    }

    port::Files& files_;
    const StorePaths paths_;
    const std::uint64_t id_;
    const std::string vfs_;
    StoreReport report_;
    BodyFiles body_files_;
    std::map<std::string, std::uint64_t> bodies_;  // by name; 0: not sound
    bool is_backup_ = false;
    std::int64_t ended_ = 0;
    bool journal_read_ = false;
    bool view_read_ = false;
};

}  // namespace

Result<StoreReport> check_store(port::Files& files, const std::string& dir,
                                const std::string& vfs) {
    const auto store = open_existing_store(files, dir);
    if (!store) return std::unexpected{store.error()};
    return Checker{files, store->paths, store->id, vfs}.run();
}

Result<StoreReport> check_backup(port::Files& files, const std::string& path,
                                 const std::string& vfs) {
    if (const auto file = files.open(path, port::OpenMode::read); !file)
        return std::unexpected{file.error()};
    StorePaths paths{path};
    paths.view = path;
    std::uint64_t id = 0;
    {
        auto db = SqliteDb::open(path, vfs, SQLITE_OPEN_READWRITE);
        if (!db) return std::unexpected{db.error()};
        if (auto done = db->run("PRAGMA locking_mode = EXCLUSIVE"); !done)
            return std::unexpected{done.error()};
        if (auto done = db->run("PRAGMA query_only = ON"); !done)
            return std::unexpected{done.error()};
        if (auto known = check_kind(*db); !known) return std::unexpected{known.error()};
        const auto found = db->number("SELECT store_id FROM mark");
        if (!found) return std::unexpected{found.error()};
        id = static_cast<std::uint64_t>(*found);
    }
    return Checker{files, std::move(paths), id, vfs}.run_backup();
}

}  // namespace taskd::io
