#include "taskd/model/operation.hpp"

#include <algorithm>
#include <array>

#include "taskd/base/assert.hpp"

namespace taskd {
namespace {

struct ActionRow {
    OperationAction action;
    std::string_view name;
    std::string_view reach;
};

constexpr std::array<ActionRow, 3> actions{
    {{OperationAction::cancel, "cancel", "state:scheduled,queued,running"},
     {OperationAction::redrive, "redrive", "state:dead,expired"},
     {OperationAction::remove, "delete", "state:succeeded,dead,cancelled,expired"}}};

const ActionRow& row_of(OperationAction action) {
    const auto* row = std::ranges::find(actions, action, &ActionRow::action);
    TASKD_ASSERT(row != actions.end());
    return *row;
}

}  // namespace

std::string_view to_text(OperationAction action) {
    return row_of(action).name;
}

std::string_view reach_of(OperationAction action) {
    return row_of(action).reach;
}

std::optional<OperationAction> parse_operation_action(std::string_view text) {
    const auto* row = std::ranges::find(actions, text, &ActionRow::name);
    if (row == actions.end()) return std::nullopt;
    return row->action;
}

std::string_view to_text(OperationState state) {
    switch (state) {
        case OperationState::running:
            return "running";
        case OperationState::done:
            return "done";
        case OperationState::stopped:
            return "stopped";
    }
    TASKD_ASSERT(false);
    return {};
}

}  // namespace taskd
