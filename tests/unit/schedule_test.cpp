// When a schedule is due, and the ids of its tasks.
#include "taskd/model/schedule.hpp"

#include "catch.hpp"
#include "taskd/base/limits.hpp"

using namespace taskd;
using namespace std::chrono_literals;

namespace {

constexpr WallTime begin{1'700'000'000s};

ZoneSpan plain(WallTime) {
    return {WallTime::min(), WallTime::max(), 0h};
}

ScheduleSpec every(Duration interval) {
    ScheduleSpec spec;
    spec.name = "nightly";
    spec.every = interval;
    return spec;
}

}  // namespace

TEST_CASE("an interval counts from its start") {
    const Plan plan = Plan::make(every(10s), begin).value();
    CHECK(plan.next(begin - 1h, plain) == begin);
    CHECK(plan.next(begin, plain) == begin + 10s);
    CHECK(plan.next(begin + 10s - 1us, plain) == begin + 10s);
    CHECK(plan.next(begin + 10s, plain) == begin + 20s);

    ScheduleSpec later = every(10s);
    later.start_at = begin + 3s;
    later.end_at = begin + 23s;
    const Plan ends = Plan::make(later, begin).value();
    CHECK(ends.next(begin, plain) == begin + 3s);
    CHECK(ends.next(begin + 3s, plain) == begin + 13s);
    CHECK_FALSE(ends.next(begin + 13s, plain));  // the end is not in it
}

TEST_CASE("a cron expression begins at its start and ends before its end") {
    ScheduleSpec spec;
    spec.cron = "0 * * * *";
    spec.start_at = WallTime{2h};
    spec.end_at = WallTime{4h};
    const Plan plan = Plan::make(spec, WallTime{0h}).value();
    CHECK(plan.next(WallTime{0h}, plain) == WallTime{2h});
    CHECK(plan.next(WallTime{2h}, plain) == WallTime{3h});
    CHECK_FALSE(plan.next(WallTime{3h}, plain));
}

TEST_CASE("what is no schedule is refused") {
    const auto refused = [](ScheduleSpec spec) {
        return Plan::make(spec, begin).error().code == ErrorCode::invalid_field;
    };
    CHECK(refused(every(0s)));  // neither
    ScheduleSpec both = every(10s);
    both.cron = "@daily";
    CHECK(refused(both));
    CHECK(refused(every(limits::every_least - 1us)));
    CHECK(refused(every(limits::every_most + 1us)));
    ScheduleSpec backwards = every(10s);
    backwards.start_at = backwards.end_at = begin;
    CHECK(refused(backwards));
    ScheduleSpec wrong;
    wrong.cron = "61 * * * *";
    CHECK(refused(wrong));
}

TEST_CASE("each time has one id, and no other time or schedule has it") {
    Schedule schedule;
    schedule.spec.name = "nightly";
    schedule.made_at = begin;
    schedule.made_as = Sequence{7};
    const TaskId id = fire_id(schedule, begin + 10s);
    CHECK(fire_id(schedule, begin + 10s) == id);
    CHECK(id.made_at() == begin + 10s);
    CHECK(TaskId::parse(id.to_string()) == id);
    CHECK(fire_id(schedule, begin + 10s + 1us) != id);
    // What it submits may change, the time stays the same.
    schedule.changed_as = Sequence{9};
    schedule.spec.task.type = "other";
    CHECK(fire_id(schedule, begin + 10s) == id);
    schedule.made_as = Sequence{8};
    CHECK(fire_id(schedule, begin + 10s) != id);
    schedule.made_as = Sequence{7};
    schedule.spec.name = "daily";
    CHECK(fire_id(schedule, begin + 10s) != id);
}
