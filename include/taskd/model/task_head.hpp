// The little that must be known of a live task to keep it in its place: the view hands these over
// at a start, the rest of the task is read when its turn comes.
#pragma once

#include <optional>
#include <string>

#include "taskd/model/task.hpp"

namespace taskd {

struct TaskHead {
    TaskId id;
    std::string type;
    std::string key;
    TaskState state = TaskState::queued;
    std::uint8_t priority = 5;
    bool leased = false;                 // then the engine needs the whole task
    std::optional<EngineTime> deadline;  // when the engine has to look at it next
    std::optional<WallTime> due;         // or this, by the wall clock
    WallTime submitted_at;
    std::uint32_t payload_bytes = 0;

    friend bool operator==(const TaskHead&, const TaskHead&) = default;
};

TaskHead head_of(const Task& task);
// Not ended, or ended with a lease still held.
bool is_live(const Task& task);
// When the engine has to look at the task next, by its own clock; none while a wall time counts.
std::optional<EngineTime> deadline_of(const Task& task);

}  // namespace taskd
