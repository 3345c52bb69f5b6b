// An engine rebuilt from view and journal is the one that never stopped.
#include "catch.hpp"
#include "taskd/engine/engine.hpp"
#include "taskd/sim/memory_view.hpp"

using namespace taskd;
using namespace taskd::engine;
using namespace std::chrono_literals;

namespace {

// Random commands to one engine, its records kept, its changes taken to a view now and then.
class Life {
  public:
    explicit Life(std::uint64_t seed) : random_{seed} {
        for (const char* worker : {"w1", "w2"})
            run(WorkerUp{worker, {"a"}, 3});
        run(WorkerUp{"w3", {"b"}, 2});
    }

    void step() {
        now_.engine += std::chrono::milliseconds{random_.below(700)};
        now_.wall = WallTime{now_.engine.time_since_epoch() + 1000h};
        switch (random_.below(16)) {
            case 15:
                run(ChangeWorker{random_.chance(1, 2) ? "w1" : "w3",
                                 static_cast<ChangeWorker::What>(random_.below(3)), "ann"});
                break;
            case 14:
                schedule();
                break;
            case 13:
                fire();
                break;
            case 12:
                if (random_.chance(1, 3)) gather();
                break;
            case 10:
                run(random_.chance(2, 3) ? Command{Redrive{any()}}
                                         : Command{EditPayload{any(), Blob{"[7]"}}});
                break;
            case 11:
                if (random_.chance(1, 4)) operate();
                break;
            case 8:
                run(SetPriority{any(), static_cast<std::uint8_t>(random_.below(10))});
                break;
            case 9:
                if (random_.chance(1, 3)) run(change());
                break;
            case 0:
            case 1:
            case 2:
                submit();
                break;
            case 3:
                run(Cancel{any(), "no more"});
                break;
            case 4:
                run(Complete{lease(), Blob{"1"}});
                break;
            case 5:
                run(Fail{lease(), {"broken", "", random_.chance(1, 4)}});
                break;
            case 6:
                run(random_.chance(1, 2) ? Command{Release{lease()}}
                                         : Command{ConfirmRevoked{lease()}});
                break;
            default:
                run(Tick{});
                break;
        }
        if (random_.chance(1, 10)) store();
    }

    // The view as it was stored last, then every record since.
    void rebuild(Engine& other) {
        sim::MemoryView view{table_};
        (void)view.each_queue([&](const QueueRules& rules) { other.restore(rules); });
        (void)view.each_schedule([&](const Schedule& each) { other.restore(each); });
        (void)view.each_live([&](const TaskHead& head) {
            if (head.leased)
                other.restore(row(head.id));
            else
                other.restore(head);
        });
        (void)view.each_operation([&](const Operation& each) { other.restore(each); });
        (void)view.each_hold([&](const WorkerHold& each) { other.restore(each); });
        (void)view.each_group([&](const Group& each) { other.restore(each); });
        other.restore(table_.mark.totals, *view.newest_ended());
        for (std::size_t i = table_.mark.sequence.value; i < records_.size(); ++i) {
            const auto id = other.body_needed(records_[i]);
            if (id && table_.tasks.contains(*id)) other.apply(TaskLoaded{row(*id)});
            other.apply(Sequence{i + 1}, records_[i]);
        }
    }

    std::shared_ptr<Task> row(TaskId id) const {
        return std::make_shared<Task>(table_.tasks.at(id));
    }
    // Gives every task its body back.
    void load_all(Engine& engine) const {
        for (const TaskId& id : ids_)
            if (engine.is_bodiless(id)) engine.apply(TaskLoaded{row(id)});
    }
    void load_all() { load_all(engine_); }
    std::uint64_t unloaded() const { return unloaded_; }
    // Counts are those of the records; a group that is done was completed once. Answers how many.
    std::uint64_t check_groups() const {
        std::uint64_t done = 0;
        for (const auto& [id, group] : engine_.groups()) {
            std::uint64_t members = 0, endings = 0, completions = 0;
            for (const Record& record : records_) {
                if (const auto* submitted = std::get_if<TaskSubmitted>(&record)) {
                    members += submitted->spec.group == id ? 1 : 0;
                    completions += submitted->spec.payload.view().starts_with(
                        "{\"group\":\"" + id.to_string() + "\"");
                }
                const auto* ended = std::get_if<GroupEnded>(&record);
                endings += ended != nullptr && ended->id == id ? 1 : 0;
            }
            CHECK(group.tasks == members);
            CHECK(endings == (group.state == GroupState::done ? 1 : 0));
            CHECK(completions == (group.completed_by ? 1 : 0));
            CHECK(group.completed_by.has_value() ==
                  (group.state == GroupState::done && group.completion.has_value()));
            const bool all = group.ended() == group.tasks;
            CHECK((group.state == GroupState::open || all == (group.state == GroupState::done)));
            done += endings;
        }
        return done;
    }

    const Engine& engine() const { return engine_; }
    const Now& now() const { return now_; }
    const std::vector<Record>& records() const { return records_; }

  private:
    void run(Command command) {
        for (;;) {
            const Decision decision = engine_.decide(now_, command, random_);
            if (decision.fetch.empty()) {
                settle(decision);
                break;
            }
            Submit* asked = asked_of(command);
            if (asked != nullptr) asked->fetched = true;
            for (const TaskId& id : decision.fetch) {
                const bool there = table_.tasks.contains(id) && !engine_.is_deleted(id);
                const bool away = engine_.is_bodiless(id) || !engine_.state_of(id);
                if (!there || !away) continue;
                if (asked != nullptr && !engine_.state_of(id))
                    asked->known.push_back(table_.tasks.at(id));
                else
                    engine_.apply(TaskLoaded{row(id)});
            }
            std::visit(
                [](auto& again) {
                    if constexpr (requires { again.fetched = true; }) again.fetched = true;
                },
                command);
        }
        do {
            while (engine_.can_match())
                settle(engine_.decide(now_, Match{}, random_));
        } while (look());
    }

    bool look() {
        if (!engine_.can_look()) return false;
        const Decision decision = engine_.decide(now_, Look{}, random_);
        settle(decision);
        for (const TaskId& id : decision.fetch)
            engine_.apply(TaskLoaded{row(id), true});
        return engine_.can_match();
    }

    void settle(const Decision& decision) {
        for (const Record& record : decision.records) {
            records_.push_back(record);
            if (const auto* submitted = std::get_if<TaskSubmitted>(&record))
                ids_.push_back(submitted->spec.id);
            engine_.apply(Sequence{records_.size()}, record);
        }
        for (const Note& note : decision.notes)
            engine_.apply(note);
    }

    ChangeQueue change() {
        ChangeQueue made;
        made.type = random_.chance(1, 2) ? "a" : "b";
        made.what = static_cast<ChangeQueue::What>(random_.below(3));
        if (random_.chance(1, 2)) made.key = "x";
        made.rules.concurrency = static_cast<std::uint32_t>(random_.below(4));
        made.rules.key_concurrency = static_cast<std::uint32_t>(random_.below(3));
        if (random_.chance(1, 3)) made.rules.rate = {3, 10s, 2};
        if (random_.chance(1, 3)) made.rules.key_rate = {2, 10s, 1};
        made.rules.weights["y"] = 3;
        return made;
    }

    void schedule() {
        const std::string name = random_.chance(1, 2) ? "daily" : "hourly";
        if (random_.chance(1, 4)) return run(PauseSchedule{name, random_.chance(1, 2)});
        if (random_.chance(1, 8)) return run(RemoveSchedule{name});
        ScheduleSpec spec;
        spec.name = name;
        spec.every = 1s;
        spec.overlap = static_cast<Overlap>(random_.below(3));
        spec.misfire = static_cast<Misfire>(random_.below(3));
        spec.task.type = "a";
        spec.task.payload = Blob{"null"};
        run(SetSchedule{spec});
    }

    void fire() {
        FireSchedule command;
        command.name = random_.chance(1, 2) ? "daily" : "hourly";
        command.why = static_cast<FireSchedule::Why>(random_.below(3));
        command.id = TaskId::make(now_.wall, random_);
        if (const Schedule* there = engine_.schedule(command.name))
            command.changed_as = there->changed_as;
        for (const int ago : {90, 70, 1, 0})
            command.times.push_back(std::chrono::floor<std::chrono::seconds>(now_.wall) -
                                    std::chrono::seconds{ago});
        run(command);
    }

    void submit() {
        TaskSpec made = any_spec();
        if (!groups_.empty() && random_.chance(1, 4)) {
            const auto& group = engine_.groups().at(groups_.back());
            if (group.state == GroupState::open) made.group = group.id;
        }
        run(Submit{{made}});
    }

    TaskSpec any_spec() {
        TaskSpec spec;
        spec.id = TaskId::make(now_.wall, random_);
        spec.type = random_.chance(2, 3) ? "a" : "b";
        spec.payload = Blob{"null"};
        spec.priority = static_cast<std::uint8_t>(random_.below(10));
        spec.attempts_max = 2;
        spec.crashes_max = 2;
        static constexpr const char* keys[] = {"", "x", "y"};
        spec.key = keys[random_.below(3)];
        if (random_.chance(1, 3)) spec.delay = std::chrono::milliseconds{random_.below(5'000)};
        if (random_.chance(1, 3)) spec.timeout = std::chrono::milliseconds{random_.below(5'000)};
        if (random_.chance(1, 4)) spec.queue_timeout = 4s;
        if (random_.chance(1, 4)) spec.total_timeout = 9s;
        return spec;
    }

    // A group with its first tasks, open or not; or one of them is closed.
    void gather() {
        if (!groups_.empty() && random_.chance(1, 2))
            return run(CloseGroup{groups_[random_.below(groups_.size())]});
        MakeGroup make;
        make.group.id = TaskId::make(now_.wall, random_);
        if (random_.chance(1, 2))
            make.group.completion = TaskSpec{.type = "b", .payload = Blob{"7"}};
        make.open = random_.chance(1, 2);
        for (std::uint64_t n = random_.below(4) + (make.open ? 0 : 1); n > 0; --n) {
            make.submit.tasks.push_back(any_spec());
            make.submit.tasks.back().group = make.group.id;
        }
        groups_.push_back(make.group.id);
        run(make);
    }

    // One of each kind on what was submitted lately, whatever state it is in.
    void operate() {
        Operation operation;
        operation.id = TaskId::make(now_.wall, random_);
        operation.action = static_cast<OperationAction>(1 + random_.below(3));
        run(StartOperation{operation});
        StepOperation step{.id = operation.id, .targets = {}};
        for (int i = 0; i < 3; ++i) {
            const TaskId id = any();
            const Task* task = engine_.find(id);
            const bool twice = std::ranges::find(step.targets, id, &StepOperation::Target::id) !=
                               step.targets.end();
            if (twice || engine_.is_deleted(id)) continue;
            if (task != nullptr)
                step.targets.push_back({id, task->changed_as});
            else if (const auto row = table_.tasks.find(id); row != table_.tasks.end())
                step.targets.push_back({id, row->second.changed_as});
        }
        step.last = random_.chance(1, 2);
        run(step);
        if (random_.chance(1, 2)) run(StopOperation{operation.id});
    }

    TaskId any() {
        if (ids_.empty()) return {};
        return ids_[ids_.size() - 1 - random_.below(std::min<std::size_t>(ids_.size(), 12))];
    }

    LeaseRef lease() {
        const TaskId id = any();
        const Task* task = engine_.find(id);
        return {id, task == nullptr ? LeaseEpoch{1} : task->epoch};
    }

    void store() {
        sim::MemoryView view{table_};
        auto gone = engine_.take_gone();
        (void)view.store({{Sequence{records_.size()}, now_.engine, engine_.totals()},
                          engine_.take_changed(),
                          engine_.take_changed_queues(),
                          engine_.take_changed_schedules(),
                          {},
                          engine_.take_changed_operations(),
                          std::move(gone.tasks),
                          std::move(gone.operations),
                          engine_.take_changed_groups(),
                          std::move(gone.groups),
                          engine_.take_changed_holds()});
        const Decision decision = engine_.decide(now_, Forget{Sequence{records_.size()}}, random_);
        for (const Note& note : decision.notes)
            unloaded_ += std::holds_alternative<TaskUnloaded>(note) ? 1 : 0;
        settle(decision);
    }

    Engine engine_{EngineSettings{
        .lease_duration = 3s, .ended_in_memory_max = 10, .waiting_bytes_max = 2'000}};
    std::uint64_t unloaded_ = 0;
    Random random_;
    Now now_;
    std::vector<Record> records_;
    std::vector<TaskId> ids_;
    std::vector<GroupId> groups_;
    sim::MemoryTable table_;
};

// The order in which an engine would hand its queued tasks out.
std::vector<TaskId> order_of(Engine& engine, const Now& now) {
    Random random{1};
    std::vector<TaskId> order;
    for (const char* type : {"a", "b"}) {
        QueueRules open;
        open.type = type;
        engine.apply(Sequence{999'999}, QueueChanged{open});
        engine.apply(RatesReset{type, now.engine});
        const Decision up =
            engine.decide(now, WorkerUp{std::string{"taker-"} + type, {type}, 10'000}, random);
        for (const Note& note : up.notes)
            engine.apply(note);
    }
    for (std::uint64_t at = 1'000'000; engine.can_match(); ++at) {
        const Decision decision = engine.decide(now, Match{}, random);
        for (const Record& record : decision.records) {
            engine.apply(Sequence{at}, record);
            order.push_back(std::get<TaskLeased>(record).id);
        }
    }
    std::ranges::stable_sort(order, {}, [&](const TaskId& id) {
        const TaskSpec& spec = engine.find(id)->spec;
        return std::pair{spec.type, spec.key};
    });
    return order;
}

}  // namespace

TEST_CASE("an engine rebuilt from view and journal is the one that never stopped") {
    std::uint64_t unloaded = 0, groups = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        INFO("seed " << seed);
        Life life{seed};
        for (int i = 0; i < 300; ++i) {
            life.step();
            REQUIRE(life.engine().faults().empty());
        }
        Engine rebuilt{EngineSettings{.lease_duration = 3s}};
        life.rebuild(rebuilt);
        CHECK(rebuilt.totals() == life.engine().totals());
        CHECK(rebuilt.faults().empty());
        CHECK(rebuilt.operations() == life.engine().operations());
        CHECK(rebuilt.groups() == life.engine().groups());
        CHECK(rebuilt.holds() == life.engine().holds());
        groups += life.check_groups();
        for (const char* type : {"a", "b"})
            CHECK(rebuilt.rules_of(type) == life.engine().rules_of(type));
        for (const char* name : {"daily", "hourly"}) {
            const Schedule* there = life.engine().schedule(name);
            const Schedule* again = rebuilt.schedule(name);
            REQUIRE((there == nullptr) == (again == nullptr));
            if (there != nullptr) CHECK(*there == *again);
        }
        std::size_t live = 0;
        life.load_all();
        life.load_all(rebuilt);
        unloaded += life.unloaded();
        life.engine().each_task([&](const Task& task) {
            if (is_terminal(task.state) && !task.lease) return;
            ++live;
            const Task* other = rebuilt.find(task.spec.id);
            REQUIRE(other != nullptr);
            CHECK(*other == task);
        });
        CHECK(live > 0);
        // What never was in a view, applied from the first record on, is a third witness of the
        // order.
        Engine replayed{EngineSettings{.lease_duration = 3s}};
        for (std::size_t i = 0; i < life.records().size(); ++i)
            replayed.apply(Sequence{i + 1}, life.records()[i]);
        CHECK(order_of(rebuilt, life.now()) == order_of(replayed, life.now()));
    }
    CHECK(unloaded > 1'000);
    CHECK(groups > 50);
}
