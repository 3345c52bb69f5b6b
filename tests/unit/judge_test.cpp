// The judge of the simulation finds what may not be: each rule broken once.
#include "sim/judge.hpp"
#include "catch.hpp"
#include "taskd/sim/simulation.hpp"

using namespace taskd;
using namespace taskd::sim;
using namespace std::chrono_literals;

namespace {

// A journal that says what it is told to.
struct Trial {
    Judge judge{3s};
    Random random{1};
    TaskId id = make_id();

    Trial() {
        judge.set_slots("w1", 2);
        judge.set_slots("w2", 2);
    }

    TaskId make_id() { return TaskId::make(WallTime{24h * 365 * 50}, random); }
    void say(Record record) { judge.take({judge.last().next(), {}, {std::move(record)}}); }
    void submit(const TaskId& task, std::uint8_t priority = 5) {
        TaskSpec spec;
        spec.id = task;
        spec.type = "email";
        spec.key = "acme";
        spec.priority = priority;
        say(TaskSubmitted{spec, {}, {}, {}, {}});
    }
    void lease(const TaskId& task, std::uint64_t epoch, EngineTime at = EngineTime{10s},
               const std::string& worker = "w1") {
        say(TaskLeased{task, LeaseEpoch{epoch}, worker, at + 3s, {}, {}});
    }
    void complete(const TaskId& task, std::uint64_t epoch) {
        say(TaskCompleted{task, LeaseEpoch{epoch}, Blob{"1"}, {}, {}});
    }
    bool blamed_for(std::string_view rule) const {
        return !judge.broken().empty() && judge.broken().front().starts_with(rule);
    }
};

}  // namespace

TEST_CASE("a life by the rules is not blamed") {
    Trial trial;
    trial.submit(trial.id);
    trial.lease(trial.id, 1);
    trial.complete(trial.id, 1);
    trial.say(TaskDeleted{trial.id});
    trial.submit(trial.id);
    CHECK(trial.judge.broken().empty());
    CHECK(trial.judge.live() == 1);
}

TEST_CASE("what may not stand in a journal is found by its name") {
    Trial trial;
    trial.submit(trial.id);
    const TaskId other = trial.make_id();

    SECTION("twice submitted") {
        trial.submit(trial.id);
        CHECK(trial.blamed_for("submitted once"));
    }
    SECTION("ended twice") {
        trial.lease(trial.id, 1);
        trial.complete(trial.id, 1);
        trial.complete(trial.id, 1);
        CHECK(trial.blamed_for("one terminal state, and only moves of the table"));
    }
    SECTION("an epoch again") {
        trial.lease(trial.id, 1);
        trial.say(AttemptReleased{trial.id, LeaseEpoch{1}, {}});
        trial.lease(trial.id, 1);
        CHECK(trial.blamed_for("epochs only grow"));
    }
    SECTION("an old result") {
        trial.lease(trial.id, 1);
        trial.say(AttemptReleased{trial.id, LeaseEpoch{1}, {}});
        trial.lease(trial.id, 2);
        trial.complete(trial.id, 1);
        CHECK(trial.blamed_for("only the newest epoch counts"));
    }
    SECTION("out of turn") {
        trial.submit(other, 9);
        trial.lease(trial.id, 1);
        CHECK(trial.blamed_for("priority first, then first come first served, within a key"));
    }
    SECTION("deleted before its end") {
        trial.say(TaskDeleted{trial.id});
        CHECK(trial.blamed_for("what has not ended is not deleted"));
    }
    SECTION("a gap") {
        trial.judge.take({Sequence{7}, {}, {TaskDeleted{trial.id}}});
        CHECK(trial.blamed_for("journal without gaps"));
    }
}

TEST_CASE("what a queue and a worker do not allow is found by its name") {
    Trial trial;
    trial.submit(trial.id);
    const TaskId other = trial.make_id();
    QueueRules rules{.type = "email"};

    SECTION("over the limit of the queue") {
        rules.concurrency = 1;
        trial.say(QueueChanged{rules});
        trial.submit(other);
        trial.lease(trial.id, 1);
        trial.lease(other, 1, EngineTime{10s}, "w2");
        CHECK(trial.blamed_for("the limit of the queue is kept"));
    }
    SECTION("over the limit of the key") {
        rules.key_concurrency = 1;
        trial.say(QueueChanged{rules});
        trial.submit(other);
        trial.lease(trial.id, 1);
        trial.lease(other, 1);
        CHECK(trial.blamed_for("the limit of the key is kept"));
    }
    SECTION("faster than the rate") {
        rules.rate.count = 1;
        trial.say(QueueChanged{rules});
        trial.submit(other);
        trial.lease(trial.id, 1);
        trial.lease(other, 1, EngineTime{10s + 900ms});
        CHECK(trial.blamed_for("rates are kept"));
    }
    SECTION("more than the worker has slots") {
        trial.judge.set_slots("w1", 1);
        trial.submit(other);
        trial.lease(trial.id, 1);
        trial.lease(other, 1);
        CHECK(trial.blamed_for("slots are not exceeded"));
    }
    SECTION("from a paused queue") {
        rules.paused = Pause{};
        trial.say(QueueChanged{rules});
        trial.lease(trial.id, 1);
        CHECK(trial.blamed_for("a paused queue leases nothing"));
    }
    SECTION("to a held worker") {
        trial.say(WorkerHeld{{"w1", Pause{}, false}});
        trial.lease(trial.id, 1);
        CHECK(trial.blamed_for("a held worker gets nothing"));
    }
    SECTION("a group that ends too early") {
        Group group;
        group.id = trial.make_id();
        trial.say(GroupMade{group});
        TaskSpec member;
        member.id = other;
        member.type = "email";
        member.group = group.id;
        trial.say(TaskSubmitted{member, {}, {}, {}, {}});
        trial.say(GroupClosed{group.id});
        trial.say(GroupEnded{group.id, {}, {}});
        CHECK(trial.blamed_for("a group ends when all its tasks have"));
    }
}

TEST_CASE("a command that was only ever refused counts as one that was not met") {
    Tally tally;
    const auto is_unmet = [&](std::string_view name) {
        return std::ranges::count(tally.unmet(), name) == 1;
    };
    for (const char* name :
         {"publish", "end deliveries", "set group", "retry workflow", "submit"}) {
        INFO(name);
        tally.commands[name].asked = 5;
        CHECK(is_unmet(name));
        Tally more;
        more.commands[name].accepted = 1;
        tally.add(more);
        CHECK_FALSE(is_unmet(name));
    }
    CHECK(is_unmet("an event that is published"));
    tally.published = 1;
    CHECK_FALSE(is_unmet("an event that is published"));
}
