// What workers that pull over HTTP say and are told, as config/openapi.yaml says. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/model/progress.hpp"
#include "taskd/model/task.hpp"

namespace taskd::protocol {

struct LeaseQuestion {
    std::string worker = "http";  // is_instance_name
    std::vector<std::string> types;
    std::size_t max = 1;
    Duration wait{0};
};

// {"worker", "types", "max", "wait_ms"}; all but the types may be left out.
Result<LeaseQuestion> parse_lease_question(std::string_view body);

// {"percent", "note", "details"}, each of which may be left out.
Result<Progress> parse_progress(std::string_view body);
// The same and "at".
void write_progress(std::string& out, const Progress& progress);

// {"lease", "id", "type", "payload", "attempt"} of a task that is leased.
void write_leased_task(std::string& out, const Task& task);

}  // namespace taskd::protocol
