// Lists and searches of the view: ids from its indexes, in order, and rows read to know.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "io/store/sqlite_db.hpp"
#include "io/store/view_search.hpp"

namespace taskd::io {

// The id in the first column; view_corrupt when it is none.
Result<TaskId> id_of(const SqliteStatement& row);
// Those of all rows; the statement is reset afterwards.
Result<void> take_ids(SqliteStatement& statement, std::vector<TaskId>& ids);

class ViewFinder {
  public:
    // A page ends with the task whose payload and result reach `page_bytes_max`.
    Result<void> prepare(SqliteDb& db, std::size_t page_bytes_max);

    // The whole task, or none.
    using ReadTask = std::function<Result<std::vector<Task>>(const TaskId&)>;
    Result<TaskPage> list(const TaskQuery& query, const ReadTask& read);

  private:
    // Ids in their order, read a few at a time from each of several streams.
    struct Stream {
        SqliteStatement* statement = nullptr;
        std::string text;  // type, key or group
        TaskState state{};
        std::optional<TaskId> after;
        std::vector<TaskId> ids;
        std::size_t at = 0;
        std::size_t step = 0;
    };
    class Candidates;

    Result<std::vector<Stream>> streams_of(const SearchPlan& plan, const TaskQuery& query);
    Result<bool> refill(Stream& stream);
    Result<std::optional<Task>> read_if(const TaskId& id, const TaskQuery& query,
                                        const SearchPlan& plan, const ReadTask& read);
    Result<std::vector<std::string>> types();

    std::size_t page_bytes_max_ = 0;
    SqliteStatement find_row_, all_, by_type_state_, by_key_, by_group_, next_type_;
};

}  // namespace taskd::io
