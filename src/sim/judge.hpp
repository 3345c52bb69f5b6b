// What may stand in the journal, one durable record after the other. It knows the rules as they are
// promised, and nothing of how the engine keeps them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/topic_judge.hpp"
#include "sim/workflow_judge.hpp"
#include "taskd/model/record.hpp"

namespace taskd::sim {

// What has become of a task.
struct Fate {
    TaskState state = TaskState::queued;
    std::string type;
    std::string key;
    std::uint8_t priority = 5;
    Sequence queued_as;
    LeaseEpoch epoch;
    std::optional<GroupId> group;
    std::optional<StepOf> step;
    struct Held {
        LeaseEpoch epoch;
        std::string worker;
        bool revoked = false;
    };
    std::optional<Held> lease;
};

class Judge {
  public:
    explicit Judge(Duration lease_duration)
        : lease_duration_{lease_duration},
          workflows_{[this](std::string what) { blame(std::move(what)); }} {}
    Judge(const Judge&) = delete;
    Judge& operator=(const Judge&) = delete;

    void take(const RecordBatch& batch);
    void set_slots(const std::string& worker, std::size_t slots) { slots_[worker] = slots; }

    const std::map<TaskId, Fate>& fates() const { return fates_; }
    const Fate* find(const TaskId& id) const;
    bool was_deleted(const TaskId& id) const { return deleted_.contains(id); }
    std::size_t live() const { return live_; }
    std::size_t held_by(const std::string& worker) const;
    const std::map<GroupId, Group>& groups() const { return groups_; }
    const std::map<OperationId, Operation>& operations() const { return operations_; }
    const WorkflowJudge& workflows() const { return workflows_; }
    std::uint64_t records() const { return last_.value; }
    Sequence last() const { return last_; }

    // "invariant: what was seen"; empty as it should be.
    const std::vector<std::string>& broken() const { return broken_; }
    void blame(std::string what) { broken_.push_back(std::move(what)); }

    // One for each kind of record, so that a new kind does not go unjudged.
    void operator()(const TaskSubmitted& record);
    void operator()(const TaskLeased& record);
    void operator()(const TaskCompleted& record);
    void operator()(const AttemptFailed& record);
    void operator()(const AttemptCrashed& record);
    void operator()(const AttemptReleased& record);
    void operator()(const TaskDue& record);
    void operator()(const TaskCancelled& record);
    void operator()(const RevokedLeaseEnded& record);
    void operator()(const EngineResumed& record);
    void operator()(const AttemptTimedOut& record);
    void operator()(const TimedOutLeaseEnded& record);
    void operator()(const TaskExpired& record);
    void operator()(const PriorityChanged& record);
    void operator()(const QueueChanged& record);
    void operator()(const TaskRedriven& record);
    void operator()(const PayloadEdited& record);
    void operator()(const TaskDeleted& record);
    void operator()(const OperationStarted& record);
    void operator()(const OperationAdvanced& record);
    void operator()(const OperationEnded& record);
    void operator()(const GroupMade& record);
    void operator()(const GroupClosed& record);
    void operator()(const GroupEnded& record);
    void operator()(const ScheduleChanged& record);
    void operator()(const ScheduleRemoved& record);
    void operator()(const ScheduleFired& record);
    void operator()(const WorkerHeld& record);
    template <OfTopics Topical>
    void operator()(const Topical& record) {
        topics_.take(last_, record, [this](std::string what) { blame(std::move(what)); });
        if constexpr (std::is_same_v<Topical, EventPublished>) workflows_.event(record.event.topic);
    }
    const TopicJudge& topics() const { return topics_; }
    void operator()(const WorkflowStarted& record) { workflows_.take(record); }
    void operator()(const StepBegan& record) { workflows_.take(record); }
    void operator()(const StepEnded& record) { workflows_.take(record); }
    void operator()(const WorkflowTurned& record) { workflows_.take(record); }
    void operator()(const WorkflowEnded& record) { workflows_.take(record); }
    void operator()(const WorkflowRetried& record) { workflows_.take(record); }
    void operator()(const SignalReceived& record) { workflows_.take(record); }
    void operator()(const WorkflowDeleted& record) { workflows_.take(record); }

  private:
    // A token bucket, counted here anew.
    struct Bucket {
        std::optional<double> tokens;  // none: full
        EngineTime at{};
    };
    using Place = std::pair<std::pair<int, Sequence>, TaskId>;  // of a queued task in its lane
    using Lane = std::pair<std::string, std::string>;           // type and key

    Fate* known(const TaskId& id, const char* record);
    void move(const TaskId& id, Fate& fate, TaskEvent event);
    void enter(const TaskId& id, const Fate& fate);
    void leave(const TaskId& id, const Fate& fate);
    static Place place_of(const TaskId& id, const Fate& fate);
    void end_lease(Fate& fate);
    void end_attempt(const TaskId& id, Fate& fate, LeaseEpoch epoch, const char* record);
    void newest(const TaskId& id, const Fate& fate, LeaseEpoch epoch);
    void may_lease(const TaskLeased& record, const Fate& fate);
    void draw(Bucket& bucket, const Rate& rate, EngineTime at, const std::string& whose);
    void blame(const TaskId& id, const std::string& what);

    Duration lease_duration_;
    WorkflowJudge workflows_;
    Sequence last_;
    std::map<TaskId, Fate> fates_;
    std::set<TaskId> deleted_;
    std::size_t live_ = 0;
    std::map<Lane, std::set<Place>> queued_;
    std::map<std::string, std::size_t> leases_of_type_;
    std::map<Lane, std::size_t> leases_of_lane_;
    std::map<std::string, std::size_t> leases_of_worker_;
    std::map<std::string, std::size_t> slots_;
    std::map<std::string, QueueRules> rules_;
    std::map<std::string, Bucket> buckets_;
    std::map<Lane, Bucket> key_buckets_;
    std::map<std::string, WorkerHold> holds_;
    std::map<GroupId, Group> groups_;
    std::map<GroupId, std::pair<std::size_t, std::size_t>> members_;  // all, and those that ended
    std::map<OperationId, Operation> operations_;
    std::set<std::string> schedules_;
    std::map<std::pair<std::string, WallTime>, TaskId> fired_;
    std::vector<TaskId> wanted_;     // must be there when the batch ends
    std::vector<TaskId> unwelcome_;  // came to a queue that drains
    TopicJudge topics_;
    std::vector<std::string> broken_;
};

}  // namespace taskd::sim
