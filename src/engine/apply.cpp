// What each record and note does to the state. Recovery runs exactly this.
#include <algorithm>

#include "engine/state.hpp"
#include "taskd/base/assert.hpp"
#include "taskd/base/error.hpp"

namespace taskd::engine {
namespace {

class Applier {
  public:
    Applier(State& state, Sequence sequence) : state_{state}, sequence_{sequence} {}

    void operator()(const TaskSubmitted& record) {
        auto task = std::make_shared<Task>();
        task->spec = record.spec;
        task->submitted_at = record.at;
        task->queued_as = sequence_;
        Header& header = state_.add(head_of(*task));
        state_.attach(header, std::move(task));
        state_.touch(*header.body, sequence_);
        state_.place(header);
        ++state_.totals.submitted;
    }

    void operator()(const TaskLeased& record) {
        change(record.id, [&](Header& header, Task& task) {
            state_.move(header, task, TaskEvent::lease);
            task.epoch = record.epoch;
            task.lease = Lease{record.epoch, record.worker, record.until, false};
            ++task.attempts_made;
            if (task.attempts.size() == limits::attempts_shown_max)
                task.attempts.erase(task.attempts.begin());
            task.attempts.push_back({task.attempts_made, record.epoch, record.worker, record.at,
                                     std::nullopt, AttemptOutcome::running, std::nullopt});
            ++state_.queue_at(header).leased_since_look;
            ++state_.totals.leases;
        });
    }

    void operator()(const TaskCompleted& record) {
        change(record.id, [&](Header& header, Task& task) {
            state_.move(header, task, TaskEvent::complete);
            end_attempt(task, record.epoch, AttemptOutcome::succeeded, record.at);
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
            task.queued_as = sequence_;
        });
    }

    void operator()(const TaskCancelled& record) {
        change(record.id, [&](Header& header, Task& task) {
            state_.move(header, task, TaskEvent::cancel);
            if (task.lease) {
                end_attempt(task, task.lease->epoch, AttemptOutcome::cancelled, record.at);
                task.lease->revoked = true;
            }
            task.error =
                TaskError{std::string{row_of(ErrorCode::cancelled).name}, record.reason, true};
            end(task, record.at);
            ++state_.totals.cancelled;
        });
    }

    void operator()(const RevokedLeaseEnded& record) {
        change(record.id, [&](Header&, Task& task) {
            TASKD_ASSERT(task.lease && task.lease->revoked && task.lease->epoch == record.epoch);
            task.lease.reset();
        });
    }

    void operator()(const EngineResumed& record) {
        std::vector<TaskId> leased;
        for (const auto& [name, worker] : state_.workers)
            for (const Body* body = worker.leases.front(); body != nullptr;
                 body = worker.leases.next(*body))
                leased.push_back(body->task->spec.id);
        for (const TaskId& id : leased)
            change(id, [&](Header&, Task& task) { task.lease->until = record.leases_until; });
    }

  private:
    template <class Change>
    void change(TaskId id, Change&& how) {
        Header& header = state_.at(id);
        TASKD_ASSERT(header.body);
        state_.displace(header);
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

    static void end(Task& task, WallTime at) {
        task.ended_at = at;
        task.due_at.reset();
        task.due_shown.reset();
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

class NoteApplier {
  public:
    explicit NoteApplier(State& state) : state_{state} {}

    void operator()(const LeaseRenewed& note) {
        Header& header = state_.at(note.lease.id);
        state_.deadlines.remove(header.body->slot);
        header.body->edit().lease->until = header.deadline = note.until;
        state_.deadlines.put(header.body->slot);
    }

    void operator()(const WorkerNoted& note) {
        Worker& worker = state_.worker_of(note.instance);
        leave_queues(worker);
        worker.slots = note.slots;
        worker.credit = note.credit;
        worker.up = true;
        for (const std::string& type : note.types) {
            Queue& queue = state_.queue_of(type);
            worker.queues.push_back(&queue);
            queue.workers.insert(&worker);
        }
        state_.give_free(worker);
    }

    void operator()(const WorkerForgotten& note) {
        Worker& worker = state_.worker_of(note.instance);
        worker.up = false;
        leave_queues(worker);
        state_.drop_worker_if_idle(worker);
    }

    void operator()(const TaskForgotten& note) {
        Header& header = state_.at(note.id);
        TASKD_ASSERT(header.body && !header.body->changed);  // the view covers it
        state_.displace(header);
        if (!state_.forgotten_max || note.id > *state_.forgotten_max)
            state_.forgotten_max = note.id;
        state_.headers.remove(header.body->slot);
    }

    void operator()(const TaskLoaded& note) {
        Header& header = state_.at(note.task->spec.id);
        if (!header.body) state_.body_came(header, note.task, note.ahead);
    }

    void operator()(const TaskUnloaded& note) { state_.body_goes(state_.at(note.id)); }

    void operator()(const LookedAhead& note) {
        Queue& queue = state_.queue_of(note.type);
        queue.leased_since_look = 0;
        state_.refresh(queue);
    }

  private:
    void leave_queues(Worker& worker) {
        state_.take_free(worker);
        for (Queue* queue : std::exchange(worker.queues, {})) {
            queue->workers.erase(&worker);
            state_.refresh(*queue);
        }
    }

    State& state_;
};

}  // namespace

void Engine::apply(Sequence sequence, const Record& record) {
    std::visit(Applier{*state_, sequence}, record);
}

void Engine::apply(const Note& note) {
    std::visit(NoteApplier{*state_}, note);
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

void Engine::restore(const Totals& totals, std::optional<TaskId> newest_ended) {
    state_->totals = totals;
    state_->forgotten_max = newest_ended;
}

}  // namespace taskd::engine
