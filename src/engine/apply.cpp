// What each record does to the state. Recovery runs exactly this.
#include <algorithm>

#include "engine/rules.hpp"
#include "taskd/base/assert.hpp"
#include "taskd/base/error.hpp"

namespace taskd::engine {
namespace {

void apply_rules(State& state, const QueueRules& rules) {
    Queue& queue = state.queue_of(rules.type);
    queue.rules = rules;
    queue.ruled = true;
    // Without a rate nothing is held back; after a restart no note says so.
    if (!rules.rate.limits()) queue.bucket.closed = false;
    for (auto& [key, lane] : queue.lanes) {
        if (!rules.key_rate.limits()) lane.bucket.closed = false;
        state.refresh(lane);
    }
    state.refresh(queue);
}

void hold_worker(State& state, const WorkerHold& hold) {
    if (hold.pause)
        state.holds[hold.instance] = hold;
    else
        state.holds.erase(hold.instance);
    for (auto& [instance, worker] : state.workers) {
        const bool held = state.hold_of(instance) != nullptr;
        if (worker.held == held) continue;
        state.take_free(worker);
        worker.held = held;
        state.give_free(worker);
    }
}

class Applier {
  public:
    Applier(State& state, Sequence sequence) : state_{state}, sequence_{sequence} {}

    void operator()(const TaskSubmitted& record) {
        auto task = std::make_shared<Task>();
        task->spec = record.spec;
        task->priority = record.spec.priority;
        task->submitted_at = record.at;
        task->queued_as = sequence_;
        task->expires = record.expires;
        task->ends_by = record.ends_by;
        if (record.due) {
            task->state = TaskState::scheduled;
            task->due_by_wall = true;
            task->due_shown = record.due;
        }
        if (!state_.deleted.empty()) state_.deleted.erase(record.spec.id);
        Header& header = state_.add(head_of(*task));
        state_.attach(header, std::move(task));
        state_.touch(*header.body, sequence_);
        state_.place(header);
        state_.use_key(key_use_of(record.spec, record.at), sequence_);
        if (Group* group = group_of(*header.body->task)) ++group->tasks;
        if (record.spec.step) step_task_began(state_, record.spec, record.at);
        ++state_.totals.submitted;
    }

    void operator()(const TaskLeased& record) {
        change(record.id, [&](Header& header, Task& task) {
            state_.move(header, task, TaskEvent::lease);
            task.epoch = record.epoch;
            task.lease = Lease{record.epoch, record.worker, record.until, false, record.timeout_at};
            ++task.attempts_made;
            if (task.attempts.size() == limits::attempts_shown_max)
                task.attempts.erase(task.attempts.begin());
            task.attempts.push_back({task.attempts_made, record.epoch, record.worker, record.at,
                                     std::nullopt, AttemptOutcome::running, std::nullopt});
            state_.take_turn(state_.lane_at(header));
            ++state_.queue_at(header).leased_since_look;
            ++state_.totals.leases;
        });
    }

    void operator()(const TaskCompleted& record) {
        change(record.id, [&](Header& header, Task& task) {
            state_.move(header, task, TaskEvent::complete);
            end_attempt(task, record.epoch, AttemptOutcome::succeeded, record.at);
            task.attempts.back().took = record.took;
            task.lease.reset();
            task.result = record.result;
            task.error.reset();
            end(task, record.at);
            ++state_.totals.succeeded;
        });
    }

    void operator()(const AttemptFailed& record) {
        change(record.id, [&](Header& header, Task& task) {
            state_.move(header, task, record.due_at ? TaskEvent::fail_again : TaskEvent::fail_dead);
            end_attempt(task, record.epoch, AttemptOutcome::failed, record.at, record.error);
            task.attempts.back().took = record.took;
            task.error = record.error;
            ++task.failures;
            ++state_.totals.failures;
            wait_or_die(task, record.due_at, record.due_shown, record.at);
        });
    }

    void operator()(const AttemptCrashed& record) {
        change(record.id, [&](Header& header, Task& task) {
            state_.move(header, task,
                        record.due_at ? TaskEvent::crash_again : TaskEvent::crash_dead);
            TaskError error{std::string{row_of(ErrorCode::crashed).name},
                            "worker " + task.lease->worker + " vanished", false};
            end_attempt(task, record.epoch, AttemptOutcome::crashed, record.at, error);
            task.error = std::move(error);
            ++task.crashes;
            ++state_.totals.crashes;
            wait_or_die(task, record.due_at, record.due_shown, record.at);
        });
    }

    void operator()(const AttemptReleased& record) {
        change(record.id, [&](Header& header, Task& task) {
            state_.move(header, task, TaskEvent::release);
            end_attempt(task, record.epoch, AttemptOutcome::released, record.at);
            task.lease.reset();
            task.queued_as = sequence_;
        });
    }

    void operator()(const TaskDue& record) {
        change(record.id, [&](Header& header, Task& task) {
            state_.move(header, task, TaskEvent::due);
            task.due_at.reset();
            task.due_shown.reset();
            task.due_by_wall = false;
            task.queued_as = sequence_;
        });
    }

    void operator()(const TaskCancelled& record) {
        change(record.id, [&](Header& header, Task& task) {
            state_.move(header, task, TaskEvent::cancel);
            revoke(task, AttemptOutcome::cancelled, record.at);
            task.error =
                TaskError{std::string{row_of(ErrorCode::cancelled).name}, record.reason, true};
            end(task, record.at);
            ++state_.totals.cancelled;
        });
    }

    void operator()(const AttemptTimedOut& record) {
        change(record.id, [&](Header& header, Task& task) {
            state_.move(header, task, TaskEvent::time_out);
            TaskError error{std::string{row_of(ErrorCode::attempt_timeout).name},
                            "the attempt took longer than it may", false};
            revoke(task, AttemptOutcome::timed_out, record.at, error);
            task.error = std::move(error);
        });
    }

    void operator()(const TimedOutLeaseEnded& record) {
        change(record.id, [&](Header& header, Task& task) {
            TASKD_ASSERT(task.lease && task.lease->revoked && task.lease->epoch == record.epoch);
            state_.move(header, task, record.due_at ? TaskEvent::fail_again : TaskEvent::fail_dead);
            ++task.failures;
            ++state_.totals.failures;
            wait_or_die(task, record.due_at, record.due_shown, record.at);
        });
    }

    void operator()(const TaskExpired& record) {
        change(record.id, [&](Header& header, Task& task) {
            state_.move(header, task, TaskEvent::expire);
            revoke(task, AttemptOutcome::expired, record.at);
            const ErrorRow& row =
                row_of(record.whole ? ErrorCode::deadline_exceeded : ErrorCode::expired);
            task.error = TaskError{std::string{row.name}, std::string{row.text}, true};
            end(task, record.at);
            ++state_.totals.expired;
        });
    }

    void operator()(const PriorityChanged& record) {
        change(record.id, [&](Header&, Task& task) {
            task.priority = record.priority;
            if (task.state == TaskState::queued) task.queued_as = sequence_;
        });
    }

    void operator()(const QueueChanged& record) {
        apply_rules(state_, record.rules);
        state_.changed_queues.insert(record.rules.type);
    }

    void operator()(const TaskRedriven& record) {
        change(record.id, [&](Header& header, Task& task) {
            if (Group* group = group_of(task)) count_back(*group, record.id, task.state);
            state_.move(header, task, TaskEvent::redrive);
            ++task.redrives;
            task.failures = task.crashes = 0;
            task.ended_at.reset();
            count_out();
            task.expires = record.expires;
            task.ends_by = record.ends_by;
            task.queued_as = sequence_;
            if (record.holds_key)
                state_.use_key(key_use_of(task.spec, task.submitted_at), sequence_);
        });
    }

    void operator()(const PayloadEdited& record) {
        change(record.id, [&](Header& header, Task& task) {
            task.spec.payload = record.payload;
            task.edited_at = record.at;
            header.body_kib = body_kib(task.spec.payload.size());
        });
    }

    void operator()(const TaskDeleted& record) {
        if (const Slot slot = state_.headers.find(record.id); slot != 0)
            state_.remove(state_.headers[slot]);
        if (!state_.deleted.contains(record.id)) count_out();
        state_.gone.tasks.push_back(record.id);
        state_.deleted[record.id] = sequence_;
        state_.deleted_order.emplace_back(sequence_, record.id);
    }

    void operator()(const OperationStarted& record) {
        const OperationId id = record.operation.id;
        state_.operations[id] = record.operation;
        ++state_.operations_running;
        state_.changed_operations.insert(id);
        drop_old_operations();
    }

    void operator()(const WorkerHeld& record) {
        hold_worker(state_, record.hold);
        state_.changed_holds[record.hold.instance] = record.hold;
    }

    void operator()(const GroupMade& record) {
        state_.groups[record.group->id] = *record.group;
        ++state_.groups_running;
        state_.changed_groups.insert(record.group->id);
    }

    void operator()(const GroupClosed& record) {
        state_.groups.at(record.id).state = GroupState::closed;
        state_.changed_groups.insert(record.id);
    }

    void operator()(const GroupEnded& record) {
        Group& group = state_.groups.at(record.id);
        group.state = GroupState::done;
        group.ended_at = record.at;
        group.completed_by = record.completed_by;
        --state_.groups_running;
        state_.changed_groups.insert(record.id);
        drop_old_groups();
    }

    void operator()(const OperationAdvanced& record) {
        Operation& operation = state_.operations.at(record.id);
        if (record.cursor) operation.cursor = record.cursor;
        operation.changed += record.changed;
        operation.passed_over += record.passed_over;
        state_.changed_operations.insert(record.id);
    }

    void operator()(const OperationEnded& record) {
        Operation& operation = state_.operations.at(record.id);
        operation.state = record.stopped ? OperationState::stopped : OperationState::done;
        operation.ended_at = record.at;
        --state_.operations_running;
        state_.changed_operations.insert(record.id);
    }
    void operator()(const WorkflowStarted& record) { apply_workflow(state_, sequence_, record); }
    void operator()(const StepBegan& record) { apply_workflow(state_, sequence_, record); }
    void operator()(const StepEnded& record) { apply_workflow(state_, sequence_, record); }
    void operator()(const WorkflowTurned& record) { apply_workflow(state_, sequence_, record); }
    void operator()(const WorkflowEnded& record) { apply_workflow(state_, sequence_, record); }
    void operator()(const WorkflowRetried& record) { apply_workflow(state_, sequence_, record); }
    void operator()(const SignalReceived& record) { apply_workflow(state_, sequence_, record); }
    void operator()(const WorkflowDeleted& record) { apply_workflow(state_, sequence_, record); }
    void operator()(const ScheduleChanged& record) { apply_schedule(state_, sequence_, record); }
    void operator()(const ScheduleRemoved& record) { apply_schedule(state_, sequence_, record); }
    void operator()(const ScheduleFired& record) { apply_schedule(state_, sequence_, record); }

    template <OfTopics Record>
    void operator()(const Record& record) {
        state_.topics.apply(sequence_, record);
        if constexpr (std::is_same_v<Record, EventPublished>) workflow_event(state_, record.event);
    }

    void operator()(const RevokedLeaseEnded& record) {
        change(record.id, [&](Header&, Task& task) {
            TASKD_ASSERT(task.lease && task.lease->revoked && task.lease->epoch == record.epoch);
            task.lease.reset();
        });
    }

    void operator()(const EngineResumed& record) {
        state_.started_at = record.leases_until - state_.settings.lease_duration;
        for (auto& [type, queue] : state_.queues)
            close_buckets(queue);
        std::vector<TaskId> leased;
        for (const auto& [name, worker] : state_.workers)
            for (const Body* body = worker.leases.front(); body != nullptr;
                 body = worker.leases.next(*body))
                leased.push_back(body->task->spec.id);
        for (const TaskId& id : leased)
            change(id, [&](Header&, Task& task) { task.lease->until = record.leases_until; });
        state_.topics.extend_leases(state_.started_at);
    }

  private:
    // The group of a member that still counts, noted as changed.
    Group* group_of(const Task& task) {
        if (!task.spec.group) return nullptr;
        const auto found = state_.groups.find(*task.spec.group);
        if (found == state_.groups.end() || found->second.state == GroupState::done) return nullptr;
        state_.changed_groups.insert(found->first);
        return &found->second;
    }

    // A member that had ended begins anew.
    static void count_back(Group& group, TaskId id, TaskState state) {
        --(state == TaskState::dead ? group.dead : group.expired);
        std::erase(group.failed, id);
    }

    void drop_old_groups() {
        auto& all = state_.groups;
        for (auto each = all.begin();
             each != all.end() && all.size() - state_.groups_running > limits::groups_kept_max;) {
            if (each->second.state != GroupState::done) {
                ++each;
                continue;
            }
            state_.changed_groups.erase(each->first);
            state_.gone.groups.push_back(each->first);
            each = all.erase(each);
        }
    }

    // The oldest that have ended make room.
    void drop_old_operations() {
        auto& all = state_.operations;
        for (auto each = all.begin(); each != all.end() && all.size() - state_.operations_running >
                                                               limits::operations_kept_max;) {
            if (each->second.state == OperationState::running) {
                ++each;
                continue;
            }
            state_.changed_operations.erase(each->first);
            state_.gone.operations.push_back(each->first);
            each = all.erase(each);
        }
    }

    void close_buckets(Queue& queue) {
        if (queue.rules.rate.limits())
            state_.close_at_start(queue.bucket, queue.rules.rate, queue.type, std::nullopt);
        for (auto& [key, lane] : queue.lanes) {
            if (!queue.rules.key_rate.limits()) break;
            state_.close_at_start(lane.bucket, queue.rules.key_rate, queue.type, key);
            state_.refresh(lane);
        }
        state_.refresh(queue);
    }

    template <class Change>
    void change(TaskId id, Change&& how) {
        Header& header = state_.at(id);
        TASKD_ASSERT(header.body);
        state_.displace(header);
        if (header.body->is_shared()) state_.copied_bytes += header.body->bytes;
        how(header, header.body->edit());
        state_.touch(*header.body, sequence_);
        state_.place(header);
    }

    static void end_attempt(Task& task, LeaseEpoch epoch, AttemptOutcome outcome, WallTime at,
                            std::optional<TaskError> error = {}) {
        TASKD_ASSERT(!task.attempts.empty() && task.attempts.back().epoch == epoch);
        Attempt& attempt = task.attempts.back();
        attempt.outcome = outcome;
        attempt.ended_at = at;
        attempt.error = std::move(error);
    }

    // The attempt is over unless it is already; its lease stays until the worker lets go of it.
    static void revoke(Task& task, AttemptOutcome outcome, WallTime at,
                       std::optional<TaskError> error = {}) {
        if (!task.lease) return;
        if (!task.lease->revoked)
            end_attempt(task, task.lease->epoch, outcome, at, std::move(error));
        task.lease->revoked = true;
    }

    void end(Task& task, WallTime at) {
        if (task.spec.step) step_task_ended(state_, task, at);
        if (Group* group = group_of(task)) count_end(*group, task.spec.id, task.state);
        task.ended_at = at;
        task.due_at.reset();
        task.due_shown.reset();
        task.due_by_wall = false;
        ++state_.totals.kept;
    }

    // An ended task is there no longer, or not ended any more.
    void count_out() {
        if (state_.totals.kept > 0) --state_.totals.kept;
    }

    void wait_or_die(Task& task, std::optional<EngineTime> due_at,
                     std::optional<WallTime> due_shown, WallTime at) {
        task.lease.reset();
        if (due_at) {
            task.due_at = due_at;
            task.due_shown = due_shown;
            return;
        }
        end(task, at);
        ++state_.totals.dead;
    }

    State& state_;
    Sequence sequence_;
};

}  // namespace

void Engine::apply(Sequence sequence, const Record& record) {
    std::visit(Applier{*state_, sequence}, record);
}

void Engine::expect(std::size_t tasks) {
    state_->headers.expect(tasks);
}

void Engine::restore(const QueueRules& rules) {
    apply_rules(*state_, rules);
}

void Engine::restore(const Operation& operation) {
    state_->operations[operation.id] = operation;
    if (operation.state == OperationState::running) ++state_->operations_running;
}

void Engine::restore(const Group& group) {
    state_->groups[group.id] = group;
    if (group.state != GroupState::done) ++state_->groups_running;
}

void Engine::restore(const WholeWorkflow& workflow) {
    restore_workflow(*state_, workflow);
}

void Engine::restore(const WorkerHold& hold) {
    hold_worker(*state_, hold);
}

void Engine::restore(const TaskHead& head) {
    Header& header = state_->add(head);
    state_->place_header(header, state_->slot_of(header));
}

void Engine::restore(std::shared_ptr<Task> task) {
    Header& header = state_->add(head_of(*task));
    state_->attach(header, std::move(task));
    state_->place(header);
}

void Engine::restore(const KeyUse& use) {
    if (state_->keys.size() < state_->settings.keys_in_memory_max)
        state_->use_key(use, Sequence{});
    else
        state_->keys_elsewhere = true;
}

void Engine::restore(const Totals& totals, std::optional<TaskId> newest_ended) {
    state_->totals = totals;
    state_->forgotten_max = newest_ended;
}

}  // namespace taskd::engine
