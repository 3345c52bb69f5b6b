#include "taskd/model/task_state.hpp"

#include <algorithm>
#include <array>

#include "taskd/base/assert.hpp"
#include "taskd/model/task.hpp"

namespace taskd {
namespace {

using enum TaskState;

// A late result counts as long as nobody else got the task: complete is there for three states.
constexpr StateRow rows[] = {
    {scheduled, TaskEvent::due, queued},       {scheduled, TaskEvent::complete, succeeded},
    {scheduled, TaskEvent::cancel, cancelled}, {queued, TaskEvent::lease, running},
    {queued, TaskEvent::complete, succeeded},  {queued, TaskEvent::cancel, cancelled},
    {running, TaskEvent::complete, succeeded}, {running, TaskEvent::fail_again, scheduled},
    {running, TaskEvent::fail_dead, dead},     {running, TaskEvent::crash_again, scheduled},
    {running, TaskEvent::crash_dead, dead},    {running, TaskEvent::release, queued},
    {running, TaskEvent::cancel, cancelled},   {running, TaskEvent::time_out, running},
    {scheduled, TaskEvent::expire, expired},   {queued, TaskEvent::expire, expired},
    {running, TaskEvent::expire, expired},     {dead, TaskEvent::redrive, queued},
    {expired, TaskEvent::redrive, queued},
};

struct StateName {
    TaskState state;
    std::string_view name;
};

constexpr StateName state_names[] = {{scheduled, "scheduled"}, {queued, "queued"},
                                     {running, "running"},     {succeeded, "succeeded"},
                                     {dead, "dead"},           {cancelled, "cancelled"},
                                     {expired, "expired"}};

}  // namespace

std::span<const StateRow> state_table() {
    return rows;
}

std::optional<std::size_t> find_row(TaskState from, TaskEvent event) {
    for (std::size_t i = 0; i < std::size(rows); ++i)
        if (rows[i].from == from && rows[i].event == event) return i;
    return std::nullopt;
}

bool is_terminal(TaskState state) {
    return state == succeeded || state == dead || state == cancelled || state == expired;
}

std::string_view to_text(TaskState state) {
    const auto* row = std::ranges::find(state_names, state, &StateName::state);
    TASKD_ASSERT(row != std::end(state_names));
    return row->name;
}

std::optional<TaskState> parse_task_state(std::string_view text) {
    const auto* row = std::ranges::find(state_names, text, &StateName::name);
    if (row == std::end(state_names)) return std::nullopt;
    return row->state;
}

std::string_view to_text(TaskEvent event) {
    switch (event) {
        case TaskEvent::due:
            return "due";
        case TaskEvent::lease:
            return "lease";
        case TaskEvent::complete:
            return "complete";
        case TaskEvent::fail_again:
            return "fail_again";
        case TaskEvent::fail_dead:
            return "fail_dead";
        case TaskEvent::crash_again:
            return "crash_again";
        case TaskEvent::crash_dead:
            return "crash_dead";
        case TaskEvent::release:
            return "release";
        case TaskEvent::cancel:
            return "cancel";
        case TaskEvent::redrive:
            return "redrive";
        case TaskEvent::time_out:
            return "time_out";
        case TaskEvent::expire:
            return "expire";
    }
    TASKD_ASSERT(false);
    return {};
}

namespace {

constexpr std::pair<BackoffKind, std::string_view> backoff_names[] = {
    {BackoffKind::fixed, "fixed"},
    {BackoffKind::linear, "linear"},
    {BackoffKind::exponential, "exponential"}};

}  // namespace

std::string_view to_text(BackoffKind kind) {
    return backoff_names[static_cast<std::size_t>(kind)].second;
}

std::optional<BackoffKind> parse_backoff_kind(std::string_view text) {
    for (const auto& [kind, name] : backoff_names)
        if (name == text) return kind;
    return std::nullopt;
}

std::string_view to_text(AttemptOutcome outcome) {
    switch (outcome) {
        case AttemptOutcome::running:
            return "running";
        case AttemptOutcome::succeeded:
            return "succeeded";
        case AttemptOutcome::failed:
            return "failed";
        case AttemptOutcome::crashed:
            return "crashed";
        case AttemptOutcome::released:
            return "released";
        case AttemptOutcome::cancelled:
            return "cancelled";
        case AttemptOutcome::timed_out:
            return "timed_out";
        case AttemptOutcome::expired:
            return "expired";
    }
    TASKD_ASSERT(false);
    return {};
}

}  // namespace taskd
