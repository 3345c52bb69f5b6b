// An engine with workflows and nothing around it: commands are decided and applied at once, every
// record goes through its bytes, and the whole can be thrown away and made anew from rows and
// records, as a restart does.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/judge.hpp"
#include "taskd/engine/engine.hpp"
#include "taskd/protocol/json_templates.hpp"
#include "taskd/sim/memory_view.hpp"

namespace taskd::test {

// A plan written down: steps by name.
class PlanText {
  public:
    PlanText& task(const std::string& name, std::vector<std::string> after = {},
                   const std::string& payload = "null");
    PlanText& step(StepPlan step, std::vector<std::string> after = {});
    StepPlan& last() { return plan_.steps.back(); }
    WorkflowPlan& plan() { return plan_; }
    StepIndex index(const std::string& name) const;
    std::shared_ptr<const WorkflowPlan> make() const {
        return std::make_shared<const WorkflowPlan>(plan_);
    }

  private:
    WorkflowPlan plan_{.name = "test"};
};

class WorkflowDriver {
  public:
    explicit WorkflowDriver(std::uint64_t seed = 1, std::uint32_t slots = 100'000,
                            engine::EngineSettings settings = {});

    // Decides and applies, then whatever the engine has to do by itself.
    engine::Decision run(const engine::Command& command);
    WorkflowId start(const std::shared_ptr<const WorkflowPlan>& plan,
                     const std::string& inputs = "{}");
    void pass(Duration time);

    void publish(const std::string& topic, const std::string& body);

    // What a worker holds.
    struct Held {
        engine::LeaseRef lease;
        std::string step;
        std::uint32_t item = 0;
        std::string payload;
    };
    std::vector<Held> held() const;
    // The one task of this step that is leased.
    Held held(const std::string& step) const;
    void complete(const Held& held, const std::string& result);
    void fail(const Held& held, const std::string& code, bool permanent = true);
    void complete(const std::string& step, const std::string& result) {
        complete(held(step), result);
    }
    void fail(const std::string& step) { fail(held(step), "broken"); }

    // Stores everything in the view, and lets go of what it covers.
    void view();
    // The row of a task is gone from the view.
    void lose(TaskId id) { table_.tasks.erase(id); }
    // Forgets the engine; the new one has what the view and the records after it say.
    void restart();

    WholeWorkflow whole(WorkflowId id) const;
    WorkflowState state(WorkflowId id) const { return whole(id).workflow.state; }
    std::string step(WorkflowId id, const std::string& name) const;  // its state
    std::string output(WorkflowId id) const;
    const engine::Engine& engine() const { return *engine_; }
    const sim::Judge& judge() const { return judge_; }
    Random& random() { return random_; }
    std::size_t bodies_asked() const { return bodies_asked_; }  // at most at once, to cancel them

  private:
    void make_engine();
    void settle(engine::Decision decision);
    void catch_up();
    void load(const std::vector<TaskId>& ids);

    protocol::JsonTemplates templates_;
    Random random_;
    Now now_{WallTime{std::chrono::seconds{1'700'000'000}}, EngineTime{}};
    Sequence applied_;
    sim::MemoryTable table_;
    std::vector<RecordBatch> journal_;
    sim::Judge judge_{limits::lease_duration_default};
    std::unique_ptr<engine::Engine> engine_;
    std::uint32_t slots_;  // of the one worker
    engine::EngineSettings settings_;
    std::size_t bodies_asked_ = 0;
};

}  // namespace taskd::test
