// The rules: what each command leads to. Nothing here changes state.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "engine/state.hpp"
#include "taskd/base/assert.hpp"

namespace taskd::engine {
namespace {

Decision refuse(ErrorCode code, std::string detail = {}, std::optional<std::size_t> index = {}) {
    Decision decision;
    decision.refused = Error{code, std::move(detail)};
    decision.index = index;
    return decision;
}

// The wait before the next try; `tries` counts failures and crashes so far, this one included.
Duration backoff_after(const Backoff& backoff, std::uint32_t tries, Random& random) {
    Duration wait = std::min(backoff.initial, backoff.max);
    for (std::uint32_t i = 1; i < tries && wait < backoff.max; ++i)
        wait = std::min<Duration>(wait * limits::backoff_factor, backoff.max);
    // Up to a quarter more, so that tasks that failed together do not come back together.
    const auto quarter = static_cast<std::uint64_t>(wait.count()) / 4;
    return wait + Duration{static_cast<std::int64_t>(random.below(quarter + 1))};
}

struct NextTry {
    std::optional<EngineTime> due_at;
    std::optional<WallTime> due_shown;
};

NextTry next_try(const Context& context, const Task& task) {
    const Duration wait =
        backoff_after(task.spec.backoff, task.failures + task.crashes + 1, context.random);
    return {context.now.engine + wait, context.now.wall + wait};
}

bool is_revoked(const Task& task, LeaseEpoch epoch) {
    return task.lease && task.lease->revoked && task.lease->epoch == epoch;
}

// A word about a lease that no longer counts. A revoked one is over with it: the slot is free.
Decision stale(const Task& task, const LeaseRef& lease) {
    if (is_revoked(task, lease.epoch)) {
        Decision decision;
        decision.records.emplace_back(RevokedLeaseEnded{lease.id, lease.epoch});
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

// Those of them whose bodies are away, as many as may be read at once.
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

// The attempt of this epoch when it is the newest and still shown.
const Attempt* newest_attempt(const Task& task, LeaseEpoch epoch) {
    if (task.attempts.empty() || task.attempts.back().epoch != epoch) return nullptr;
    return &task.attempts.back();
}

}  // namespace

Decision decide_submit(const Context& context, const Submit& command) {
    if (command.tasks.empty())
        return refuse(ErrorCode::invalid_field, "an array of at least one task is needed");
    if (command.tasks.size() > limits::submit_tasks_max) return refuse(ErrorCode::too_many_tasks);
    std::unordered_map<TaskId, const Task*> known;
    for (const Task& task : command.known)
        known.emplace(task.spec.id, &task);
    std::unordered_set<TaskId> seen;
    Decision decision;
    for (std::size_t i = 0; i < command.tasks.size(); ++i) {
        const TaskSpec& spec = command.tasks[i];
        if (command.tasks.size() > 1 && !seen.insert(spec.id).second)
            return refuse(ErrorCode::id_conflict, "the id stands twice in this request", i);
        const Task* there = nullptr;
        if (const Header* header = context.state.find(spec.id)) {
            if (!header->body) {
                decision.fetch.push_back(spec.id);
                continue;
            }
            there = header->body->task.get();
        }
        if (const auto found = known.find(spec.id); there == nullptr && found != known.end())
            decision.known.push_back(*(there = found->second));
        if (there != nullptr) {
            if (there->spec != spec) return refuse(ErrorCode::id_conflict, spec.id.to_string(), i);
            continue;
        }
        const bool may_be_forgotten =
            context.state.forgotten_max && spec.id <= *context.state.forgotten_max;
        if (may_be_forgotten && !command.fetched) decision.fetch.push_back(spec.id);
        decision.records.emplace_back(TaskSubmitted{spec, context.now.wall});
    }
    if (!decision.fetch.empty()) decision.records.clear();
    return decision;
}

Decision decide_cancel(const Context& context, const Cancel& command) {
    const auto found = look_up(context, command.id);
    if (!found) return found.error();
    const Task& task = **found;
    if (task.state == TaskState::cancelled) return {};
    if (is_terminal(task.state))
        return refuse(ErrorCode::task_finished, "it is " + std::string{to_text(task.state)});
    Decision decision;
    decision.records.emplace_back(TaskCancelled{command.id, command.reason, context.now.wall});
    decision.outputs.emplace_back(TaskEnded{command.id});
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
    if (!newest || is_terminal(task.state)) return stale(task, command.lease);
    Decision decision;
    decision.records.emplace_back(
        TaskCompleted{command.lease.id, command.lease.epoch, command.result, context.now.wall});
    decision.outputs.emplace_back(TaskEnded{command.lease.id});
    return decision;
}

Decision decide_fail(const Context& context, const Fail& command) {
    const auto found = look_up(context, command.lease.id);
    if (!found) return found.error();
    const Task& task = **found;
    const Attempt* attempt = newest_attempt(task, command.lease.epoch);
    if (attempt != nullptr && attempt->outcome == AttemptOutcome::failed) return {};
    if (task.epoch != command.lease.epoch || task.state != TaskState::running)
        return stale(task, command.lease);
    const bool dead = command.error.permanent || task.failures + 1 >= task.spec.attempts_max;
    const NextTry next = dead ? NextTry{} : next_try(context, task);
    Decision decision;
    decision.records.emplace_back(AttemptFailed{command.lease.id, command.lease.epoch,
                                                command.error, next.due_at, next.due_shown,
                                                context.now.wall});
    if (dead) decision.outputs.emplace_back(TaskEnded{command.lease.id});
    return decision;
}

Decision decide_release(const Context& context, const Release& command) {
    const auto found = look_up(context, command.lease.id);
    if (!found) return found.error();
    const Task& task = **found;
    const Attempt* attempt = newest_attempt(task, command.lease.epoch);
    if (attempt != nullptr && attempt->outcome == AttemptOutcome::released) return {};
    if (task.epoch != command.lease.epoch || task.state != TaskState::running)
        return stale(task, command.lease);
    Decision decision;
    decision.records.emplace_back(
        AttemptReleased{command.lease.id, command.lease.epoch, context.now.wall});
    return decision;
}

Decision decide_confirm(const Context& context, const ConfirmRevoked& command) {
    const Header* header = context.state.find(command.lease.id);
    if (header == nullptr || !header->body) return {};
    const Task& task = *header->body->task;
    return is_revoked(task, command.lease.epoch) ? stale(task, command.lease) : Decision{};
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

Decision decide_worker_up(const Context& context, const WorkerUp& command) {
    Decision decision;
    const auto found = context.state.workers.find(command.instance);
    const bool known = found != context.state.workers.end() && found->second.up &&
                       found->second.slots == command.slots &&
                       found->second.credit == command.credit &&
                       std::ranges::equal(found->second.queues, command.types, {}, &Queue::type);
    if (!known)
        decision.notes.emplace_back(
            WorkerNoted{command.instance, command.types, command.slots, command.credit});
    return decision;
}

Decision decide_worker_gone(const Context& context, const WorkerGone& command) {
    Decision decision;
    const auto found = context.state.workers.find(command.instance);
    if (found != context.state.workers.end() && found->second.up)
        decision.notes.emplace_back(WorkerForgotten{command.instance});
    return decision;
}

Decision decide_tick(const Context& context) {
    Decision decision;
    const auto due = context.state.deadlines.due(context.now.engine, limits::turn_tasks_max);
    for (const Slot slot : due) {
        if (!context.state.headers[slot].body) continue;
        const Task& task = *context.state.headers[slot].body->task;
        const TaskId id = task.spec.id;
        if (!task.lease) {
            decision.records.emplace_back(TaskDue{id});
            continue;
        }
        if (task.lease->revoked) {
            decision.records.emplace_back(RevokedLeaseEnded{id, task.lease->epoch});
            continue;
        }
        const bool dead = task.crashes + 1 >= task.spec.crashes_max;
        const NextTry next = dead ? NextTry{} : next_try(context, task);
        decision.records.emplace_back(
            AttemptCrashed{id, task.lease->epoch, next.due_at, next.due_shown, context.now.wall});
        if (dead) decision.outputs.emplace_back(TaskEnded{id});
    }
    if (decision.records.empty()) decision.fetch = bodies_missing(context.state, due);
    return decision;
}

Decision decide_match(const Context& context) {
    Decision decision;
    if (context.state.matchable.empty()) return decision;
    const Queue& queue = **context.state.matchable.begin();
    const Task& task = *context.state.headers[queue.next()].body->task;
    const Worker& worker = **queue.free_workers.begin();
    const LeaseEpoch epoch = task.epoch.next();
    decision.records.emplace_back(
        TaskLeased{task.spec.id, epoch, worker.instance,
                   context.now.engine + context.state.settings.lease_duration, context.now.wall});
    decision.outputs.emplace_back(SendLease{worker.instance, {task.spec.id, epoch}});
    return decision;
}

Decision decide_resume(const Context& context) {
    Decision decision;
    decision.records.emplace_back(
        EngineResumed{context.now.engine + context.state.settings.lease_duration});
    return decision;
}

// The bodies that are missing among the first of the queue, as far as the budget goes; that of the
// very first whatever it takes.
Decision decide_look(const Context& context) {
    Decision decision;
    const State& state = context.state;
    std::size_t bytes = state.ahead_bytes;
    for (const Queue* queue : state.hungry) {
        std::size_t seen = 0;
        for (std::size_t p = priorities; p-- > 0;) {
            for (Slot slot = queue->waiting[p].first; slot != 0; slot = state.headers[slot].after) {
                if (decision.fetch.size() == limits::look_ahead_step) return decision;
                const Header& header = state.headers[slot];
                if (++seen > limits::look_ahead_tasks) break;
                if (seen > 1 && bytes > state.settings.waiting_bytes_max) break;
                if (header.body) continue;
                decision.fetch.push_back(header.id);
                bytes += header.body_kib * limits::kibibyte;
            }
        }
        decision.notes.emplace_back(LookedAhead{queue->type});
    }
    return decision;
}

Decision decide_forget(const Context& context, const Forget& command) {
    Decision decision;
    const State& state = context.state;
    const auto& settings = state.settings;
    std::size_t left = state.ended.size();
    std::size_t bytes = state.ended_bytes;
    for (const Body* body = state.ended.front(); body != nullptr; body = state.ended.next(*body)) {
        const bool enough =
            left <= settings.ended_in_memory_max && bytes <= settings.ended_bytes_max;
        if (enough || decision.notes.size() == limits::turn_tasks_max) break;
        if (body->task->changed_as > command.covered) continue;
        decision.notes.emplace_back(TaskForgotten{body->task->spec.id});
        --left;
        bytes -= body->bytes;
    }
    bytes = state.waiting_bytes;
    for (const Body* body = state.waiting.front();
         body != nullptr && bytes > settings.waiting_bytes_max; body = state.waiting.next(*body)) {
        if (decision.notes.size() == limits::turn_tasks_max) break;
        if (body->task->changed_as > command.covered) break;
        decision.notes.emplace_back(TaskUnloaded{body->task->spec.id});
        bytes -= body->bytes;
    }
    return decision;
}

}  // namespace taskd::engine
