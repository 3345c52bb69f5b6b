// The rules: what each command leads to. Nothing here changes state.
#include <algorithm>

#include "engine/rules.hpp"
#include "taskd/base/assert.hpp"

namespace taskd::engine {
namespace {

// A word about a lease that no longer counts. A revoked one is over with it: the slot is free.
Decision stale(const Context& context, const Task& task, const LeaseRef& lease) {
    if (is_revoked(task, lease.epoch)) {
        Decision decision;
        end_revoked(context, task, decision);
        return decision;
    }
    if (task.lease && task.lease->epoch != lease.epoch)
        return refuse(ErrorCode::stale_lease, "held by " + task.lease->worker + " with epoch " +
                                                  std::to_string(task.lease->epoch.value));
    return refuse(ErrorCode::stale_lease, "epoch " + std::to_string(lease.epoch.value) +
                                              ", task is " + std::string{to_text(task.state)});
}

// The task a command is about; else what to answer: that it is not here, or that its body is
// needed.
std::expected<const Task*, Decision> look_up(const Context& context, TaskId id) {
    const Header* header = context.state.find(id);
    if (header == nullptr)
        return std::unexpected{refuse(ErrorCode::task_not_found, id.to_string())};
    if (header->body) return header->body->task.get();
    Decision decision;
    decision.fetch.push_back(id);
    return std::unexpected{std::move(decision)};
}

// The attempt of this epoch when it is the newest and still shown.
const Attempt* newest_attempt(const Task& task, LeaseEpoch epoch) {
    if (task.attempts.empty() || task.attempts.back().epoch != epoch) return nullptr;
    return &task.attempts.back();
}

}  // namespace

Decision decide_cancel(const Context& context, const Cancel& command) {
    const auto found = look_up(context, command.id);
    if (!found) return found.error();
    const Task& task = **found;
    if (task.state == TaskState::cancelled) return {};
    if (is_terminal(task.state))
        return refuse(ErrorCode::task_finished, "it is " + std::string{to_text(task.state)});
    Decision decision;
    decision.records.emplace_back(TaskCancelled{command.id, command.reason, context.now.wall});
    decision.outputs.emplace_back(TaskEnded{command.id, context.now.engine});
    if (task.lease)
        decision.outputs.emplace_back(
            SendRevoke{task.lease->worker, {command.id, task.lease->epoch}});
    return decision;
}

Decision decide_complete(const Context& context, const Complete& command) {
    const auto found = look_up(context, command.lease.id);
    if (!found) return found.error();
    const Task& task = **found;
    const bool newest = task.epoch == command.lease.epoch && command.lease.epoch.value > 0;
    if (newest && task.state == TaskState::succeeded) return {};
    if (!newest || is_terminal(task.state)) return stale(context, task, command.lease);
    Decision decision;
    decision.records.emplace_back(TaskCompleted{command.lease.id, command.lease.epoch,
                                                command.result, context.now.wall, command.took});
    decision.outputs.emplace_back(TaskEnded{command.lease.id, context.now.engine});
    return decision;
}

Decision decide_fail(const Context& context, const Fail& command) {
    const auto found = look_up(context, command.lease.id);
    if (!found) return found.error();
    const Task& task = **found;
    const Attempt* attempt = newest_attempt(task, command.lease.epoch);
    if (attempt != nullptr && attempt->outcome == AttemptOutcome::failed) return {};
    if (task.epoch != command.lease.epoch || task.state != TaskState::running ||
        task.lease->revoked)
        return stale(context, task, command.lease);
    const NextTry next =
        after_failure(context, task, command.error, command.retry_after.value_or(Duration{0}));
    Decision decision;
    decision.records.emplace_back(AttemptFailed{command.lease.id, command.lease.epoch,
                                                command.error, next.due_at, next.due_shown,
                                                context.now.wall, command.took});
    if (!next.due_at)
        decision.outputs.emplace_back(TaskEnded{command.lease.id, context.now.engine});
    return decision;
}

Decision decide_release(const Context& context, const Release& command) {
    const auto found = look_up(context, command.lease.id);
    if (!found) return found.error();
    const Task& task = **found;
    const Attempt* attempt = newest_attempt(task, command.lease.epoch);
    if (attempt != nullptr && attempt->outcome == AttemptOutcome::released) return {};
    if (task.epoch != command.lease.epoch || task.state != TaskState::running ||
        task.lease->revoked)
        return stale(context, task, command.lease);
    Decision decision;
    decision.records.emplace_back(
        AttemptReleased{command.lease.id, command.lease.epoch, context.now.wall});
    return decision;
}

Decision decide_confirm(const Context& context, const ConfirmRevoked& command) {
    const Header* header = context.state.find(command.lease.id);
    if (header == nullptr || !header->body) return {};
    const Task& task = *header->body->task;
    return is_revoked(task, command.lease.epoch) ? stale(context, task, command.lease) : Decision{};
}

Decision decide_renew(const Context& context, const Renew& command) {
    Decision decision;
    for (const LeaseRef& lease : command.leases) {
        const Header* header = context.state.find(lease.id);
        if (header == nullptr || !header->body || !header->body->task->lease) continue;
        const Lease& held = *header->body->task->lease;
        if (held.epoch != lease.epoch || held.worker != command.worker) continue;
        // A revoked lease is not made longer: its slot must come free even if the task is deaf.
        if (held.revoked)
            decision.outputs.emplace_back(SendRevoke{command.worker, lease});
        else
            decision.notes.emplace_back(
                LeaseRenewed{lease, context.now.engine + context.state.settings.lease_duration});
    }
    return decision;
}

Decision decide_report(const Context& context, const Report& command) {
    const LeaseRef& lease = command.lease;
    const Header* header = context.state.find(lease.id);
    if (header == nullptr) return refuse(ErrorCode::task_not_found, lease.id.to_string());
    const Task* task = header->body ? header->body->task.get() : nullptr;
    const bool holds = task != nullptr && task->lease && task->lease->epoch == lease.epoch;
    if (!holds || (!command.worker.empty() && task->lease->worker != command.worker))
        return refuse(ErrorCode::stale_lease, "epoch " + std::to_string(lease.epoch.value));
    Decision decision;
    if (task->lease->revoked) {
        decision.outputs.emplace_back(SendRevoke{task->lease->worker, lease});
        return decision;
    }
    decision.notes.emplace_back(ProgressNoted{lease, command.progress});
    decision.notes.emplace_back(
        LeaseRenewed{lease, context.now.engine + context.state.settings.lease_duration});
    return decision;
}

}  // namespace taskd::engine
