// One store from its first record to its last, with whoever uses it and whatever befalls it.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/judge.hpp"
#include "sim/stage.hpp"
#include "taskd/service/delivery_desk.hpp"
#include "taskd/service/schedule_desk.hpp"
#include "taskd/service/topic_keeper.hpp"
#include "taskd/sim/memory_calendar.hpp"
#include "taskd/sim/memory_journal.hpp"
#include "taskd/sim/memory_view.hpp"
#include "taskd/sim/simulation.hpp"

namespace taskd::sim {

// The journal, with somebody who reads along.
class JudgedJournal final : public MemoryJournal {
  public:
    JudgedJournal(JournalTape& tape, Judge& judge) : MemoryJournal{tape, {}}, judge_{judge} {}
    Result<void> commit(const RecordBatch& batch) override;

  private:
    Judge& judge_;
};

// Complaints of the core are broken invariants.
class JudgedLog final : public port::Log {
  public:
    explicit JudgedLog(Judge& judge) : judge_{judge} {}
    bool takes(port::LogLevel level) const override { return level == port::LogLevel::error; }
    void write(port::LogLevel level, std::string_view message,
               std::initializer_list<port::LogField> fields) override;

  private:
    Judge& judge_;
};

struct SimWorker {
    std::string name;
    std::vector<std::string> types;
    std::uint32_t slots = 1;
    bool pulls = false;  // asks for as many as it has room for
    bool up = true;
    std::vector<engine::LeaseRef> held;
    std::vector<engine::LeaseRef> revoked;  // told to stop
    std::vector<engine::LeaseRef> lost;     // of an earlier life, or handed over already
};

// A delivery that a consumer believes in.
struct HeldDelivery {
    std::string group;
    DeliveryKey event;
    LeaseEpoch epoch;
};

class Story {
  public:
    Story(std::uint64_t seed, Tally& tally);
    ~Story();

    void live(std::uint64_t steps);  // acts, and is judged after each
    void settle();                   // heals everything and waits until all has ended
    const std::vector<std::string>& broken() const { return judge_.broken(); }

    // For the acts.
    Random& random() { return random_; }
    Stage& stage() { return stage_; }
    Judge& judge() { return judge_; }
    Tally& tally() { return tally_; }
    std::vector<SimWorker>& workers() { return workers_; }
    const MemoryTable& table() const { return table_; }
    bool runs() const { return core_ != nullptr; }
    service::Core& core() { return *core_; }
    service::ScheduleDesk& schedules() { return *schedules_; }
    service::DeliveryDesk& deliveries() { return *deliveries_; }

    using Done = std::function<void(const engine::Decision&)>;
    // A command, counted under its name; `done` once it is durable. Its answer may never come.
    void ask(const char* name, engine::Command command, Done done = {});
    // The two parts of that, for what is asked of somebody else than the core.
    void asked(const char* name) { ++tally_.commands[name].asked; }
    void accepted(const char* name) { ++tally_.commands[name].accepted; }
    // The same, to be judged: what was taken must be there.
    void submit(const char* name, std::vector<TaskSpec> tasks);
    void make_group(Group group, bool open, std::vector<TaskSpec> tasks);
    void hit(const char* fault);

    TaskSpec make_task();
    TaskSpec make_task(std::string type);
    std::optional<TaskId> any_known();   // of this story, ended or not
    std::optional<TaskId> any_recent();  // one of the newest
    void remember(const TaskSpec& spec) { submitted_.push_back(spec); }
    const std::vector<TaskSpec>& submitted() const { return submitted_; }
    std::vector<OperationId> operations;  // asked for
    std::vector<GroupId> open_groups;
    std::vector<std::string> schedule_names;
    std::vector<HeldDelivery> deliveries_held;  // by consumers, or thought to be
    std::vector<std::pair<WorkflowId, std::shared_ptr<const WorkflowPlan>>> workflows;
    std::uint32_t lost_in_a_hundred = 2;  // of what is sent to workers

    enum class Death { kill, power_cut };
    void die(Death how);
    void start();
    void declare(SimWorker& worker);
    void fill_journal(bool full);
    void fill_view(bool full);
    void step_operation(const OperationId& id);
    void drop_some();

  private:
    void deliver(const engine::Output& output);
    void check();
    void check_durable();
    void check_same(const engine::Engine& engine, bool steps);
    void check_whole();
    void gather_rows();
    void work_all();
    bool at_peace();
    std::string what_waits();

    Random random_;
    Tally& tally_;
    Stage stage_;
    Judge judge_;
    JudgedLog log_;
    MemoryCalendar calendar_;
    JournalTape tape_;
    MemoryTable table_;
    StageLane journal_lane_, space_lane_, view_lane_;
    std::unique_ptr<JudgedJournal> journal_;
    std::unique_ptr<MemoryView> view_;
    std::unique_ptr<service::Core> core_;
    std::unique_ptr<service::ScheduleDesk> schedules_;
    std::unique_ptr<service::DeliveryDesk> deliveries_;
    std::unique_ptr<service::TopicKeeper> keeper_;
    std::vector<std::uint64_t> rows_before_;  // of a replay
    bool journal_full_ = false;
    bool view_full_ = false;
    std::uint64_t life_ = 0;
    std::vector<SimWorker> workers_;
    std::vector<TaskSpec> submitted_;
    std::set<OperationId> stepping_;  // a part of it is on its way
};

// What clients, workers, operators and fate do; a step each.
void act(Story& story);

}  // namespace taskd::sim
