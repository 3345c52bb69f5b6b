#include "taskd/model/task_head.hpp"

namespace taskd {

bool is_live(const Task& task) {
    return !is_terminal(task.state) || task.lease.has_value();
}

namespace {

void lower(std::optional<EngineTime>& least, const std::optional<EngineTime>& other) {
    if (other && (!least || *other < *least)) least = other;
}

}  // namespace

std::optional<EngineTime> deadline_of(const Task& task) {
    std::optional<EngineTime> least;
    if (task.lease) {
        least = task.lease->until;
        if (!task.lease->revoked) lower(least, task.lease->timeout_at);
    }
    if (is_terminal(task.state) || (task.lease && task.lease->revoked)) return least;
    if (task.state == TaskState::scheduled && task.due_by_wall) return std::nullopt;
    if (task.state == TaskState::scheduled) lower(least, task.due_at);
    if (task.attempts_made == 0) lower(least, task.expires);
    lower(least, task.ends_by);
    return least;
}

TaskHead head_of(const Task& task) {
    return {task.spec.id,      task.spec.type,
            task.spec.key,     task.state,
            task.priority,     task.lease.has_value(),
            deadline_of(task), task.due_by_wall ? task.due_shown : std::nullopt,
            task.submitted_at, static_cast<std::uint32_t>(task.spec.payload.size())};
}

}  // namespace taskd
