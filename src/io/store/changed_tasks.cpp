#include "io/store/changed_tasks.hpp"

#include <utility>

#include "taskd/model/task_head.hpp"
#include "taskd/protocol/record_codec.hpp"

namespace taskd::io {
namespace {

enum Column { id, type, state, live, queued_as, key, member_of, row, payload, result, head };
constexpr char columns[] =
    "CREATE TABLE changed_tasks (id, type, state, live, queued_as, key, member_of, row, payload,"
    " result, head)";

// What is handed over stays where it is until the row has been taken.
void give_blob(sqlite3_context* to, std::string_view bytes) {
    // An empty view may have no address, which SQLite would take for NULL.
    sqlite3_result_blob64(to, bytes.empty() ? "" : bytes.data(), bytes.size(), SQLITE_STATIC);
}
void give_text(sqlite3_context* to, std::string_view text) {
    sqlite3_result_text64(to, text.empty() ? "" : text.data(), text.size(), SQLITE_STATIC,
                          SQLITE_UTF8);
}
void give_body(sqlite3_context* to, const std::optional<std::string>& file, const Blob& body) {
    file ? give_text(to, *file) : give_blob(to, body.view());
}

}  // namespace

// The table's C interface.
struct ChangedTasksTable : sqlite3_vtab {
    explicit ChangedTasksTable(ChangedTasks& all) : sqlite3_vtab{}, owner{all} {}
    ChangedTasks& owner;

    struct Cursor : sqlite3_vtab_cursor {
        Cursor() : sqlite3_vtab_cursor{} {}
        std::size_t at = 0;
    };
    static ChangedTasks& owner_of(sqlite3_vtab_cursor* cursor) {
        return static_cast<ChangedTasksTable*>(cursor->pVtab)->owner;
    }
    static Cursor& self(sqlite3_vtab_cursor* cursor) { return *static_cast<Cursor*>(cursor); }

    static int connect(sqlite3* db, void* owner, int, const char* const*, sqlite3_vtab** made,
                       char**) {
        const int code = sqlite3_declare_vtab(db, columns);
        if (code == SQLITE_OK) *made = new ChangedTasksTable{*static_cast<ChangedTasks*>(owner)};
        return code;
    }
    static int disconnect(sqlite3_vtab* table) {
        delete static_cast<ChangedTasksTable*>(table);
        return SQLITE_OK;
    }
    static int best_index(sqlite3_vtab*, sqlite3_index_info*) { return SQLITE_OK; }
    static int open(sqlite3_vtab*, sqlite3_vtab_cursor** made) {
        *made = new Cursor{};
        return SQLITE_OK;
    }
    static int close(sqlite3_vtab_cursor* cursor) {
        delete &self(cursor);
        return SQLITE_OK;
    }
    static int filter(sqlite3_vtab_cursor* cursor, int, const char*, int, sqlite3_value**) {
        self(cursor).at = 0;
        owner_of(cursor).encoded_.of = SIZE_MAX;
        return SQLITE_OK;
    }
    static int next(sqlite3_vtab_cursor* cursor) {
        ++self(cursor).at;
        return SQLITE_OK;
    }
    static int at_end(sqlite3_vtab_cursor* cursor) {
        return self(cursor).at >= owner_of(cursor).rows_->size() ? 1 : 0;
    }
    static int number(sqlite3_vtab_cursor* cursor, sqlite3_int64* out) {
        *out = static_cast<sqlite3_int64>(self(cursor).at);
        return SQLITE_OK;
    }
    static int column(sqlite3_vtab_cursor* cursor, sqlite3_context* to, int which) {
        ChangedTasks& owner = owner_of(cursor);
        const std::size_t at = self(cursor).at;
        const ChangedTask& changed = (*owner.rows_)[at];
        const Task& task = *changed.task;
        switch (static_cast<Column>(which)) {
            case id:
                give_blob(to, task.spec.id.bytes());
                break;
            case type:
                give_text(to, task.spec.type);
                break;
            case state:
                sqlite3_result_int(to, std::to_underlying(task.state));
                break;
            case live:
                sqlite3_result_int(to, is_live(task) ? 1 : 0);
                break;
            case queued_as:
                sqlite3_result_int64(to, static_cast<sqlite3_int64>(task.queued_as.value));
                break;
            case key:
                if (!task.spec.key.empty()) give_text(to, task.spec.key);
                break;
            case member_of:
                if (task.spec.group) give_blob(to, task.spec.group->bytes());
                break;
            case row:
                give_blob(to, owner.encoded(at).row);
                break;
            case payload:
                give_body(to, changed.payload_file, task.spec.payload);
                break;
            case result:
                give_body(to, changed.result_file, task.result);
                break;
            case head:
                give_blob(to, owner.encoded(at).head);
                break;
        }
        return SQLITE_OK;
    }
};

const ChangedTasks::Encoded& ChangedTasks::encoded(std::size_t at) {
    if (encoded_.of == at) return encoded_;
    const Task& task = *(*rows_)[at].task;
    encoded_.of = at;
    encoded_.row.clear();
    protocol::encode_task_row(task, encoded_.row);
    encoded_.head.clear();
    if (is_live(task)) protocol::encode_task_head(head_of(task), encoded_.head);
    return encoded_;
}

Result<void> ChangedTasks::attach(SqliteDb& db) {
    static const sqlite3_module module = [] {
        sqlite3_module made{};  // without a way to create it: it is there of itself
        made.xConnect = ChangedTasksTable::connect;
        made.xBestIndex = ChangedTasksTable::best_index;
        made.xDisconnect = ChangedTasksTable::disconnect;
        made.xOpen = ChangedTasksTable::open;
        made.xClose = ChangedTasksTable::close;
        made.xFilter = ChangedTasksTable::filter;
        made.xNext = ChangedTasksTable::next;
        made.xEof = ChangedTasksTable::at_end;
        made.xColumn = ChangedTasksTable::column;
        made.xRowid = ChangedTasksTable::number;
        return made;
    }();
    const int code = sqlite3_create_module(db.handle(), "changed_tasks", &module, this);
    if (code != SQLITE_OK) return std::unexpected{sqlite_error(db.handle(), code, "changed_tasks")};
    return {};
}

}  // namespace taskd::io
