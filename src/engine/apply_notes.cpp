// The one way in for what a restart may forget.
#include <algorithm>

#include "engine/state.hpp"
#include "taskd/base/assert.hpp"

namespace taskd::engine {
namespace {

class NoteApplier {
  public:
    explicit NoteApplier(State& state) : state_{state} {}

    void operator()(const LeaseRenewed& note) {
        Header& header = state_.at(note.lease.id);
        state_.deadlines.remove(header.body->slot);
        header.body->edit().lease->until = note.until;
        header.deadline = *deadline_of(*header.body->task);
        state_.deadlines.put(header.body->slot);
    }

    void operator()(const ProgressNoted& note) {
        state_.at(note.lease.id).body->progress = std::make_unique<Progress>(note.progress);
    }

    void operator()(const WorkerNoted& note) {
        Worker& worker = state_.worker_of(note.instance);
        const std::vector<Queue*> left = leave_queues(worker);
        worker.slots = note.slots;
        worker.credit = note.credit;
        worker.up = true;
        for (const std::string& type : note.types) {
            Queue& queue = state_.queue_of(type);
            if (queue.workers.insert(&worker).second) worker.queues.push_back(&queue);
        }
        state_.give_free(worker);
        drop_idle(left);  // not before: what it takes again keeps its turn
    }

    void operator()(const WorkerForgotten& note) {
        Worker& worker = state_.worker_of(note.instance);
        worker.up = false;
        drop_idle(leave_queues(worker));
        state_.drop_worker_if_idle(worker);
    }

    void operator()(const DeliveryRenewed& note) {
        state_.topics.renew(note.group, note.event, note.until);
    }
    void operator()(const EventForgotten&) { state_.topics.forget_oldest(); }

    void operator()(const TaskForgotten& note) {
        Header& header = state_.at(note.id);
        TASKD_ASSERT(header.body && !header.body->changed);  // the view covers it
        if (!state_.forgotten_max || note.id > *state_.forgotten_max)
            state_.forgotten_max = note.id;
        state_.remove(header);
    }

    void operator()(const RateTaken& note) {
        Queue& queue = state_.queue_of(note.type);
        Lane& lane = state_.lane_of(queue, note.key);
        state_.rates_at = std::max(state_.rates_at, note.at);
        state_.use_rate(queue.bucket, queue.rules.rate, note.type, std::nullopt, note.at);
        state_.use_rate(lane.bucket, queue.rules.key_rate, note.type, note.key, note.at);
        state_.refresh(lane);
        state_.refresh(queue);
    }

    void operator()(const RateOpened& note) {
        state_.rates_at = std::max(state_.rates_at, note.at);
        state_.wakes.erase({note.wake, note.type, note.key});
        const auto place = state_.queues.find(note.type);
        if (place == state_.queues.end()) return;
        Queue& queue = place->second;
        const auto open = [&](Bucket& bucket, const Rate& rate) {
            if (!rate.limits() || bucket.opens_at(rate) <= note.at) bucket.closed = false;
        };
        if (!note.key) {
            open(queue.bucket, queue.rules.rate);
        } else if (const auto found = queue.lanes.find(*note.key); found != queue.lanes.end()) {
            Lane& lane = found->second;
            open(lane.bucket, queue.rules.key_rate);
            state_.refresh(lane);
            state_.drop_lane_if_idle(lane);
        }
        state_.refresh(queue);
        state_.drop_queue_if_idle(queue);
    }

    void operator()(const RatesReset& note) {
        Queue& queue = state_.queue_of(note.type);
        state_.rates_at = std::max(state_.rates_at, note.at);
        queue.bucket = {note.at, false};
        for (auto& [key, lane] : queue.lanes) {
            lane.bucket = {note.at, false};
            state_.refresh(lane);
        }
        state_.refresh(queue);
    }

    void operator()(const TaskLoaded& note) {
        const Slot slot = state_.headers.find(note.task->spec.id);
        if (slot == 0) {
            Header& header = state_.add(head_of(*note.task));
            state_.attach(header, note.task);
            state_.place(header);
        } else if (!state_.headers[slot].body) {
            state_.body_came(state_.headers[slot], note.task, note.ahead);
        }
    }

    void operator()(const EndTold& note) {
        const Slot slot = state_.headers.find(note.id);
        if (slot == 0 || !state_.headers[slot].body) return;
        state_.headers[slot].body->committing = note.took;
    }

    void operator()(const KeyForgotten& note) {
        const Sequence since = state_.key_order.front().second;
        state_.key_order.pop_front();
        state_.keys_elsewhere = state_.keys_elsewhere || note.elsewhere;
        const auto found = state_.keys.find(note.key);
        if (found != state_.keys.end() && found->second.since == since) state_.keys.erase(found);
    }

    void operator()(const DeletionViewed&) {
        const auto [sequence, id] = state_.deleted_order.front();
        state_.deleted_order.pop_front();
        const auto found = state_.deleted.find(id);
        if (found != state_.deleted.end() && found->second == sequence) state_.deleted.erase(found);
    }

    void operator()(const WorkflowAway& note) { set_workflow_away(state_, note.id, note.away); }
    void operator()(const WorkflowServed& note) { serve_workflow(state_, note.id, false); }
    void operator()(const WorkflowFirst& note) { serve_workflow(state_, note.id, true); }
    void operator()(const WorkflowForgotten& note) { forget_workflow(state_, note.id); }
    void operator()(const WorkflowLoaded& note) { restore_workflow(state_, *note.whole); }

    void operator()(const TaskUnloaded& note) { state_.body_goes(state_.at(note.id)); }

    void operator()(const LookedAhead& note) {
        Queue& queue = state_.queue_of(note.type);
        queue.leased_since_look = 0;
        state_.refresh(queue);
    }

  private:
    std::vector<Queue*> leave_queues(Worker& worker) {
        state_.take_free(worker);
        for (Queue* queue : worker.queues) {
            queue->workers.erase(&worker);
            state_.refresh(*queue);
        }
        return std::exchange(worker.queues, {});
    }

    void drop_idle(const std::vector<Queue*>& queues) {
        for (Queue* queue : queues)
            state_.drop_queue_if_idle(*queue);
    }

    State& state_;
};

}  // namespace

void Engine::apply(const Note& note) {
    std::visit(NoteApplier{*state_}, note);
}

}  // namespace taskd::engine
