#include "taskd/model/record.hpp"

namespace taskd {
namespace {

struct TaskOf {
    std::optional<TaskId> operator()(const TaskSubmitted& record) const { return record.spec.id; }
    std::optional<TaskId> operator()(const EngineResumed&) const { return std::nullopt; }
    std::optional<TaskId> operator()(const QueueChanged&) const { return std::nullopt; }
    std::optional<TaskId> operator()(const OperationStarted&) const { return std::nullopt; }
    std::optional<TaskId> operator()(const OperationAdvanced&) const { return std::nullopt; }
    std::optional<TaskId> operator()(const OperationEnded&) const { return std::nullopt; }
    std::optional<TaskId> operator()(const GroupMade&) const { return std::nullopt; }
    std::optional<TaskId> operator()(const GroupClosed&) const { return std::nullopt; }
    std::optional<TaskId> operator()(const GroupEnded&) const { return std::nullopt; }
    std::optional<TaskId> operator()(const ScheduleChanged&) const { return std::nullopt; }
    std::optional<TaskId> operator()(const ScheduleRemoved&) const { return std::nullopt; }
    std::optional<TaskId> operator()(const ScheduleFired&) const { return std::nullopt; }
    std::optional<TaskId> operator()(const WorkerHeld&) const { return std::nullopt; }
    template <OfTopics Topical>
    std::optional<TaskId> operator()(const Topical&) const {
        return std::nullopt;
    }
    template <class Other>
    std::optional<TaskId> operator()(const Other& record) const {
        return record.id;
    }
};

}  // namespace

Record::Record() = default;
Record::Record(const Record& other) = default;
Record::Record(Record&& other) noexcept = default;
Record& Record::operator=(const Record& other) {
    return *this = Record(other);
}
Record& Record::operator=(Record&& other) noexcept = default;
Record::~Record() = default;

std::optional<TaskId> task_of(const Record& record) {
    return std::visit(TaskOf{}, record);
}

}  // namespace taskd

template class std::vector<taskd::Record>;
