// Why a task is where it is: the first rule that holds it, and what would release it.
#include <ranges>

#include "engine/state.hpp"

namespace taskd::engine {
namespace {

constexpr HoldingRule rule_rows[] = {
    {"ended", "it has ended"},
    {"stopping", "its worker has been told to stop and has not confirmed"},
    {"running", "a worker works on it"},
    {"not_due", "it was put off until a time"},
    {"backoff", "its last attempt failed; it is tried again at a time"},
    {"queue_paused", "somebody paused its queue"},
    {"key_paused", "somebody paused its key"},
    {"no_worker", "no worker of its type is there"},
    {"workers_paused", "somebody paused every worker of its type"},
    {"queue_limit", "its queue holds as many leases as it may"},
    {"key_limit", "its key holds as many leases as it may"},
    {"queue_rate", "its queue leases no faster"},
    {"key_rate", "its key is leased no faster"},
    {"workers_full", "every worker of its type holds as many tasks as it may"},
    {"not_asked", "a worker of its type has room, but does not ask for tasks at the moment"},
    {"no_room", "there is no room to write down that it is leased"},
    {"leasing", "it is being handed to a worker"},
};

// Sums of what is known of the task's life.
std::vector<Explanation::Phase> spent_of(const Now& now, const Task& task,
                                         std::optional<Duration> committing) {
    const WallTime end = task.ended_at.value_or(now.wall);
    Duration between{0}, dispatched{0}, running{0};
    WallTime idle_since = task.submitted_at;
    Duration queued{0};
    for (const Attempt& attempt : task.attempts) {
        const bool first = &attempt == &task.attempts.front();
        (first ? queued : between) += attempt.started_at - idle_since;
        idle_since = attempt.ended_at.value_or(end);
        const Duration whole = idle_since - attempt.started_at;
        const Duration work = std::min(attempt.took.value_or(whole), whole);
        running += work;
        dispatched += whole - work;
    }
    (task.attempts.empty() ? queued : between) += end - idle_since;
    std::vector<Explanation::Phase> spent{{"queued", queued}};
    if (!task.attempts.empty()) {
        spent.push_back({"between_attempts", between});
        spent.push_back({"dispatched", dispatched});
        spent.push_back({"running", running});
    }
    if (committing) spent.push_back({"committing", *committing});
    // A wall clock set back must not show less than nothing.
    for (Explanation::Phase& phase : spent)
        phase.took = std::max(phase.took, Duration{0});
    return spent;
}

std::string at(WallTime time) {
    return to_rfc3339(time);
}

Explanation held_by_worker(const Now& now, const Task& task) {
    const Lease& lease = *task.lease;
    const auto in = [&](EngineTime time) { return now.wall + (time - now.engine); };
    if (lease.revoked)
        return {"stopping",
                "worker " + lease.worker + " has been told to stop",
                "the worker confirms, or its lease runs out at " + at(in(lease.until)),
                in(lease.until),
                {}};
    Explanation why{
        "running",
        "worker " + lease.worker + " works on it, attempt " + std::to_string(task.attempts_made),
        "the worker ends it, or falls silent until " + at(in(lease.until)),
        std::nullopt,
        {}};
    const bool whole = task.ends_by && (!lease.timeout_at || *task.ends_by <= *lease.timeout_at);
    if (whole) {
        why.until = in(*task.ends_by);
        why.release += "; it is stopped and expires at " + at(*why.until);
    } else if (lease.timeout_at) {
        why.until = in(*lease.timeout_at);
        why.release += "; it is stopped at " + at(*why.until);
    }
    return why;
}

Explanation scheduled(const Now& now, const Task& task) {
    const WallTime due = task.due_shown.value_or(now.wall);
    if (task.due_by_wall)
        return {"not_due", "it was put off until " + at(due), "the time comes", due, {}};
    Explanation why{"backoff",
                    "attempt " + std::to_string(task.attempts_made) + " failed" +
                        (task.error ? " with " + task.error->code : ""),
                    "the time comes",
                    due,
                    {}};
    if (task.ends_by && task.due_at && *task.ends_by <= *task.due_at) {
        why.until = now.wall + (*task.ends_by - now.engine);
        why.text += "; it expires at " + at(*why.until) + ", before it is tried again";
    } else {
        why.text += "; it is tried again at " + at(due);
    }
    return why;
}

std::string said_by(const Pause& pause) {
    std::string text = "since " + at(pause.since);
    if (!pause.by.empty()) text += " by " + pause.by;
    if (!pause.reason.empty()) text += ": " + pause.reason;
    return text;
}

constexpr std::size_t holders_looked_at = 100;

// One of the leases that fill a limit, and how many there are besides. It is asked for each row of
// a list, so only so many are looked at; when none of them is it, their number has to do.
std::string holders(const Queue& queue, const Lane* lane) {
    const std::size_t leased = lane != nullptr ? lane->leased : queue.leased;
    std::size_t left = holders_looked_at;
    for (const Worker* worker : queue.workers) {
        const auto& leases = worker->leases;
        for (const Body* body = leases.front(); body != nullptr; body = leases.next(*body)) {
            if (left-- == 0) return {};
            const TaskSpec& spec = body->task->spec;
            if (spec.type != queue.type || (lane != nullptr && spec.key != lane->key)) continue;
            const std::string first = ": " + spec.id.to_string();
            return leased == 1 ? first : first + " and " + std::to_string(leased - 1) + " more";
        }
    }
    return {};
}

std::optional<Explanation> by_pause(const QueueRules& rules, const TaskSpec& spec) {
    if (rules.paused)
        return Explanation{"queue_paused",
                           "queue '" + rules.type + "' is paused " + said_by(*rules.paused),
                           "it is resumed",
                           std::nullopt,
                           {}};
    if (const auto found = rules.paused_keys.find(spec.key); found != rules.paused_keys.end())
        return Explanation{"key_paused",
                           "key '" + spec.key + "' is paused " + said_by(found->second),
                           "it is resumed",
                           std::nullopt,
                           {}};
    return std::nullopt;
}

std::optional<Explanation> by_limit(const Now& now, const Queue& queue, const Lane* lane) {
    const QueueRules& rules = queue.rules;
    const auto in = [&](EngineTime time) { return now.wall + (time - now.engine); };
    if (rules.concurrency > 0 && queue.leased >= rules.concurrency)
        return Explanation{"queue_limit",
                           std::to_string(queue.leased) + " of " +
                               std::to_string(rules.concurrency) + " are leased" +
                               holders(queue, nullptr),
                           "one of them ends",
                           std::nullopt,
                           {}};
    if (lane != nullptr && rules.key_concurrency > 0 && !lane->key.empty() &&
        lane->leased >= rules.key_concurrency)
        return Explanation{"key_limit",
                           std::to_string(lane->leased) + " of " +
                               std::to_string(rules.key_concurrency) + " of key '" + lane->key +
                               "' are leased" + holders(queue, lane),
                           "one of them ends",
                           std::nullopt,
                           {}};
    if (queue.bucket.closed) {
        const WallTime until = in(queue.bucket.opens_at(rules.rate));
        return Explanation{"queue_rate",
                           "queue '" + queue.type + "' leases no faster",
                           "the time comes at " + at(until),
                           until,
                           {}};
    }
    if (lane != nullptr && lane->bucket.closed) {
        const WallTime until = in(lane->bucket.opens_at(rules.key_rate));
        return Explanation{"key_rate",
                           "key '" + lane->key + "' is leased no faster",
                           "the time comes at " + at(until),
                           until,
                           {}};
    }
    return std::nullopt;
}

// No worker is free. One that asks for its tasks takes none between two questions, and is not busy.
Explanation by_workers(const Queue& queue) {
    // Of many the first stand for all: it is asked for each row of a list.
    auto looked_at = queue.workers | std::views::take(limits::turn_tasks_max);
    const auto idle = std::ranges::find_if(looked_at, [](const Worker* worker) {
        return !worker->held && worker->credit == 0 && worker->leases.empty();
    });
    const std::string waiting = std::to_string(queue.queued) + " tasks are queued";
    if (idle != looked_at.end())
        return {"not_asked",
                "worker " + (*idle)->instance +
                    " does nothing, but does not ask for tasks of type '" + queue.type +
                    "' at the moment, " + waiting,
                "it asks again, or another worker takes it",
                std::nullopt,
                {}};
    return {"workers_full",
            "all workers of type '" + queue.type + "' are busy, " + waiting,
            "one of " + std::to_string(queue.workers.size()) +
                " workers ends a task, or one more comes",
            std::nullopt,
            {}};
}

Explanation queued(const Now& now, const State& state, const Task& task, bool room) {
    const std::string& type = task.spec.type;
    const auto found = state.queues.find(type);
    if (found != state.queues.end())
        if (auto why = by_pause(found->second.rules, task.spec)) return *why;
    if (found == state.queues.end() || found->second.workers.empty())
        return {"no_worker",
                "no worker of type '" + type + "' is registered",
                "a worker of type '" + type + "' comes",
                std::nullopt,
                {}};
    const Queue& queue = found->second;
    if (std::ranges::all_of(queue.workers, &Worker::held)) {
        const Worker& first = **queue.workers.begin();
        const WorkerHold& hold = *state.hold_of(first.instance);
        return {"workers_paused",
                "all workers of type '" + type + "' are paused, " + first.instance + " " +
                    said_by(*hold.pause),
                "one of them is resumed, or one more comes",
                std::nullopt,
                {}};
    }
    const auto lane = queue.lanes.find(task.spec.key);
    if (auto why = by_limit(now, queue, lane == queue.lanes.end() ? nullptr : &lane->second))
        return *why;
    if (queue.free_workers.empty()) return by_workers(queue);
    if (!room)
        return {"no_room",
                "the journal has no room to write down that it is leased",
                "the disk has room again",
                std::nullopt,
                {}};
    return {
        "leasing", "it is being handed to a worker", "nothing more is needed", std::nullopt, {}};
}

}  // namespace

std::span<const HoldingRule> rule_table() {
    return rule_rows;
}

Explanation Engine::explain(const Now& now, const Task& task, bool room) const {
    Explanation why;
    if (is_terminal(task.state) && !task.lease)
        why = {"ended", "it is " + std::string{to_text(task.state)}, "", std::nullopt, {}};
    else if (task.lease)
        why = held_by_worker(now, task);
    else if (task.state == TaskState::scheduled)
        why = scheduled(now, task);
    else
        why = queued(now, *state_, task, room);
    const Header* header = state_->find(task.spec.id);
    const bool known = header != nullptr && header->body && is_terminal(task.state);
    why.spent = spent_of(now, task, known ? header->body->committing : std::nullopt);
    return why;
}

}  // namespace taskd::engine
