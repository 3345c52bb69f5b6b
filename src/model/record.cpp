#include "taskd/model/record.hpp"

namespace taskd {
namespace {

template <class Kind>
constexpr bool is_of_workflow =
    std::is_same_v<Kind, StepBegan> || std::is_same_v<Kind, StepEnded> ||
    std::is_same_v<Kind, WorkflowTurned> || std::is_same_v<Kind, WorkflowEnded> ||
    std::is_same_v<Kind, WorkflowRetried> || std::is_same_v<Kind, SignalReceived> ||
    std::is_same_v<Kind, WorkflowDeleted>;

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
    std::optional<TaskId> operator()(const WorkflowStarted&) const { return std::nullopt; }
    template <class Other>
    std::optional<TaskId> operator()(const Other& record) const {
        if constexpr (is_of_workflow<Other>) return std::nullopt;
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

std::optional<WorkflowId> workflow_of(const Record& record) {
    return std::visit(
        []<class Kind>(const Kind& kind) -> std::optional<WorkflowId> {
            if constexpr (is_of_workflow<Kind>) return kind.id;
            return std::nullopt;
        },
        static_cast<const RecordKind&>(record));
}

}  // namespace taskd

template class std::vector<taskd::Record>;
