// Which bodies of tasks stand outside the view's rows, and when their files may go. A row holds the
// name of such a file as a text in place of the bytes; the two indexes of those names, which SQLite
// keeps, are the only count of who needs a file. One thread at a time.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/store/body_files.hpp"
#include "io/store/sqlite_db.hpp"
#include "taskd/base/bytes.hpp"
#include "taskd/base/ids.hpp"

namespace taskd::io {

// The condition of the indexes, and what finds a name by them.
#define TASKD_NAMED_PAYLOAD "tasks INDEXED BY tasks_payload_file WHERE typeof(payload) = 'text'"
#define TASKD_NAMED_RESULT "tasks INDEXED BY tasks_result_file WHERE typeof(result) = 'text'"

struct ViewBodiesSettings {
    std::string dir;
    std::size_t row_bytes_max = 0;  // longer ones get a file
    // Of another view's file: bodies that stand outside are read, none is put there and none goes.
    bool read_only = false;
};

class ViewBodies {
  public:
    ViewBodies(port::Files& files, ViewBodiesSettings settings);

    Result<void> prepare(SqliteDb& db);
    // What a crash left goes: files that no row names. Before the first transaction, not when the
    // view is opened: by then it is known that it is the one that belongs to the journal.
    Result<void> sweep_once();

    // What a row names.
    struct Names {
        std::optional<std::string> payload;
        std::optional<std::string> result;
    };
    // Within a transaction, before the row of this task is replaced or goes: what it named.
    Result<Names> leave(const TaskId& id);
    // The name that the row is to hold; the file is there then. None: the body belongs in the row.
    // `before` is what it named before: mostly the same.
    Result<std::optional<std::string>> place(std::string_view body,
                                             const std::optional<std::string>& before);
    // Before the commit: what rows will name is durable.
    Result<void> sync() { return files_.sync_folders(); }
    // After the commit: what no row names any more goes.
    void committed();
    // After a commit that is known not to have been: what was written for it goes.
    void rolled_back();
    // Nobody knows whether it was one: all files stay, until a start knows.
    void uncertain();

    Result<Blob> read(const SqliteStatement& row, int column);

    // From hold() to release() no file goes: a copy of the rows reads them.
    void hold() { held_ = true; }
    void release();

    const std::string& dir() const { return settings_.dir; }

  private:
    Result<bool> is_named(const std::string& name);
    void drop_unnamed(std::vector<std::string> names);

    BodyFiles files_;
    ViewBodiesSettings settings_;
    bool any_ = false;  // a row may name a file; else nothing needs to be asked
    bool held_ = false;
    bool swept_ = false;
    std::vector<std::string> left_;     // by rows of this transaction, or while held
    std::vector<std::string> written_;  // for this transaction
    SqliteStatement names_, by_payload_, by_result_;
};

}  // namespace taskd::io
