// What workers' coming and going, the clock and free slots lead to. Nothing here changes state.
#include "engine/rules.hpp"

namespace taskd::engine {

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

namespace {

// What is due for a task with a lease: the worker fell silent, or time is over.
void lease_due(const Context& context, const Task& task, Decision& decision) {
    const TaskId id = task.spec.id;
    const Lease& lease = *task.lease;
    if (lease.revoked) return end_revoked(context, task, decision);
    if (lease.until <= context.now.engine) {
        const NextTry next = after_crash(context, task);
        decision.records.emplace_back(
            AttemptCrashed{id, lease.epoch, next.due_at, next.due_shown, context.now.wall});
        if (!next.due_at) decision.outputs.emplace_back(TaskEnded{id, context.now.engine});
        return;
    }
    if (task.ends_by && *task.ends_by <= context.now.engine) {
        decision.records.emplace_back(TaskExpired{id, true, context.now.wall});
        decision.outputs.emplace_back(TaskEnded{id, context.now.engine});
    } else {
        decision.records.emplace_back(AttemptTimedOut{id, lease.epoch, context.now.wall});
    }
    decision.outputs.emplace_back(SendRevoke{lease.worker, {id, lease.epoch}});
}

void task_due(const Context& context, const Task& task, Decision& decision) {
    if (task.lease) return lease_due(context, task, decision);
    const TaskId id = task.spec.id;
    const EngineTime now = context.now.engine;
    const bool whole = task.ends_by && *task.ends_by <= now;
    const bool late = task.attempts_made == 0 && task.expires && *task.expires <= now;
    if (!whole && !late) {
        decision.records.emplace_back(TaskDue{id});
        return;
    }
    decision.records.emplace_back(TaskExpired{id, whole, context.now.wall});
    decision.outputs.emplace_back(TaskEnded{id, now});
}

}  // namespace

Decision decide_tick(const Context& context) {
    Decision decision;
    const State& state = context.state;
    auto due = state.deadlines.due(context.now.engine, limits::turn_tasks_max);
    const auto by_wall = state.wall_deadlines.due(as_deadline(context.now.wall),
                                                  limits::turn_tasks_max - due.size());
    for (const Slot slot : due)
        if (const Body* body = state.headers[slot].body.get())
            task_due(context, *body->task, decision);
    for (const Slot slot : by_wall)
        if (const Header& header = state.headers[slot]; header.body)
            decision.records.emplace_back(TaskDue{header.id});
    if (decision.records.size() < limits::turn_tasks_max)
        workflows_due(context, limits::turn_tasks_max - decision.records.size(), decision);
    for (const auto& [at, type, key] : state.wakes) {
        if (at > context.now.engine || decision.notes.size() == limits::turn_tasks_max) break;
        decision.notes.emplace_back(RateOpened{type, key, at, context.now.engine});
    }
    deliveries_due(context, decision);
    if (decision.records.empty()) {
        due.insert(due.end(), by_wall.begin(), by_wall.end());
        decision.fetch = bodies_missing(state, due);
    }
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
                   context.now.engine + context.state.settings.lease_duration, context.now.wall,
                   context.now.engine + task.spec.timeout});
    if (queue.rules.rate.limits() || queue.rules.key_rate.limits())
        decision.notes.emplace_back(RateTaken{queue.type, task.spec.key, context.now.engine});
    decision.outputs.emplace_back(SendLease{worker.instance, {task.spec.id, epoch}});
    return decision;
}

Decision decide_resume(const Context& context) {
    Decision decision;
    decision.records.emplace_back(
        EngineResumed{context.now.engine + context.state.settings.lease_duration});
    return decision;
}

namespace {

// Round after round the lanes' next tasks, as they would come. True when enough is asked for.
bool look_into(const State& state, const Queue& queue, std::size_t& bytes,
               std::vector<TaskId>& fetch) {
    std::size_t seen = 0;
    for (std::size_t p = priorities; p-- > 0;) {
        std::vector<Slot> next;
        for (const Lane* lane : queue.turns[p]) {
            if (next.size() == limits::look_ahead_step) break;
            next.push_back(lane->waiting[p].first);
        }
        while (!next.empty()) {
            std::size_t left = 0;
            for (const Slot slot : next) {
                if (fetch.size() == limits::look_ahead_step) return true;
                const Header& header = state.headers[slot];
                if (++seen > limits::look_ahead_tasks) return false;
                if (seen > 1 && bytes > state.settings.waiting_bytes_max) return false;
                if (!header.body) {
                    fetch.push_back(header.id);
                    bytes += header.body_kib * limits::kibibyte;
                }
                if (header.after != 0) next[left++] = header.after;
            }
            next.resize(left);
        }
    }
    return false;
}

}  // namespace

// The bodies that are missing among the first of the queue, as far as the budget goes; that of the
// very first whatever it takes.
Decision decide_look(const Context& context) {
    Decision decision;
    const State& state = context.state;
    std::size_t bytes = state.ahead_bytes;
    for (const Queue* queue : state.hungry) {
        if (look_into(state, *queue, bytes, decision.fetch)) return decision;
        decision.notes.emplace_back(LookedAhead{queue->type});
    }
    return decision;
}

namespace {

// Keys whose time is over and whose task has ended need no memory; beyond the bound the oldest go.
void forget_keys(const Context& context, Sequence covered, Decision& decision) {
    const State& state = context.state;
    std::size_t left = state.keys.size();
    for (const auto& [name, since] : state.key_order) {
        if (decision.notes.size() >= limits::turn_tasks_max || since > covered) break;
        const auto found = state.keys.find(name);
        const bool current = found != state.keys.end() && found->second.since == since;
        bool over = true;
        if (current) {
            const Header* header = state.find(found->second.id);
            over = found->second.until <= context.now.believed() &&
                   (header == nullptr || is_terminal(header->state));
        }
        if (!over && left <= state.settings.keys_in_memory_max) break;
        decision.notes.emplace_back(KeyForgotten{name, !over});
        left -= current ? 1 : 0;
    }
}

}  // namespace

Decision decide_forget(const Context& context, const Forget& command) {
    Decision decision;
    for (const auto& [sequence, id] : context.state.workflows.ended) {
        if (decision.notes.size() == limits::turn_tasks_max) break;
        if (sequence <= command.covered) decision.notes.emplace_back(WorkflowForgotten{id});
    }
    const State& state = context.state;
    const auto& settings = state.settings;
    std::size_t left = state.ended.size();
    std::size_t bytes = state.ended_bytes;
    for (const Body* body = state.ended.front(); body != nullptr; body = state.ended.next(*body)) {
        const bool enough =
            left <= settings.ended_in_memory_max && bytes <= settings.ended_bytes_max;
        if (enough || decision.notes.size() == limits::turn_tasks_max) break;
        if (body->task->changed_as > command.covered) break;
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
    for (const auto& [sequence, id] : state.deleted_order) {
        if (sequence > command.covered || decision.notes.size() >= limits::turn_tasks_max) break;
        decision.notes.emplace_back(DeletionViewed{});
    }
    forget_keys(context, command.covered, decision);
    const std::size_t events = state.topics.forgettable(command.covered, settings.events_bytes_max);
    for (std::size_t i = 0; i < events && decision.notes.size() < limits::turn_tasks_max; ++i)
        decision.notes.emplace_back(EventForgotten{});
    return decision;
}

}  // namespace taskd::engine
