// Workflows as the API writes them, for people.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "client.hpp"

namespace taskd::roles {

// One line each.
std::string write_workflows(const std::vector<JsonView>& workflows);
// One workflow, field by field, and with `steps` a table of its steps.
std::string write_workflow(const JsonView& workflow, bool steps);
std::string write_steps(const std::vector<JsonView>& steps);
// What a workflow waits for; of one step alone unless `step` is empty.
std::string write_waits(const JsonView& explanation, const std::string& step);

bool has_ended(const JsonView& workflow);

// Tells of a workflow while it runs: a table that is drawn anew on a terminal, elsewhere a line for
// each step whose state has changed.
class WorkflowWatch {
  public:
    explicit WorkflowWatch(bool on_terminal) : on_terminal_{on_terminal} {}

    // What is to be written now.
    std::string next(const JsonView& workflow);

  private:
    std::string redrawn(const JsonView& workflow);

    bool on_terminal_;
    std::size_t lines_drawn_ = 0;
    std::map<std::string, std::string> states_;
};

}  // namespace taskd::roles
