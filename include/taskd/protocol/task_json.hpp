// Tasks and errors as JSON, as config/openapi.yaml says. Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/model/task.hpp"

namespace taskd::protocol {

inline constexpr std::string_view json_type = "application/json";
inline constexpr std::string_view lines_type = "application/x-ndjson";  // a value a line

// A submit as it came: one task or an array of them.
struct SubmitBody {
    std::vector<TaskSpec> tasks;
    bool is_array = false;
};

// An error that may name which task of an array it is about.
struct BodyError {
    Error error;
    std::optional<std::size_t> index;
};

// `make_id` gives ids to tasks that bring none.
std::expected<SubmitBody, BodyError> parse_submit(std::string_view body,
                                                  const std::function<TaskId()>& make_id);
std::string write_submit(const std::vector<TaskSpec>& tasks, bool as_array);

// A task to be submitted again and again: without what one task alone can have.
Result<TaskSpec> parse_template(std::string_view raw);
void write_template(std::string& out, const TaskSpec& spec);

// What stands beside a task's own fields.
struct TaskExtras {
    std::string_view waiting_rule;  // empty: it does not wait
    std::string waiting_text;
};

void write_task(std::string& out, const Task& task, const TaskExtras& extras = {});
// {"id","state"} and, when `with_outcome` and it has ended, "result" or "error".
void write_brief(std::string& out, const Task& task, bool with_outcome);

// {"code", "message", "permanent"}.
void write_task_error(std::string& out, const TaskError& error);
Result<TaskError> parse_task_error(std::string_view raw);

// 16 hex digits.
std::string write_session(SessionId session);
Result<SessionId> parse_session(std::string_view text);

}  // namespace taskd::protocol
