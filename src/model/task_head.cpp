#include "taskd/model/task_head.hpp"

namespace taskd {

bool is_live(const Task& task) {
    return !is_terminal(task.state) || task.lease.has_value();
}

std::optional<EngineTime> deadline_of(const Task& task) {
    if (task.lease) return task.lease->until;
    if (task.state == TaskState::scheduled) return task.due_at;
    return std::nullopt;
}

TaskHead head_of(const Task& task) {
    return {task.spec.id,
            task.spec.type,
            task.state,
            task.spec.priority,
            task.lease.has_value(),
            deadline_of(task),
            task.submitted_at,
            static_cast<std::uint32_t>(task.spec.payload.size())};
}

}  // namespace taskd
