// Every rule that can hold a task is explained, and each explanation says what would release it.
#include <algorithm>
#include <map>

#include "catch.hpp"
#include "taskd/engine/engine.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/openapi.hpp"

using namespace taskd;
using namespace taskd::engine;
using namespace std::chrono_literals;

namespace {

// One engine, brought into a situation by commands.
class Stage {
  public:
    TaskId submit(TaskSpec spec) {
        spec.id = TaskId::make(now_.wall, random_);
        if (spec.type.empty()) spec.type = "email";
        spec.payload = Blob{"null"};
        run(Submit{{spec}});
        return spec.id;
    }
    void run(const Command& command) {
        settle(engine_.decide(now_, command, random_));
        if (matching) match();
    }
    void match() {
        while (engine_.can_match())
            settle(engine_.decide(now_, Match{}, random_));
    }
    void advance(Duration by) {
        now_.engine += by;
        now_.wall += by;
        run(Tick{});
    }
    Explanation explain(TaskId id) const { return engine_.explain(now_, *engine_.find(id), room); }
    WallTime at(Duration later) const { return now_.wall + later; }

    bool matching = true;
    bool room = true;

  private:
    void settle(const Decision& decision) {
        for (const Record& record : decision.records)
            engine_.apply(sequence_ = sequence_.next(), record);
        for (const Note& note : decision.notes)
            engine_.apply(note);
    }

    Engine engine_{EngineSettings{.lease_duration = 30s}};
    Random random_{1};
    Now now_{WallTime{1'700'000'000s}, EngineTime{}};
    Sequence sequence_;
};

using Situation = std::function<TaskId(Stage&)>;

// The second task of a key under these rules.
TaskId limited(Stage& stage, const QueueRules& rules) {
    stage.run(ChangeQueue{.type = "email", .rules = rules});
    stage.run(WorkerUp{"w1", {"email"}, 5});
    stage.submit({.key = "acme"});
    return stage.submit({.key = "acme"});
}

using Situations = std::map<std::string_view, Situation>;

// What the task itself, its worker or the want of one is the reason of.
const Situations& own_situations() {
    static const Situations all{
        {"no_worker", [](Stage& stage) { return stage.submit({}); }},
        {"not_due", [](Stage& stage) { return stage.submit({.delay = 10s}); }},
        {"workers_full",
         [](Stage& stage) {
             stage.run(WorkerUp{"w1", {"email"}, 1});
             stage.submit({});
             return stage.submit({});
         }},
        {"not_asked",
         [](Stage& stage) {
             stage.run(WorkerUp{"w1", {"email"}, 5, 0});
             return stage.submit({});
         }},
        {"no_room",
         [](Stage& stage) {
             stage.matching = stage.room = false;
             stage.run(WorkerUp{"w1", {"email"}, 1});
             return stage.submit({});
         }},
        {"leasing",
         [](Stage& stage) {
             stage.matching = false;
             stage.run(WorkerUp{"w1", {"email"}, 1});
             return stage.submit({});
         }},
        {"running",
         [](Stage& stage) {
             stage.run(WorkerUp{"w1", {"email"}, 1});
             return stage.submit({});
         }},
        {"stopping",
         [](Stage& stage) {
             stage.run(WorkerUp{"w1", {"email"}, 1});
             const TaskId id = stage.submit({});
             stage.run(Cancel{id, ""});
             return id;
         }},
        {"backoff",
         [](Stage& stage) {
             stage.run(WorkerUp{"w1", {"email"}, 1});
             const TaskId id = stage.submit({});
             stage.run(Fail{{id, LeaseEpoch{1}}, {"smtp_down", "", false}});
             return id;
         }},
    };
    return all;
}

// What somebody said.
const Situations& ruled_situations() {
    static const Situations all{
        {"queue_paused",
         [](Stage& stage) {
             stage.run(ChangeQueue{.type = "email", .what = ChangeQueue::What::pause, .by = "ann"});
             return stage.submit({});
         }},
        {"key_paused",
         [](Stage& stage) {
             stage.run(
                 ChangeQueue{.type = "email", .what = ChangeQueue::What::pause, .key = "acme"});
             return stage.submit({.key = "acme"});
         }},
        {"workers_paused",
         [](Stage& stage) {
             stage.run(WorkerUp{"w1", {"email"}, 1});
             stage.run(WorkerUp{"w2", {"email"}, 1});
             stage.run(ChangeWorker{.instance = "w1", .by = "ann"});
             stage.run(ChangeWorker{.instance = "w2", .what = ChangeWorker::What::drain});
             return stage.submit({});
         }},
        {"queue_limit", [](Stage& stage) { return limited(stage, {.concurrency = 1}); }},
        {"key_limit", [](Stage& stage) { return limited(stage, {.key_concurrency = 1}); }},
        {"queue_rate", [](Stage& stage) { return limited(stage, {.rate = {1, 10s, 1}}); }},
        {"key_rate", [](Stage& stage) { return limited(stage, {.key_rate = {1, 10s, 1}}); }},
        {"ended",
         [](Stage& stage) {
             const TaskId id = stage.submit({});
             stage.run(Cancel{id, ""});
             return id;
         }},
    };
    return all;
}

Situations situations() {
    Situations all = own_situations();
    all.insert(ruled_situations().begin(), ruled_situations().end());
    return all;
}

}  // namespace

TEST_CASE("every rule that holds a task is explained") {
    const Situations all = situations();
    CHECK(all.size() == rule_table().size());
    for (const HoldingRule& rule : rule_table()) {
        INFO(rule.name);
        const auto found = all.find(rule.name);
        REQUIRE(found != all.end());
        Stage stage;
        const TaskId id = found->second(stage);
        const Explanation why = stage.explain(id);
        CHECK(why.rule == rule.name);
        CHECK_FALSE(why.text.empty());
        CHECK(why.release.empty() == (rule.name == "ended"));
        REQUIRE_FALSE(why.spent.empty());
        CHECK(why.spent.front().name == "queued");
    }
}

TEST_CASE("whichever of a task's times is over first is told, and what happens then") {
    Stage stage;
    stage.run(WorkerUp{"w1", {"email"}, 5});
    const auto ends_with = [](const std::string& text, const std::string& tail) {
        INFO(text);
        CHECK(text.ends_with(tail));
    };
    const TaskId attempt = stage.submit({.timeout = 10s, .total_timeout = 20s});
    CHECK(stage.explain(attempt).until == stage.at(10s));
    ends_with(stage.explain(attempt).release, "; it is stopped at " + to_rfc3339(stage.at(10s)));
    const TaskId whole = stage.submit({.timeout = 20s, .total_timeout = 10s});
    CHECK(stage.explain(whole).until == stage.at(10s));
    ends_with(stage.explain(whole).release,
              "; it is stopped and expires at " + to_rfc3339(stage.at(10s)));

    const Backoff slow{.initial = 15s, .max = 15s, .jitter = 0};
    const TaskId again = stage.submit({.backoff = slow, .total_timeout = 16s});
    stage.run(Fail{{again, LeaseEpoch{1}}, {"smtp_down", "", false}});
    CHECK(stage.explain(again).until == stage.at(15s));
    ends_with(stage.explain(again).text, "; it is tried again at " + to_rfc3339(stage.at(15s)));
    const TaskId never = stage.submit({.backoff = slow, .total_timeout = 14s});
    stage.run(Fail{{never, LeaseEpoch{1}}, {"smtp_down", "", false}});
    CHECK(stage.explain(never).until == stage.at(14s));
    ends_with(stage.explain(never).text,
              "; it expires at " + to_rfc3339(stage.at(14s)) + ", before it is tried again");
    stage.advance(14s);
    CHECK(stage.explain(never).text == "it is expired");
    CHECK(stage.explain(again).rule == "backoff");
}

TEST_CASE("a worker that asks for its tasks is busy with some, and without any it is awaited") {
    Stage stage;
    stage.run(WorkerUp{"w1", {"email"}, 5, 1});
    stage.submit({});
    const TaskId next = stage.submit({});
    CHECK(stage.explain(next).rule == "workers_full");
    stage.run(WorkerUp{"w2", {"email"}, 5, 0});
    const Explanation why = stage.explain(next);
    CHECK(why.rule == "not_asked");
    CHECK(why.text ==
          "worker w2 does nothing, but does not ask for tasks of type 'email' at the "
          "moment, 1 tasks are queued");
    CHECK(why.release == "it asks again, or another worker takes it");
}

TEST_CASE("one of the leases that fill a limit is named, if it is soon found") {
    Stage stage;
    stage.run(ChangeQueue{.type = "email", .rules = {.key_concurrency = 2}});
    stage.run(WorkerUp{"w1", {"email"}, 500});
    const TaskId first = stage.submit({.key = "acme"});
    stage.submit({.key = "acme"});
    CHECK(stage.explain(stage.submit({.key = "acme"})).text ==
          "2 of 2 of key 'acme' are leased: " + first.to_string() + " and 1 more");
    for (int i = 0; i < 100; ++i)
        stage.submit({.key = "other " + std::to_string(i)});
    stage.submit({.key = "late"});
    stage.submit({.key = "late"});
    CHECK(stage.explain(stage.submit({.key = "late"})).text == "2 of 2 of key 'late' are leased");
}

TEST_CASE("rates that were taken back hold nothing when the records are applied again") {
    Engine engine{EngineSettings{.lease_duration = 30s}};
    Random random{1};
    const Now now{WallTime{1'700'000'000s}, EngineTime{}};
    Sequence at;
    const auto apply = [&](const Record& record) { engine.apply(at = at.next(), record); };
    QueueRules rules;
    rules.type = "email";
    rules.rate = rules.key_rate = {1, 10s, 1};
    apply(QueueChanged{rules});
    apply(EngineResumed{EngineTime{30s}});
    TaskSpec spec;
    spec.id = TaskId::make(now.wall, random);
    spec.type = "email";
    spec.key = "acme";
    spec.payload = Blob{"null"};
    for (const Record& record : engine.decide(now, Submit{{spec}}, random).records)
        apply(record);
    for (const Note& note : engine.decide(now, WorkerUp{"w1", {"email"}, 1}, random).notes)
        engine.apply(note);
    CHECK(engine.explain(now, *engine.find(spec.id)).rule == "queue_rate");
    rules.rate = rules.key_rate = {};
    apply(QueueChanged{rules});
    CHECK(engine.can_match());
    CHECK(engine.explain(now, *engine.find(spec.id)).rule == "leasing");
}

TEST_CASE("the contract names the same rules") {
    std::string text{protocol::openapi_json()};
    for (const HoldingRule& rule : rule_table())
        CHECK(text.find("\"" + std::string{rule.name} + "\"") != std::string::npos);
}

TEST_CASE("of a task that has ended it is said where its time went") {
    Stage stage;
    const TaskId id = stage.submit({.backoff = {.initial = 2s, .max = 2s, .jitter = 0}});
    stage.advance(3s);
    stage.run(WorkerUp{"w1", {"email"}, 1});
    stage.advance(1s);
    stage.run(Fail{{id, LeaseEpoch{1}}, {"smtp_down", "", false}, 600ms});
    stage.advance(2s);
    stage.advance(5s);
    stage.run(Complete{{id, LeaseEpoch{2}}, Blob{"1"}, 4500ms});
    std::map<std::string_view, Duration> spent;
    for (const auto& phase : stage.explain(id).spent)
        spent[phase.name] = phase.took;
    const std::map<std::string_view, Duration> expected{
        {"queued", 3s}, {"between_attempts", 2s}, {"dispatched", 900ms}, {"running", 5100ms}};
    CHECK(spent == expected);
}
