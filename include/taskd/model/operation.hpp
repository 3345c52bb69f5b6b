// An action on all tasks that a search finds, done a few at a time as a durable operation. Values
// only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "taskd/base/ids.hpp"
#include "taskd/base/time.hpp"

namespace taskd {

using OperationId = TaskId;  // of the same form, and of a name space of its own

enum class OperationAction : std::uint8_t { cancel = 1, redrive = 2, remove = 3 };  // on disk
std::string_view to_text(OperationAction action);  // "cancel", "redrive", "delete"
std::optional<OperationAction> parse_operation_action(std::string_view text);
// The search for tasks on which it can be done at all.
std::string_view reach_of(OperationAction action);

enum class OperationState : std::uint8_t { running = 1, done = 2, stopped = 3 };  // on disk
std::string_view to_text(OperationState state);

struct Operation {
    OperationId id;
    OperationAction action = OperationAction::cancel;
    std::string search;      // as it was written; ages are those at the start
    std::string by;          // both may be empty
    std::string reason;      // shown with tasks that are cancelled
    std::uint32_t rate = 0;  // tasks a second; 0: as fast as may be
    WallTime started_at;     // tasks submitted later are not meant
    OperationState state = OperationState::running;
    std::optional<WallTime> ended_at;
    std::optional<TaskId> cursor;   // tasks up to it have been looked at
    std::uint64_t changed = 0;      // tasks it was done on
    std::uint64_t passed_over = 0;  // found, but they had become something else

    friend bool operator==(const Operation&, const Operation&) = default;
};

}  // namespace taskd
