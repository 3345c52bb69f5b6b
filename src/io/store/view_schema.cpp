#include "io/store/view_schema.hpp"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "io/store/view_topics.hpp"
#include "io/store/view_workflows.hpp"
#include "taskd/model/task_head.hpp"
#include "taskd/protocol/record_codec.hpp"

namespace taskd::io {
namespace {

constexpr std::int64_t application_id = 0x7461736b;  // "task"

// Keyed by the time-ordered id, so that inserts go to the end; a row in one place, without a second
// key. Payload and result stand beside the encoded row: they are bound without a copy. Where one of
// them is a text it is the name of the file that holds the bytes. The live index holds only rows
// that live, and their heads, so that a start reads nothing else.
constexpr char tables[] = R"(
CREATE TABLE tasks (
    id BLOB PRIMARY KEY,
    type TEXT NOT NULL,
    state INTEGER NOT NULL,
    live INTEGER NOT NULL,
    queued_as INTEGER NOT NULL,
    key TEXT,
    member_of BLOB,
    row BLOB NOT NULL,
    payload BLOB NOT NULL,
    result BLOB NOT NULL,
    head BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX tasks_by_type_state ON tasks (type, state);
CREATE INDEX tasks_live ON tasks (live, queued_as, head) WHERE live = 1;
CREATE INDEX tasks_by_key ON tasks (key) WHERE key IS NOT NULL;
CREATE INDEX tasks_by_group ON tasks (member_of) WHERE member_of IS NOT NULL;
CREATE INDEX tasks_payload_file ON tasks (payload) WHERE typeof(payload) = 'text';
CREATE INDEX tasks_result_file ON tasks (result) WHERE typeof(result) = 'text';
CREATE TABLE keys (
    key TEXT PRIMARY KEY,
    id BLOB NOT NULL,
    until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX keys_until ON keys (until);
CREATE TABLE queues (
    type TEXT PRIMARY KEY,
    row BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE worker_holds (
    instance TEXT PRIMARY KEY,
    row BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE task_groups (
    id BLOB PRIMARY KEY,
    row BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE operations (
    id BLOB PRIMARY KEY,
    row BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE schedules (
    name TEXT PRIMARY KEY,
    row BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE mark (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    store_id INTEGER NOT NULL,
    sequence INTEGER NOT NULL DEFAULT 0,
    engine INTEGER NOT NULL DEFAULT 0,
    submitted INTEGER NOT NULL DEFAULT 0,
    succeeded INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    leases INTEGER NOT NULL DEFAULT 0,
    expired INTEGER NOT NULL DEFAULT 0,
    kept INTEGER NOT NULL DEFAULT 0,
    newest_ended BLOB
);
)";

Result<void> make_schema(SqliteDb& db, std::uint64_t store_id) {
    const std::string sql = fmt::format(
        "BEGIN IMMEDIATE; {} {} {} INSERT INTO mark (one, store_id) VALUES (1, {});"
        " PRAGMA application_id = {}; PRAGMA user_version = {}; COMMIT",
        tables, topic_tables, workflow_tables, static_cast<std::int64_t>(store_id), application_id,
        view_version);
    return db.run(sql.c_str());
}

// Version 1 had no heads.
Result<void> add_heads(SqliteDb& db) {
    auto select = db.prepare("SELECT id, row, length(payload) FROM tasks WHERE live = 1");
    if (!select) return std::unexpected{select.error()};
    std::vector<std::pair<std::string, std::string>> heads;
    for (;;) {
        const auto row = select->step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) break;
        const auto task = protocol::decode_task_row(select->bytes(1), {}, {});
        if (!task) return std::unexpected{task.error()};
        TaskHead head = head_of(*task);
        head.payload_bytes = static_cast<std::uint32_t>(select->number(2));
        auto& [id, bytes] = heads.emplace_back(select->bytes(0), "");
        protocol::encode_task_head(head, bytes);
    }
    auto update = db.prepare("UPDATE tasks SET head = ?2 WHERE id = ?1");
    if (!update) return std::unexpected{update.error()};
    for (const auto& [id, head] : heads)
        if (auto done = update->bind_blob(1, id).bind_blob(2, head).run(); !done) return done;
    return {};
}

// Version 5 had no column of keys. A thousand rows at a time, so that memory stays small.
Result<void> add_keys(SqliteDb& db) {
    auto select = db.prepare("SELECT id, row FROM tasks WHERE id > ?1 ORDER BY id LIMIT 1000");
    if (!select) return std::unexpected{select.error()};
    auto update = db.prepare("UPDATE tasks SET key = ?2 WHERE id = ?1");
    if (!update) return std::unexpected{update.error()};
    std::string last;
    for (bool more = true; more;) {
        std::vector<std::pair<std::string, std::string>> keys;
        more = false;
        const std::string after = last;
        select->bind_blob(1, after);
        for (;;) {
            const auto row = select->step();
            if (!row) return std::unexpected{row.error()};
            if (!*row) break;
            more = true;
            last = select->bytes(0);
            const auto task = protocol::decode_task_row(select->bytes(1), {}, {});
            if (!task) return std::unexpected{task.error()};
            if (!task->spec.key.empty()) keys.emplace_back(last, task->spec.key);
        }
        for (const auto& [id, key] : keys)
            if (auto done = update->bind_blob(1, id).bind_text(2, key).run(); !done) return done;
    }
    return {};
}

Result<void> upgrade(SqliteDb& db, std::int64_t version) {
    auto done = db.run("BEGIN IMMEDIATE");
    if (done && version < 2) {
        done = db.run(
            "ALTER TABLE tasks ADD COLUMN head BLOB NOT NULL DEFAULT x'';"
            " DROP INDEX tasks_live;"
            " CREATE INDEX tasks_live ON tasks (live, queued_as, head) WHERE live = 1");
        if (done) done = add_heads(db);
    }
    if (done && version < 3)
        done = db.run("ALTER TABLE mark ADD COLUMN expired INTEGER NOT NULL DEFAULT 0");
    if (done && version < 4)
        done = db.run(
            "CREATE TABLE keys (key TEXT PRIMARY KEY, id BLOB NOT NULL, until INTEGER NOT NULL)"
            " WITHOUT ROWID; CREATE INDEX keys_until ON keys (until)");
    if (done && version < 5)
        done =
            db.run("CREATE TABLE queues (type TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID");
    if (done && version < 6) {
        done = db.run(
            "ALTER TABLE tasks ADD COLUMN key TEXT;"
            " ALTER TABLE tasks ADD COLUMN member_of BLOB;"
            " CREATE INDEX tasks_by_group ON tasks (member_of) WHERE member_of IS NOT NULL;"
            " CREATE TABLE worker_holds (instance TEXT PRIMARY KEY, row BLOB NOT NULL)"
            " WITHOUT ROWID;"
            " CREATE TABLE task_groups (id BLOB PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID;"
            " CREATE INDEX tasks_by_key ON tasks (key) WHERE key IS NOT NULL;"
            " CREATE TABLE operations (id BLOB PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID");
        if (done) done = add_keys(db);
        if (done)
            done = db.run(
                "CREATE TABLE schedules (name TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID");
    }
    // Counted by the index that has them; 5 to 8 are the states that end.
    if (done && version < 7)
        done = db.run(
            "ALTER TABLE mark ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;"
            " UPDATE mark SET kept = (SELECT count(*) FROM tasks WHERE state BETWEEN 5 AND 8)");
    // Long bodies that stand in rows stay there until the row is written again.
    if (done && version < 8)
        done = db.run(
            "CREATE INDEX tasks_payload_file ON tasks (payload) WHERE typeof(payload) = 'text';"
            " CREATE INDEX tasks_result_file ON tasks (result) WHERE typeof(result) = 'text'");
    if (done && version < 9) done = db.run(topic_tables);
    if (done && version < 9) done = db.run(std::string{workflow_tables}.c_str());
    if (done) done = db.run(fmt::format("PRAGMA user_version = {}; COMMIT", view_version).c_str());
    return done;
}

// By the version that a step leads to.
constexpr std::pair<std::int64_t, std::string_view> steps[] = {
    {2, "what a start needs of live tasks gets an index"},
    {3, "expired tasks are counted"},
    {4, "idempotency keys get a table"},
    {5, "rules of queues get a table"},
    {6, "groups, operations, schedules and held workers get tables, tasks their key and group"},
    {7, "ended tasks that are kept are counted"},
    {8, "long payloads and results may get files of their own; those there stay where they are"},
    {9, "workflows, topics, their events and groups get tables"},
};
static_assert(std::size(steps) + 1 == view_version);

}  // namespace

std::vector<std::string_view> upgrade_steps(std::int64_t version) {
    std::vector<std::string_view> found;
    for (const auto& [leads_to, text] : steps)
        if (leads_to > version) found.push_back(text);
    return found;
}

Result<void> check_kind(SqliteDb& db) {
    const auto version = db.number("PRAGMA user_version");
    if (!version) return std::unexpected{version.error()};
    const auto application = db.number("PRAGMA application_id");
    if (!application) return std::unexpected{application.error()};
    if (*application != application_id)
        return fail(ErrorCode::view_corrupt, "the file holds the tables of another program");
    if (*version > view_version)
        return fail(ErrorCode::store_too_new, fmt::format("view version {}", *version));
    return {};
}

Result<void> check_schema(SqliteDb& db, std::uint64_t store_id) {
    if (auto known = check_kind(db); !known) return known;
    const auto owner = db.number("SELECT store_id FROM mark");
    if (!owner) return std::unexpected{owner.error()};
    if (static_cast<std::uint64_t>(*owner) != store_id)
        return fail(ErrorCode::store_mismatch, "the view belongs to another store");
    return {};
}

Result<void> open_schema(SqliteDb& db, std::uint64_t store_id) {
    const auto entries = db.number("SELECT count(*) FROM sqlite_schema");
    if (!entries) return std::unexpected{entries.error()};
    if (*entries == 0) return make_schema(db, store_id);
    if (auto checked = check_schema(db, store_id); !checked) return checked;
    const auto version = db.number("PRAGMA user_version");
    if (!version) return std::unexpected{version.error()};
    return *version < view_version ? upgrade(db, *version) : Result<void>{};
}

}  // namespace taskd::io
