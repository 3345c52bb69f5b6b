// The view's workflows: heads, plans and steps in tables of their own, so that the end of one step
// writes little.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/store/sqlite_db.hpp"
#include "taskd/port/view.hpp"

namespace taskd::io {

// SQL of the tables, which version 9 brought.
extern const std::string_view workflow_tables;

class ViewWorkflows {
  public:
    Result<void> prepare(SqliteDb& db);

    // In the transaction of the caller.
    Result<void> store(const port::ViewChange& change);
    Result<void> each_live(const std::function<void(const WholeWorkflow&)>& take);
    // Nothing when there is none.
    Result<std::shared_ptr<const WholeWorkflow>> find(WorkflowId id);
    Result<std::vector<Workflow>> list(const WorkflowQuery& query);
    Result<std::vector<WorkflowId>> to_drop(const port::OldWorkflows& asked);

  private:
    Result<void> store(const WorkflowChange& change);
    Result<WholeWorkflow> read(std::string_view head, WorkflowId id);

    SqliteStatement put_, put_plan_, put_step_, drop_, drop_plan_, drop_steps_, live_, find_,
        find_plan_, find_steps_, list_, count_, oldest_;
    std::string buffer_;
};

}  // namespace taskd::io
