// What several decisions share: refusals, the wait before the next try, how a revoked lease ends.
#pragma once

#include "engine/state.hpp"

namespace taskd::engine {

Decision refuse(ErrorCode code, std::string detail = {}, std::optional<std::size_t> index = {});

// The wait before the next try; `tries` counts those so far.
Duration backoff_after(const Backoff& backoff, std::uint32_t tries, Random& random);

// Not to be tried again; with the text of the table unless another is given.
TaskError error_of(ErrorCode code, std::string text = {});

// When a task is tried again; nothing when it is not.
struct NextTry {
    std::optional<EngineTime> due_at;
    std::optional<WallTime> due_shown;
};
NextTry after_failure(const Context& context, const Task& task, const TaskError& error,
                      Duration least = Duration{0});
NextTry after_crash(const Context& context, const Task& task);

// A member has ended.
void count_end(Group& group, TaskId id, TaskState state);

// As it is recorded when it is submitted now.
TaskSubmitted submitted(const Now& now, const TaskSpec& spec);

Error stale_delivery(std::string why);

bool is_revoked(const Task& task, LeaseEpoch epoch);
// The task has a lease and it is revoked: what is recorded when that is over, for whatever reason.
void end_revoked(const Context& context, const Task& task, Decision& decision);

// Those of them whose bodies are away, as many as may be read at once.
std::vector<TaskId> bodies_missing(const State& state, const std::vector<Slot>& slots);

}  // namespace taskd::engine
