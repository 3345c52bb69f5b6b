// How one task's end is shown: its result on stdout, why there is none on stderr, and the exit
// code.
#pragma once

#include <string>

#include "options.hpp"
#include "taskd/service/task_client.hpp"

namespace taskd::roles {

// -o json|table|id; without it the result alone.
OptionRow output_row();

int print_outcome(service::TaskClient& client, const Result<service::TaskOutcome>& outcome,
                  const std::string& output);

// A whole task, as the API writes it, line by line.
std::string write_task_table(std::string_view task_json);

}  // namespace taskd::roles
