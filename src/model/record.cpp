#include "taskd/model/record.hpp"

namespace taskd {
namespace {

struct TaskOf {
    std::optional<TaskId> operator()(const TaskSubmitted& record) const { return record.spec.id; }
    std::optional<TaskId> operator()(const EngineResumed&) const { return std::nullopt; }
    std::optional<TaskId> operator()(const QueueChanged&) const { return std::nullopt; }
    std::optional<TaskId> operator()(const ScheduleChanged&) const { return std::nullopt; }
    std::optional<TaskId> operator()(const ScheduleRemoved&) const { return std::nullopt; }
    std::optional<TaskId> operator()(const ScheduleFired&) const { return std::nullopt; }
    template <class Other>
    std::optional<TaskId> operator()(const Other& record) const {
        return record.id;
    }
};

}  // namespace

std::optional<TaskId> task_of(const Record& record) {
    return std::visit(TaskOf{}, record);
}

}  // namespace taskd
