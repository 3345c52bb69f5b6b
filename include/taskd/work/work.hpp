// The built-in task types: what a payload is turned into. Pure: no clock, thread, file or network,
// so any thread may run any of them. Adding one: src/work/README.md.
#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>

#include "taskd/base/time.hpp"
#include "taskd/model/task.hpp"

namespace taskd::work {

// What a task comes to. The caller waits `sleep_first`, in a way that can be cancelled, and only
// then reports `result_json`: that is how `wait` stays pure.
struct Outcome {
    std::string result_json;  // one JSON value
    Duration sleep_first{0};

    friend bool operator==(const Outcome&, const Outcome&) = default;
};

// Takes the payload as submitted; empty is a task without one. An error that another attempt would
// not mend is permanent: bad_payload, out_of_range, task_too_large.
using WorkFunction = std::expected<Outcome, TaskError> (*)(std::string_view payload_json);

struct WorkType {
    std::string_view name;         // is_type_name
    std::string_view description;  // one line, as in config/workers.json
    WorkFunction run;
};

// One row a built-in type.
std::span<const WorkType> work_table();

// nullptr when the table has no such type.
const WorkType* find_work(std::span<const WorkType> table, std::string_view name);

// Runs one task within limits::task_bytes_max and limits::result_bytes_max (task_too_large).
std::expected<Outcome, TaskError> run_work(const WorkType& type, std::string_view payload_json);

}  // namespace taskd::work
