// The tasks of one change as a table that SQLite reads, so that one statement stores them all:
// what a statement costs is paid once, and cursors stay where the last row went, which for ids
// that grow is where the next one goes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "io/store/sqlite_db.hpp"
#include "taskd/model/task.hpp"

namespace taskd::io {

// A task and, where its payload or result lies in a file of its own, the file's name.
struct ChangedTask {
    const Task* task = nullptr;
    std::optional<std::string> payload_file = {};
    std::optional<std::string> result_file = {};
};

class ChangedTasks {
  public:
    ChangedTasks() = default;
    ChangedTasks(const ChangedTasks&) = delete;
    ChangedTasks& operator=(const ChangedTasks&) = delete;

    // As the table `changed_tasks`, whose columns are those of `tasks`; this must outlive `db`.
    Result<void> attach(SqliteDb& db);
    // What the table holds from now on; `rows` must outlive the statement that reads it.
    void set(const std::vector<ChangedTask>& rows) { rows_ = &rows; }

  private:
    friend struct ChangedTasksTable;
    struct Encoded {
        std::size_t of = SIZE_MAX;  // which row stands here
        std::string row, head;
    };
    const Encoded& encoded(std::size_t at);

    const std::vector<ChangedTask>* rows_ = nullptr;
    Encoded encoded_;
};

}  // namespace taskd::io
