#include "sim/judge.hpp"

#include <algorithm>
#include <utility>

namespace taskd::sim {

void Judge::take(const RecordBatch& batch) {
    if (batch.first != last_.next())
        blame("journal without gaps: " + std::to_string(batch.first.value));
    last_ = Sequence{batch.first.value - 1};
    for (const Record& record : batch.records) {
        last_ = last_.next();
        std::visit(*this, record);
    }
    for (const TaskId& id : wanted_)
        if (!fates_.contains(id) && !deleted_.contains(id))
            blame(id, "what ends a group or takes a time's turn is there in the same batch");
    // What follows the end of a group is taken whatever the queue is.
    for (const TaskId& id : unwelcome_)
        if (std::ranges::find(wanted_, id) == wanted_.end())
            blame(id, "a draining queue takes nothing new");
    wanted_.clear();
    unwelcome_.clear();
}

const Fate* Judge::find(const TaskId& id) const {
    const auto at = fates_.find(id);
    return at == fates_.end() ? nullptr : &at->second;
}

std::size_t Judge::held_by(const std::string& worker) const {
    const auto at = leases_of_worker_.find(worker);
    return at == leases_of_worker_.end() ? 0 : at->second;
}

void Judge::blame(const TaskId& id, const std::string& what) {
    blame(what + " (task " + id.to_string() + ", record " + std::to_string(last_.value) + ")");
}

Fate* Judge::known(const TaskId& id, const char* record) {
    const auto at = fates_.find(id);
    if (at != fates_.end()) return &at->second;
    blame(id, std::string{"records are of tasks that are there: "} + record);
    return nullptr;
}

Judge::Place Judge::place_of(const TaskId& id, const Fate& fate) {
    return {{9 - fate.priority, fate.queued_as}, id};
}

void Judge::enter(const TaskId& id, const Fate& fate) {
    if (fate.state == TaskState::queued) queued_[{fate.type, fate.key}].insert(place_of(id, fate));
    live_ += is_terminal(fate.state) ? 0 : 1;
    if (fate.group && is_terminal(fate.state)) ++members_[*fate.group].second;
}

void Judge::leave(const TaskId& id, const Fate& fate) {
    if (fate.state == TaskState::queued) queued_[{fate.type, fate.key}].erase(place_of(id, fate));
    live_ -= is_terminal(fate.state) ? 0 : 1;
    if (fate.group && is_terminal(fate.state)) --members_[*fate.group].second;
}

// Every change of state stands in the table; whoever is queued again is the last of its priority.
void Judge::move(const TaskId& id, Fate& fate, TaskEvent event) {
    const auto row = find_row(fate.state, event);
    if (!row) {
        blame(id, "one terminal state, and only moves of the table: " +
                      std::string{to_text(fate.state)} + " + " + std::string{to_text(event)});
        return;
    }
    leave(id, fate);
    fate.state = state_table()[*row].to;
    if (fate.state == TaskState::queued) fate.queued_as = last_;
    enter(id, fate);
    if (fate.step && is_terminal(fate.state)) workflows_.task_ended(*fate.step, fate.state);
}

void Judge::end_lease(Fate& fate) {
    if (!fate.lease) return;
    --leases_of_type_[fate.type];
    --leases_of_lane_[{fate.type, fate.key}];
    --leases_of_worker_[fate.lease->worker];
    fate.lease.reset();
}

// Only the lease that is held ends.
void Judge::end_attempt(const TaskId& id, Fate& fate, LeaseEpoch epoch, const char* record) {
    if (!fate.lease || fate.lease->epoch != epoch)
        blame(id, std::string{"a lease ends once: "} + record);
    end_lease(fate);
}

void Judge::newest(const TaskId& id, const Fate& fate, LeaseEpoch epoch) {
    if (epoch != fate.epoch) blame(id, "only the newest epoch counts");
}

void Judge::operator()(const TaskSubmitted& record) {
    const TaskId& id = record.spec.id;
    if (fates_.contains(id)) return blame(id, "submitted once");
    Fate fate;
    fate.state = record.due ? TaskState::scheduled : TaskState::queued;
    fate.type = record.spec.type;
    fate.key = record.spec.key;
    fate.priority = record.spec.priority;
    fate.queued_as = last_;
    fate.group = record.spec.group;
    const auto rules = rules_.find(fate.type);
    if (rules != rules_.end() && rules->second.draining) unwelcome_.push_back(id);
    if (fate.group) ++members_[*fate.group].first;
    fate.step = record.spec.step;
    // Steps of a workflow are taken whatever the queue is.
    if (fate.step) {
        workflows_.task_began(record.spec);
        wanted_.push_back(id);
    }
    enter(id, fates_.emplace(id, std::move(fate)).first->second);
}

void Judge::draw(Bucket& bucket, const Rate& rate, EngineTime at, const std::string& whose) {
    if (!rate.limits()) return;
    const double interval = static_cast<double>(rate.interval().count());
    const double burst = std::max(1.0, static_cast<double>(rate.burst));
    double tokens = bucket.tokens.value_or(burst);
    if (at > bucket.at) tokens += static_cast<double>((at - bucket.at).count()) / interval;
    bucket.at = std::max(bucket.at, at);
    bucket.tokens = std::min(burst, tokens) - 1;
    if (*bucket.tokens < -1e-3) blame("rates are kept: " + whose);
}

void Judge::may_lease(const TaskLeased& record, const Fate& fate) {
    const TaskId& id = record.id;
    const Lane lane{fate.type, fate.key};
    const auto& line = queued_[lane];
    if (!line.empty() && line.begin()->second != id)
        blame(id, "priority first, then first come first served, within a key");
    const auto hold = holds_.find(record.worker);
    if (hold != holds_.end() && (hold->second.pause || hold->second.draining))
        blame(id, "a held worker gets nothing");
    if (leases_of_worker_[record.worker] >= slots_[record.worker])
        blame(id, "slots are not exceeded");
    const auto at = rules_.find(fate.type);
    if (at == rules_.end()) return;
    const QueueRules& rules = at->second;
    if (rules.paused) blame(id, "a paused queue leases nothing");
    if (rules.paused_keys.contains(fate.key)) blame(id, "a paused key leases nothing");
    if (rules.concurrency > 0 && leases_of_type_[fate.type] >= rules.concurrency)
        blame(id, "the limit of the queue is kept");
    if (rules.key_concurrency > 0 && !fate.key.empty() &&
        leases_of_lane_[lane] >= rules.key_concurrency)
        blame(id, "the limit of the key is kept");
    const EngineTime now = record.until - lease_duration_;
    draw(buckets_[fate.type], rules.rate, now, fate.type);
    draw(key_buckets_[lane], rules.key_rate, now, fate.type + "/" + fate.key);
}

void Judge::operator()(const TaskLeased& record) {
    Fate* fate = known(record.id, "leased");
    if (!fate) return;
    if (record.epoch <= fate->epoch) blame(record.id, "epochs only grow");
    if (fate->lease) blame(record.id, "one lease at a time");
    may_lease(record, *fate);
    move(record.id, *fate, TaskEvent::lease);
    end_lease(*fate);
    fate->epoch = record.epoch;
    fate->lease = Fate::Held{record.epoch, record.worker, false};
    ++leases_of_type_[fate->type];
    ++leases_of_lane_[{fate->type, fate->key}];
    ++leases_of_worker_[record.worker];
}

void Judge::operator()(const TaskCompleted& record) {
    Fate* fate = known(record.id, "completed");
    if (!fate) return;
    newest(record.id, *fate, record.epoch);
    if (record.result.empty()) blame(record.id, "a result is there");
    move(record.id, *fate, TaskEvent::complete);
    end_lease(*fate);
}

void Judge::operator()(const AttemptFailed& record) {
    Fate* fate = known(record.id, "failed");
    if (!fate) return;
    newest(record.id, *fate, record.epoch);
    move(record.id, *fate, record.due_at ? TaskEvent::fail_again : TaskEvent::fail_dead);
    end_attempt(record.id, *fate, record.epoch, "failed");
}

void Judge::operator()(const AttemptCrashed& record) {
    Fate* fate = known(record.id, "crashed");
    if (!fate) return;
    newest(record.id, *fate, record.epoch);
    move(record.id, *fate, record.due_at ? TaskEvent::crash_again : TaskEvent::crash_dead);
    end_attempt(record.id, *fate, record.epoch, "crashed");
}

void Judge::operator()(const AttemptReleased& record) {
    Fate* fate = known(record.id, "released");
    if (!fate) return;
    newest(record.id, *fate, record.epoch);
    move(record.id, *fate, TaskEvent::release);
    end_attempt(record.id, *fate, record.epoch, "released");
}

void Judge::operator()(const TaskDue& record) {
    if (Fate* fate = known(record.id, "due")) move(record.id, *fate, TaskEvent::due);
}

void Judge::operator()(const TaskCancelled& record) {
    Fate* fate = known(record.id, "cancelled");
    if (!fate) return;
    move(record.id, *fate, TaskEvent::cancel);
    if (fate->lease) fate->lease->revoked = true;
}

void Judge::operator()(const RevokedLeaseEnded& record) {
    Fate* fate = known(record.id, "revoked lease ended");
    if (!fate) return;
    if (!fate->lease || !fate->lease->revoked) blame(record.id, "a revoked lease ends once");
    end_attempt(record.id, *fate, record.epoch, "revoked lease ended");
}

void Judge::operator()(const EngineResumed&) {}

void Judge::operator()(const AttemptTimedOut& record) {
    Fate* fate = known(record.id, "timed out");
    if (!fate) return;
    newest(record.id, *fate, record.epoch);
    move(record.id, *fate, TaskEvent::time_out);
    if (fate->lease) fate->lease->revoked = true;
}

void Judge::operator()(const TimedOutLeaseEnded& record) {
    Fate* fate = known(record.id, "timed out lease ended");
    if (!fate) return;
    newest(record.id, *fate, record.epoch);
    move(record.id, *fate, record.due_at ? TaskEvent::fail_again : TaskEvent::fail_dead);
    end_attempt(record.id, *fate, record.epoch, "timed out lease ended");
}

void Judge::operator()(const TaskExpired& record) {
    Fate* fate = known(record.id, "expired");
    if (!fate) return;
    move(record.id, *fate, TaskEvent::expire);
    if (fate->lease) fate->lease->revoked = true;
}

void Judge::operator()(const PriorityChanged& record) {
    Fate* fate = known(record.id, "priority changed");
    if (!fate) return;
    leave(record.id, *fate);
    fate->priority = record.priority;
    fate->queued_as = last_;
    enter(record.id, *fate);
}

void Judge::operator()(const QueueChanged& record) {
    QueueRules& rules = rules_[record.rules.type];
    // Both begin anew when either is changed.
    if (!(rules.rate == record.rules.rate) || !(rules.key_rate == record.rules.key_rate)) {
        buckets_.erase(record.rules.type);
        std::erase_if(key_buckets_,
                      [&](const auto& each) { return each.first.first == record.rules.type; });
    }
    rules = record.rules;
}

void Judge::operator()(const TaskRedriven& record) {
    Fate* fate = known(record.id, "redriven");
    if (!fate) return;
    if (fate->lease) blame(record.id, "a task with a lease is not redriven");
    move(record.id, *fate, TaskEvent::redrive);
}

void Judge::operator()(const PayloadEdited& record) {
    const Fate* fate = known(record.id, "edited");
    if (fate && fate->state != TaskState::dead && fate->state != TaskState::expired)
        blame(record.id, "only a dead payload is edited");
}

void Judge::operator()(const TaskDeleted& record) {
    Fate* fate = known(record.id, "deleted");
    if (!fate) return;
    if (!is_terminal(fate->state)) blame(record.id, "what has not ended is not deleted");
    if (fate->lease) blame(record.id, "what is leased is not deleted");
    // Of its group it stays one that has ended.
    deleted_.insert(record.id);
    fates_.erase(record.id);
}

void Judge::operator()(const OperationStarted& record) {
    operations_[record.operation.id] = record.operation;
}

void Judge::operator()(const OperationAdvanced& record) {
    const auto at = operations_.find(record.id);
    if (at == operations_.end() || at->second.state != OperationState::running)
        return blame("only a running operation advances: " + record.id.to_string());
    if (record.cursor && at->second.cursor && *record.cursor < *at->second.cursor)
        blame("cursors only grow: " + record.id.to_string());
    if (record.cursor) at->second.cursor = record.cursor;
}

void Judge::operator()(const OperationEnded& record) {
    const auto at = operations_.find(record.id);
    if (at == operations_.end() || at->second.state != OperationState::running)
        return blame("an operation ends once: " + record.id.to_string());
    at->second.state = record.stopped ? OperationState::stopped : OperationState::done;
}

void Judge::operator()(const GroupMade& record) {
    groups_[record.group->id] = *record.group;
}

void Judge::operator()(const GroupClosed& record) {
    groups_[record.id].state = GroupState::closed;
}

void Judge::operator()(const GroupEnded& record) {
    Group& group = groups_[record.id];
    if (group.state != GroupState::closed) blame("a group ends once, when it is closed");
    const auto [all, ended] = members_[record.id];
    if (ended < all) blame("a group ends when all its tasks have: " + record.id.to_string());
    if (group.completion && !record.completed_by) blame("a group's completion is submitted");
    if (record.completed_by) wanted_.push_back(*record.completed_by);
    group.state = GroupState::done;
}

void Judge::operator()(const ScheduleChanged& record) {
    schedules_.insert(record.schedule->spec.name);
}

void Judge::operator()(const ScheduleRemoved& record) {
    schedules_.erase(record.name);
    std::erase_if(fired_, [&](const auto& each) { return each.first.first == record.name; });
}

void Judge::operator()(const ScheduleFired& record) {
    if (!schedules_.contains(record.name)) blame("only a schedule that is there fires");
    if (!record.fire || record.fire->outcome != FireOutcome::submitted) return;
    const bool by_hand = !record.settled && !record.backfill;  // whenever somebody likes
    if (!by_hand && record.fire->task) {
        TaskId& task = fired_[{record.name, record.fire->planned}];
        // A time whose task was let go may be made up for again.
        if (task != TaskId{} && !deleted_.contains(task))
            blame("a time of a schedule has its turn once: " + record.name);
        task = *record.fire->task;
    }
    if (record.fire->task) wanted_.push_back(*record.fire->task);
}

void Judge::operator()(const WorkerHeld& record) {
    holds_[record.hold.instance] = record.hold;
}

}  // namespace taskd::sim
