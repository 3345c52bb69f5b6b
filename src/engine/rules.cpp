#include "engine/rules.hpp"

#include <algorithm>

namespace taskd::engine {

Duration backoff_after(const Backoff& backoff, std::uint32_t tries, Random& random) {
    Duration wait = std::min(backoff.initial, backoff.max);
    for (std::uint32_t i = 1; i < tries && wait < backoff.max; ++i) {
        if (backoff.kind == BackoffKind::fixed) break;
        const Duration next = backoff.kind == BackoffKind::linear ? wait + backoff.initial
                                                                  : wait * limits::backoff_factor;
        if (next == wait) break;
        wait = std::min<Duration>(next, backoff.max);
    }
    // More by chance, so that tasks that failed together do not come back together.
    const auto most = static_cast<std::uint64_t>(wait.count()) * backoff.jitter / 100;
    return wait + Duration{static_cast<std::int64_t>(random.below(most + 1))};
}

namespace {

NextTry next_try(const Context& context, const Task& task, Duration least) {
    const Duration wait = std::max(
        least, backoff_after(task.spec.backoff, task.failures + task.crashes + 1, context.random));
    return {context.now.engine + wait, context.now.wall + wait};
}

}  // namespace

Decision refuse(ErrorCode code, std::string detail, std::optional<std::size_t> index) {
    Decision decision;
    decision.refused = Error{code, std::move(detail)};
    decision.index = index;
    return decision;
}

TaskError error_of(ErrorCode code, std::string text) {
    const ErrorRow& row = row_of(code);
    return {std::string{row.name}, text.empty() ? std::string{row.text} : std::move(text), true};
}

NextTry after_failure(const Context& context, const Task& task, const TaskError& error,
                      Duration least) {
    const auto& never = task.spec.no_retry;
    const bool dead = error.permanent || task.failures + 1 >= task.spec.attempts_max ||
                      std::ranges::find(never, error.code) != never.end();
    return dead ? NextTry{} : next_try(context, task, least);
}

NextTry after_crash(const Context& context, const Task& task) {
    const auto& never = task.spec.no_retry;
    const bool dead = task.crashes + 1 >= task.spec.crashes_max ||
                      std::ranges::find(never, row_of(ErrorCode::crashed).name) != never.end();
    return dead ? NextTry{} : next_try(context, task, Duration{0});
}

Error stale_delivery(std::string why) {
    return Error{ErrorCode::stale_delivery, std::move(why)};
}

bool is_revoked(const Task& task, LeaseEpoch epoch) {
    return task.lease && task.lease->revoked && task.lease->epoch == epoch;
}

void end_revoked(const Context& context, const Task& task, Decision& decision) {
    const LeaseEpoch epoch = task.lease->epoch;
    if (is_terminal(task.state)) {
        decision.records.emplace_back(RevokedLeaseEnded{task.spec.id, epoch});
        return;
    }
    const NextTry next = after_failure(context, task, *task.error);
    decision.records.emplace_back(
        TimedOutLeaseEnded{task.spec.id, epoch, next.due_at, next.due_shown, context.now.wall});
    if (!next.due_at) decision.outputs.emplace_back(TaskEnded{task.spec.id, context.now.engine});
}

std::vector<TaskId> bodies_missing(const State& state, const std::vector<Slot>& slots) {
    std::vector<TaskId> ids;
    std::size_t bytes = 0;
    for (const Slot slot : slots) {
        const Header& header = state.headers[slot];
        if (header.body) continue;
        bytes += header.body_kib * limits::kibibyte;
        if (!ids.empty() && bytes > state.settings.waiting_bytes_max) break;
        ids.push_back(header.id);
    }
    return ids;
}

}  // namespace taskd::engine
