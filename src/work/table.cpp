// The table of built-in task types. A row's name is also that of its function in its own file.
#include <algorithm>

#include "taskd/work/work.hpp"
#include "work/payload.hpp"

#define TASKD_WORK_TYPES(ROW)                                                       \
    ROW(reverse, "reverses a text by what people see as characters")                \
    ROW(hash, "digest of a text in hex, SHA-256 unless another algorithm is named") \
    ROW(sum, "adds numbers exactly: a list, a comma-separated text, or one number") \
    ROW(upper, "a text in upper case by the full Unicode mapping")                  \
    ROW(wait, "sleeps the seconds given, up to a day; can be cancelled")

namespace taskd::work {

#define TASKD_WORK_DECLARE(name, description) \
    std::expected<Outcome, TaskError> name(std::string_view payload_json);
TASKD_WORK_TYPES(TASKD_WORK_DECLARE)
#undef TASKD_WORK_DECLARE

namespace {

constexpr WorkType rows[] = {
#define TASKD_WORK_ROW(name, description) {#name, description, &name},
    TASKD_WORK_TYPES(TASKD_WORK_ROW)
#undef TASKD_WORK_ROW
};

}  // namespace

std::span<const WorkType> work_table() {
    return rows;
}

const WorkType* find_work(std::span<const WorkType> table, std::string_view name) {
    const auto row = std::ranges::find(table, name, &WorkType::name);
    return row == table.end() ? nullptr : &*row;
}

std::expected<Outcome, TaskError> run_work(const WorkType& type, std::string_view payload_json) {
    if (payload_json.size() > limits::task_bytes_max)
        return refuse(ErrorCode::task_too_large, "the payload is larger than 1 MiB");
    auto outcome = type.run(payload_json);
    if (outcome && outcome->result_json.size() > limits::result_bytes_max)
        return refuse(ErrorCode::task_too_large, "the result is larger than 1 MiB");
    return outcome;
}

}  // namespace taskd::work
