// The state machine of a task, as one table. A pair that is not in it is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace taskd {

enum class TaskState : std::uint8_t {  // numbers are on disk
    scheduled = 1,                     // waits for a time
    queued = 3,  // waits for a worker (2 is kept for blocked: waits for other tasks)
    running = 4,
    succeeded = 5,
    dead = 6,
    cancelled = 7,
    expired = 8,  // its time was over before it ended
};

enum class TaskEvent : std::uint8_t {
    due,          // its time has come
    lease,        // a worker got it
    complete,     // result of the newest epoch
    time_out,     // an attempt took too long: its worker is told to stop
    fail_again,   // failed, attempts left
    fail_dead,    // failed for good
    crash_again,  // lease ran out, tries left
    crash_dead,   // lease ran out once too often
    release,      // the worker gave it back untouched
    cancel,
    redrive,  // somebody lets it begin anew
    expire,   // not begun in time, or not ended in time
};

struct StateRow {
    TaskState from;
    TaskEvent event;
    TaskState to;
};

std::span<const StateRow> state_table();
// The row's place in the table, or none when the pair is refused.
std::optional<std::size_t> find_row(TaskState from, TaskEvent event);

bool is_terminal(TaskState state);
std::string_view to_text(TaskState state);
std::string_view to_text(TaskEvent event);
std::optional<TaskState> parse_task_state(std::string_view text);

}  // namespace taskd
