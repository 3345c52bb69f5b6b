// What may stand in the journal about workflows: the order of steps as it is promised, and nothing
// of how the engine keeps it.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "taskd/model/record.hpp"

namespace taskd::sim {

class WorkflowJudge {
  public:
    using Blame = std::function<void(std::string)>;
    explicit WorkflowJudge(Blame blame) : blame_{std::move(blame)} {}

    void take(const WorkflowStarted& record);
    void take(const StepBegan& record);
    void take(const StepEnded& record);
    void take(const WorkflowTurned& record);
    void take(const WorkflowEnded& record);
    void take(const WorkflowRetried& record);
    void take(const SignalReceived& record);
    void take(const WorkflowDeleted& record);
    // Whoever waits for one of this topic has it.
    void event(const std::string& topic);
    void task_began(const TaskSpec& spec);
    void task_ended(const StepOf& step, TaskState state);

    // Those that have not ended.
    std::vector<WorkflowId> running() const;
    std::size_t ended(WorkflowState state) const;
    bool knows(WorkflowId id) const { return seen_.contains(id) || deleted_.contains(id); }
    std::optional<WorkflowState> state_of(WorkflowId id) const;
    const std::set<WorkflowId>& deleted() const { return deleted_; }

  private:
    // passed: its condition did not hold. Fallen: with what came before it.
    enum class Fate { pending, active, good, passed, failed, fallen };
    struct Seen {
        std::shared_ptr<const WorkflowPlan> plan;
        WorkflowState state = WorkflowState::running;
        std::vector<Fate> steps;
        std::vector<std::set<std::uint32_t>> items;  // under way
        struct List {
            std::uint32_t items = 0;
            std::uint32_t ended = 0;
            std::uint32_t failed = 0;
        };
        std::map<StepIndex, List> lists;
        std::size_t tasks = 0;
        std::optional<ParentStep> parent;
    };

    Seen* find(WorkflowId id, const char* record);
    void may_begin(WorkflowId id, const Seen& seen, StepIndex step);
    void set(Seen& seen, StepIndex step, Fate fate);
    void fall(Seen& seen, StepIndex step);
    void item_ended(Seen& seen, StepIndex step, bool good);
    void end_list(Seen& seen, StepIndex step);

    Blame blame_;
    std::map<WorkflowId, Seen> seen_;
    std::set<WorkflowId> deleted_;
};

}  // namespace taskd::sim
