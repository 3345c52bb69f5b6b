#include "taskd/io/sqlite_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "io/store/changed_tasks.hpp"
#include "io/store/each_row.hpp"
#include "io/store/sqlite_db.hpp"
#include "io/store/view_bodies.hpp"
#include "io/store/view_copying.hpp"
#include "io/store/view_finder.hpp"
#include "io/store/view_schema.hpp"
#include "io/store/view_search.hpp"
#include "io/store/view_topics.hpp"
#include "io/store/view_workflows.hpp"
#include "taskd/base/assert.hpp"
#include "taskd/io/posix_files.hpp"
#include "taskd/protocol/record_codec.hpp"

namespace taskd::io {
namespace {

// A part of an id that is not its beginning is looked for among this many of the newest tasks.
constexpr std::size_t suffix_tasks_max = 100'000;
constexpr std::size_t matches_max = 2;
constexpr std::size_t id_text_size = 36;

#define ROW_COLUMNS "id, row, payload, result"
#define TASK_COLUMNS "id, type, state, live, queued_as, key, member_of, row, payload, result, head"

}  // namespace

class SqliteView::Impl {
  public:
    explicit Impl(SqliteViewSettings settings)
        : settings_{std::move(settings)},
          real_files_{settings_.files == nullptr ? make_posix_files() : nullptr},
          files_{real_files_ ? *real_files_ : *settings_.files},
          bodies_{files_, body_settings()},
          copying_{db_, bodies_, files_, settings_.path, settings_.vfs} {
        TASKD_ASSERT(settings_.files != nullptr || settings_.vfs.empty());
    }
    ~Impl() { drop_copy(); }

    Result<void> open();
    Result<void> store(const port::ViewChange& change);
    Result<void> read_mark();
    Result<std::vector<Task>> find(std::span<const TaskId> ids);
    Result<TaskPage> list(const TaskQuery& query) {
        return finder_.list(query, [this](const TaskId& id) { return find(std::span{&id, 1}); });
    }
    Result<std::vector<TaskId>> match(std::string_view part);
    Result<void> each_live(const std::function<void(const TaskHead&)>& take);
    Result<void> each_queue(const std::function<void(const QueueRules&)>& take);
    Result<void> each_operation(const std::function<void(const Operation&)>& take);
    Result<void> each_group(const std::function<void(const Group&)>& take);
    Result<void> each_hold(const std::function<void(const WorkerHold&)>& take);
    Result<void> each_schedule(const std::function<void(const Schedule&)>& take);
    Result<void> each_key(const std::function<void(const KeyUse&)>& take);
    Result<std::vector<KeyUse>> find_keys(std::span<const std::string> keys);
    Result<void> checkpoint();
    Result<std::optional<port::ViewCopied>> copy_some(const std::string& path,
                                                      const std::string& logs) {
        if (poison_) return std::unexpected{*poison_};
        return copying_.some(path, logs, mark);
    }
    void drop_copy() { copying_.drop(); }

    ViewTopics& topics() { return topics_; }

    port::ViewMark mark;
    ViewWorkflows workflows;
    std::optional<TaskId> newest_ended;
    std::size_t log_pages = 0;

  private:
    ViewBodiesSettings body_settings() const;
    Result<void> prepare_all();
    Result<void> store_all(const port::ViewChange& change, std::optional<TaskId> newest);
    Result<void> store_tasks(const std::vector<std::shared_ptr<const Task>>& tasks);
    Result<void> store_others(const port::ViewChange& change);
    Result<void> store_schedule(const std::string& name, const std::optional<Schedule>& schedule);
    Result<Task> task_of(const SqliteStatement& row);

    SqliteViewSettings settings_;
    std::unique_ptr<port::Files> real_files_;  // unless others are given
    port::Files& files_;
    ChangedTasks changed_;  // outlives the connection that reads it
    SqliteDb db_;
    ViewBodies bodies_;
    ViewCopying copying_;
    ViewFinder finder_;
    ViewTopics topics_;
    SqliteStatement begin_, commit_, rollback_, put_, put_mark_, find_, range_, newest_, live_,
        put_key_, drop_keys_, find_key_, all_keys_, put_queue_, queues_, drop_, put_operation_,
        drop_operation_, operations_, put_group_, drop_group_, groups_, put_hold_, drop_hold_,
        holds_, put_schedule_, drop_schedule_, schedules_;
    std::string buffer_;
    std::optional<Error> poison_;  // set when nobody knows what a failed store left
};

ViewBodiesSettings SqliteView::Impl::body_settings() const {
    std::string dir = settings_.bodies;
    if (dir.empty()) dir = settings_.path.substr(0, settings_.path.find_last_of('/') + 1) + "blobs";
    return {std::move(dir), settings_.row_body_bytes_max, settings_.is_copy};
}

Result<void> SqliteView::Impl::open() {
    auto db =
        SqliteDb::open(settings_.path, settings_.vfs, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (!db) return std::unexpected{db.error()};
    db_ = std::move(*db);
    // Alone with its file it needs no shared memory, and so none that a crash could leave or a full
    // disk could take away; and it runs the same on a simulated disk.
    auto done = db_.run("PRAGMA locking_mode = EXCLUSIVE");
    if (done) done = db_.run("PRAGMA journal_mode = WAL");
    if (done) done = db_.run("PRAGMA synchronous = FULL");
    if (done) done = db_.run("PRAGMA wal_autocheckpoint = 0");
    if (done) done = db_.run("PRAGMA temp_store = MEMORY");
    if (done)
        done =
            db_.run(fmt::format("PRAGMA cache_size = -{}", settings_.cache_bytes / limits::kibibyte)
                        .c_str());
    if (done) done = open_schema(db_, settings_.store_id);
    if (done) done = prepare_all();
    if (done) done = read_mark();
    if (!done) return done;
    sqlite3_wal_hook(
        db_.handle(),
        [](void* self, sqlite3*, const char*, int pages) {
            static_cast<Impl*>(self)->log_pages = static_cast<std::size_t>(pages);
            return SQLITE_OK;
        },
        this);
    // What the last run left in the log. Where a full disk has no room for it, it waits there.
    done = checkpoint();
    if (done || done.error().code != ErrorCode::disk_full) return done;
    log_pages = settings_.checkpoint_pages;
    return {};
}

Result<void> SqliteView::Impl::prepare_all() {
    if (auto done = changed_.attach(db_); !done) return done;
    const std::pair<SqliteStatement*, std::string_view> wanted[] = {
        {&begin_, "BEGIN IMMEDIATE"},
        {&commit_, "COMMIT"},
        {&rollback_, "ROLLBACK"},
        {&put_,
         // A failure undoes the whole transaction: no statement needs a way back of its own.
         "INSERT OR FAIL INTO tasks (" TASK_COLUMNS ") SELECT " TASK_COLUMNS
         " FROM changed_tasks WHERE true ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
         " live = excluded.live, queued_as = excluded.queued_as, row = excluded.row,"
         " payload = excluded.payload, result = excluded.result, head = excluded.head"},
        {&put_mark_,
         "UPDATE mark SET sequence = ?1, engine = ?2, submitted = ?3, succeeded = ?4, dead = ?5,"
         " cancelled = ?6, failures = ?7, crashes = ?8, leases = ?9, newest_ended = ?10,"
         " expired = ?11, kept = ?12"},
        {&find_, "SELECT " ROW_COLUMNS " FROM tasks WHERE id = ?1"},
        {&range_, "SELECT id FROM tasks WHERE id BETWEEN ?1 AND ?3 ORDER BY id LIMIT ?2"},
        {&newest_, "SELECT id FROM tasks ORDER BY id DESC LIMIT ?1"},
        {&put_key_,
         "INSERT INTO keys (key, id, until) VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET"
         " id = ?2, until = ?3 WHERE until < ?3"},
        // A thousand at a time; those whose task lives are passed over.
        {&drop_keys_,
         "DELETE FROM keys WHERE key IN (SELECT key FROM keys AS k WHERE until <= ?1 AND NOT EXISTS"
         " (SELECT 1 FROM tasks WHERE tasks.id = k.id AND live = 1) ORDER BY until LIMIT 1000)"},
        {&put_queue_,
         "INSERT INTO queues (type, row) VALUES (?1, ?2) ON CONFLICT (type) DO UPDATE SET row = "
         "?2"},
        {&queues_, "SELECT row FROM queues ORDER BY type"},
        {&drop_, "DELETE FROM tasks WHERE id = ?1"},
        {&put_operation_,
         "INSERT INTO operations (id, row) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET row = "
         "?2"},
        {&drop_operation_, "DELETE FROM operations WHERE id = ?1"},
        {&put_group_,
         "INSERT INTO task_groups (id, row) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET row = "
         "?2"},
        {&drop_group_, "DELETE FROM task_groups WHERE id = ?1"},
        {&groups_, "SELECT row FROM task_groups ORDER BY id"},
        {&put_hold_,
         "INSERT INTO worker_holds (instance, row) VALUES (?1, ?2)"
         " ON CONFLICT (instance) DO UPDATE SET row = ?2"},
        {&drop_hold_, "DELETE FROM worker_holds WHERE instance = ?1"},
        {&holds_, "SELECT row FROM worker_holds ORDER BY instance"},
        {&operations_, "SELECT row FROM operations ORDER BY id"},
        {&put_schedule_,
         "INSERT INTO schedules (name, row) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET"
         " row = ?2"},
        {&drop_schedule_, "DELETE FROM schedules WHERE name = ?1"},
        {&schedules_, "SELECT row FROM schedules ORDER BY name"},
        {&find_key_, "SELECT id, until FROM keys WHERE key = ?1"},
        {&all_keys_, "SELECT id, until, key FROM keys ORDER BY until"},
        {&live_,
         "SELECT id, head FROM tasks INDEXED BY tasks_live WHERE live = 1 ORDER BY queued_as"},
    };
    for (const auto& [statement, sql] : wanted) {
        auto prepared = db_.prepare(sql);
        if (!prepared) return std::unexpected{prepared.error()};
        *statement = std::move(*prepared);
    }
    if (auto prepared = bodies_.prepare(db_); !prepared) return prepared;
    if (auto prepared = topics_.prepare(db_); !prepared) return prepared;
    if (auto prepared = workflows.prepare(db_); !prepared) return prepared;
    return finder_.prepare(db_, settings_.page_bytes_max);
}

Result<void> SqliteView::Impl::read_mark() {
    auto select = db_.prepare(
        "SELECT sequence, engine, submitted, succeeded, dead, cancelled, failures, crashes, leases,"
        " newest_ended, expired, kept FROM mark");
    if (!select) return std::unexpected{select.error()};
    const auto row = select->step();
    if (!row) return std::unexpected{row.error()};
    if (!*row) return fail(ErrorCode::view_corrupt, settings_.path + ": no mark");
    const auto number = [&](int column) {
        return static_cast<std::uint64_t>(select->number(column));
    };
    mark.sequence = Sequence{number(0)};
    mark.engine = EngineTime{Duration{select->number(1)}};
    mark.totals = {number(2), number(3), number(4),  number(5), number(6),
                   number(7), number(8), number(10), number(11)};
    newest_ended.reset();
    if (!select->is_null(9)) {
        if (select->bytes(9).size() != 16) return fail(ErrorCode::view_corrupt, "newest_ended");
        newest_ended = TaskId::from_bytes(select->bytes(9));
    }
    return {};
}

Result<void> SqliteView::Impl::store(const port::ViewChange& change) {
    if (poison_) return std::unexpected{*poison_};
    TASKD_ASSERT(change.mark.sequence >= mark.sequence);
    std::optional<TaskId> newest = newest_ended;
    for (const auto& task : change.tasks)
        if (is_terminal(task->state) && (!newest || *newest < task->spec.id))
            newest = task->spec.id;
    Result<void> done{};
    if (log_pages >= settings_.checkpoint_pages) done = checkpoint();
    if (done) done = bodies_.sweep_once();
    if (done) done = begin_.run();
    if (done) done = store_all(change, newest);
    if (done) done = bodies_.sync();
    if (done) done = commit_.run();
    if (done) {
        mark = change.mark;
        newest_ended = newest;
        bodies_.committed();
        return {};
    }
    // A failed statement may have ended the transaction already.
    if (sqlite3_get_autocommit(db_.handle()) == 0) static_cast<void>(rollback_.run());
    if (done.error().code == ErrorCode::disk_full) {
        bodies_.rolled_back();
    } else {
        bodies_.uncertain();
        poison_ = done.error();
    }
    return done;
}

Result<void> SqliteView::Impl::store_all(const port::ViewChange& change,
                                         std::optional<TaskId> newest) {
    for (const TaskId& id : change.gone_tasks) {
        if (auto left = bodies_.leave(id); !left) return std::unexpected{left.error()};
        if (auto done = drop_.bind_blob(1, id.bytes()).run(); !done) return done;
    }
    if (auto done = store_tasks(change.tasks); !done) return done;
    if (auto done = store_others(change); !done) return done;
    if (auto done = topics_.store(change.topics); !done) return done;
    if (auto done = workflows.store(change); !done) return done;
    for (const QueueRules& rules : change.queues) {
        buffer_.clear();
        protocol::encode_queue_row(rules, buffer_);
        auto done = put_queue_.bind_text(1, rules.type).bind_blob(2, buffer_).run();
        if (!done) return done;
    }
    for (const auto& [name, schedule] : change.schedules)
        if (auto done = store_schedule(name, schedule); !done) return done;
    if (auto done = drop_keys_.bind(1, change.at.time_since_epoch().count()).run(); !done)
        return done;
    const Totals& totals = change.mark.totals;
    put_mark_.bind(1, change.mark.sequence.value)
        .bind(2, change.mark.engine.time_since_epoch().count())
        .bind(3, totals.submitted)
        .bind(4, totals.succeeded)
        .bind(5, totals.dead)
        .bind(6, totals.cancelled)
        .bind(7, totals.failures)
        .bind(8, totals.crashes)
        .bind(9, totals.leases)
        .bind(11, totals.expired)
        .bind(12, totals.kept);
    newest ? put_mark_.bind_blob(10, newest->bytes()) : put_mark_.bind_null(10);
    return put_mark_.run();
}

Result<void> SqliteView::Impl::store_others(const port::ViewChange& change) {
    for (const OperationId& id : change.gone_operations)
        if (auto done = drop_operation_.bind_blob(1, id.bytes()).run(); !done) return done;
    for (const Operation& operation : change.operations) {
        buffer_.clear();
        protocol::encode_operation_row(operation, buffer_);
        auto done = put_operation_.bind_blob(1, operation.id.bytes()).bind_blob(2, buffer_).run();
        if (!done) return done;
    }
    for (const WorkerHold& hold : change.holds) {
        buffer_.clear();
        protocol::encode_hold_row(hold, buffer_);
        auto done = hold.pause ? put_hold_.bind_text(1, hold.instance).bind_blob(2, buffer_).run()
                               : drop_hold_.bind_text(1, hold.instance).run();
        if (!done) return done;
    }
    for (const GroupId& id : change.gone_groups)
        if (auto done = drop_group_.bind_blob(1, id.bytes()).run(); !done) return done;
    for (const Group& group : change.groups) {
        buffer_.clear();
        protocol::encode_group_row(group, buffer_);
        auto done = put_group_.bind_blob(1, group.id.bytes()).bind_blob(2, buffer_).run();
        if (!done) return done;
    }
    return {};
}

Result<void> SqliteView::Impl::store_schedule(const std::string& name,
                                              const std::optional<Schedule>& schedule) {
    if (!schedule) return drop_schedule_.bind_text(1, name).run();
    buffer_.clear();
    protocol::encode_schedule_row(*schedule, buffer_);
    return put_schedule_.bind_text(1, name).bind_blob(2, buffer_).run();
}

Result<void> SqliteView::Impl::store_tasks(const std::vector<std::shared_ptr<const Task>>& tasks) {
    std::vector<ChangedTask> rows;
    rows.reserve(tasks.size());
    for (const auto& task : tasks) {
        const auto before = bodies_.leave(task->spec.id);
        if (!before) return std::unexpected{before.error()};
        auto payload = bodies_.place(task->spec.payload.view(), before->payload);
        if (!payload) return std::unexpected{payload.error()};
        auto result = bodies_.place(task->result.view(), before->result);
        if (!result) return std::unexpected{result.error()};
        rows.push_back({task.get(), std::move(*payload), std::move(*result)});
        if (task->spec.idempotency_key.empty()) continue;
        const KeyUse use = key_use_of(task->spec, task->submitted_at);
        auto done = put_key_.bind_text(1, use.key)
                        .bind_blob(2, use.id.bytes())
                        .bind(3, use.until.time_since_epoch().count())
                        .run();
        if (!done) return done;
    }
    if (rows.empty()) return {};
    // In the order of the table: most go to its end, one behind the other.
    std::ranges::sort(rows, {}, [](const ChangedTask& row) { return row.task->spec.id; });
    changed_.set(rows);
    return put_.run();
}

Result<Task> SqliteView::Impl::task_of(const SqliteStatement& row) {
    auto payload = bodies_.read(row, 2);
    if (!payload) return std::unexpected{payload.error()};
    auto result = bodies_.read(row, 3);
    if (!result) return std::unexpected{result.error()};
    auto task = protocol::decode_task_row(row.bytes(1), std::move(*payload), std::move(*result));
    if (!task) return task;
    const auto id = id_of(row);
    if (!id) return std::unexpected{id.error()};
    if (*id != task->spec.id)
        return fail(ErrorCode::view_corrupt, id->to_string() + " holds another task");
    return task;
}

Result<std::vector<Task>> SqliteView::Impl::find(std::span<const TaskId> ids) {
    std::vector<Task> tasks;
    tasks.reserve(ids.size());
    for (const TaskId& id : ids) {
        const auto row = find_.bind_blob(1, id.bytes()).step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) continue;
        auto task = task_of(find_);
        find_.reset();
        if (!task) return std::unexpected{task.error()};
        tasks.push_back(std::move(*task));
    }
    return tasks;
}

Result<std::vector<TaskId>> SqliteView::Impl::match(std::string_view asked) {
    std::vector<TaskId> found;
    if (asked.empty() || asked.size() > id_text_size) return found;
    std::string part{asked};
    for (char& c : part)
        if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    if (fits_at(part, 0)) {
        const std::string low = id_bytes(part, '0');
        const std::string high = id_bytes(part, 'f');
        range_.bind_blob(1, low).bind(2, std::uint64_t{matches_max}).bind_blob(3, high);
        if (const auto done = take_ids(range_, found); !done) return std::unexpected{done.error()};
    }
    if (found.size() >= matches_max || !fits_at(part, id_text_size - part.size())) return found;
    newest_.bind(1, std::uint64_t{suffix_tasks_max});
    for (;;) {
        const auto row = newest_.step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) return found;
        const auto id = id_of(newest_);
        if (!id) {
            newest_.reset();
            return std::unexpected{id.error()};
        }
        if (!id->to_string().ends_with(part) || std::ranges::count(found, *id) > 0) continue;
        found.push_back(*id);
        if (found.size() < matches_max) continue;
        newest_.reset();
        return found;
    }
}

Result<void> SqliteView::Impl::each_live(const std::function<void(const TaskHead&)>& take) {
    for (;;) {
        const auto row = live_.step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) return {};
        const auto id = id_of(live_);
        auto head = id ? protocol::decode_task_head(live_.bytes(1)) : fail(Result<TaskId>{id});
        if (!head) {
            live_.reset();
            return std::unexpected{head.error()};
        }
        head->id = *id;
        take(*head);
    }
}

Result<void> SqliteView::Impl::each_queue(const std::function<void(const QueueRules&)>& take) {
    return each_row(queues_, protocol::decode_queue_row, take);
}

Result<void> SqliteView::Impl::each_operation(const std::function<void(const Operation&)>& take) {
    return each_row(operations_, protocol::decode_operation_row, take);
}

Result<void> SqliteView::Impl::each_group(const std::function<void(const Group&)>& take) {
    return each_row(groups_, protocol::decode_group_row, take);
}

Result<void> SqliteView::Impl::each_schedule(const std::function<void(const Schedule&)>& take) {
    return each_row(schedules_, protocol::decode_schedule_row, take);
}

Result<void> SqliteView::Impl::each_hold(const std::function<void(const WorkerHold&)>& take) {
    return each_row(holds_, protocol::decode_hold_row, take);
}

Result<void> SqliteView::Impl::each_key(const std::function<void(const KeyUse&)>& take) {
    for (;;) {
        const auto row = all_keys_.step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) return {};
        const auto id = id_of(all_keys_);
        if (!id) {
            all_keys_.reset();
            return std::unexpected{id.error()};
        }
        take({std::string{all_keys_.bytes(2)}, *id, WallTime{Duration{all_keys_.number(1)}}});
    }
}

Result<std::vector<KeyUse>> SqliteView::Impl::find_keys(std::span<const std::string> keys) {
    std::vector<KeyUse> found;
    for (const std::string& key : keys) {
        const auto row = find_key_.bind_text(1, key).step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) continue;
        const auto id = id_of(find_key_);
        const WallTime until{Duration{find_key_.number(1)}};
        find_key_.reset();
        if (!id) return std::unexpected{id.error()};
        found.push_back({key, *id, until});
    }
    return found;
}

Result<void> SqliteView::Impl::checkpoint() {
    if (poison_) return std::unexpected{*poison_};
    int pages = 0;
    int copied = 0;
    const int code = sqlite3_wal_checkpoint_v2(db_.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE,
                                               &pages, &copied);
    if (code != SQLITE_OK)
        return std::unexpected{sqlite_error(db_.handle(), code, "checkpoint " + settings_.path)};
    log_pages = static_cast<std::size_t>(std::max(pages - copied, 0));
    return {};
}

SqliteView::SqliteView(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
SqliteView::~SqliteView() = default;

Result<std::unique_ptr<SqliteView>> SqliteView::open(SqliteViewSettings settings) {
    auto impl = std::make_unique<Impl>(std::move(settings));
    if (auto done = impl->open(); !done) return std::unexpected{done.error()};
    return std::unique_ptr<SqliteView>{new SqliteView{std::move(impl)}};
}

Result<port::ViewMark> SqliteView::mark() {
    return impl_->mark;
}
Result<void> SqliteView::store(const port::ViewChange& change) {
    return impl_->store(change);
}
Result<std::vector<Task>> SqliteView::find(std::span<const TaskId> ids) {
    return impl_->find(ids);
}
Result<TaskPage> SqliteView::list(const TaskQuery& query) {
    return impl_->list(query);
}
Result<std::vector<TaskId>> SqliteView::match(std::string_view part) {
    return impl_->match(part);
}
Result<void> SqliteView::each_live(const std::function<void(const TaskHead&)>& take) {
    return impl_->each_live(take);
}
Result<void> SqliteView::each_queue(const std::function<void(const QueueRules&)>& take) {
    return impl_->each_queue(take);
}
Result<void> SqliteView::each_operation(const std::function<void(const Operation&)>& take) {
    return impl_->each_operation(take);
}
Result<void> SqliteView::each_group(const std::function<void(const Group&)>& take) {
    return impl_->each_group(take);
}
Result<void> SqliteView::each_schedule(const std::function<void(const Schedule&)>& take) {
    return impl_->each_schedule(take);
}
Result<void> SqliteView::each_hold(const std::function<void(const WorkerHold&)>& take) {
    return impl_->each_hold(take);
}
Result<void> SqliteView::each_workflow(const std::function<void(const WholeWorkflow&)>& take) {
    return impl_->workflows.each_live(take);
}

Result<std::shared_ptr<const WholeWorkflow>> SqliteView::find_workflow(WorkflowId id) {
    return impl_->workflows.find(id);
}

Result<std::vector<Workflow>> SqliteView::list_workflows(const WorkflowQuery& query) {
    return impl_->workflows.list(query);
}

Result<std::vector<WorkflowId>> SqliteView::workflows_to_drop(const port::OldWorkflows& asked) {
    return impl_->workflows.to_drop(asked);
}

Result<void> SqliteView::each_key(const std::function<void(const KeyUse&)>& take) {
    return impl_->each_key(take);
}
Result<std::vector<KeyUse>> SqliteView::find_keys(std::span<const std::string> keys) {
    return impl_->find_keys(keys);
}
port::TopicRows& SqliteView::topics() {
    return impl_->topics();
}
Result<std::optional<TaskId>> SqliteView::newest_ended() {
    return impl_->newest_ended;
}
Result<void> SqliteView::checkpoint() {
    return impl_->checkpoint();
}
Result<std::optional<port::ViewCopied>> SqliteView::copy_some(const std::string& path,
                                                              const std::string& logs) {
    return impl_->copy_some(path, logs);
}
void SqliteView::drop_copy() {
    impl_->drop_copy();
}
std::size_t SqliteView::log_pages() const {
    return impl_->log_pages;
}

}  // namespace taskd::io
