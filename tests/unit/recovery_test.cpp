// An engine rebuilt from view and journal is the one that never stopped.
#include "catch.hpp"
#include "memory_view.hpp"
#include "taskd/engine/engine.hpp"

using namespace taskd;
using namespace taskd::engine;
using namespace taskd::test;
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
        switch (random_.below(12)) {
            case 10:
                schedule();
                break;
            case 11:
                fire();
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
        MemoryView view{table_};
        (void)view.each_queue([&](const QueueRules& rules) { other.restore(rules); });
        (void)view.each_schedule([&](const Schedule& each) { other.restore(each); });
        (void)view.each_live([&](const TaskHead& head) {
            if (head.leased)
                other.restore(row(head.id));
            else
                other.restore(head);
        });
        other.restore(table_.mark.totals, *view.newest_ended());
        for (std::size_t i = table_.mark.sequence.value; i < records_.size(); ++i) {
            if (const auto id = other.body_needed(records_[i])) other.apply(TaskLoaded{row(*id)});
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
                if (engine_.is_bodiless(id)) engine_.apply(TaskLoaded{row(id)});
                if (asked != nullptr && !engine_.state_of(id) && table_.tasks.contains(id))
                    asked->known.push_back(table_.tasks.at(id));
            }
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
        run(Submit{{spec}});
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
        MemoryView view{table_};
        (void)view.store({{Sequence{records_.size()}, now_.engine, engine_.totals()},
                          engine_.take_changed(),
                          engine_.take_changed_queues(),
                          engine_.take_changed_schedules(),
                          {}});
        const Decision decision = engine_.decide(now_, Forget{Sequence{records_.size()}}, random_);
        for (const Note& note : decision.notes)
            unloaded_ += std::holds_alternative<TaskUnloaded>(note) ? 1 : 0;
        settle(decision);
    }

    Engine engine_{EngineSettings{.lease_duration = 3s, .waiting_bytes_max = 2'000}};
    std::uint64_t unloaded_ = 0;
    Random random_;
    Now now_;
    std::vector<Record> records_;
    std::vector<TaskId> ids_;
    MemoryTable table_;
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
    std::uint64_t unloaded = 0;
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
}
