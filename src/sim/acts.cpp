// The steps of a story: what may happen, how often, and how.
#include <algorithm>
#include <array>

#include "sim/story.hpp"
#include "sim/topic_acts.hpp"
#include "sim/workflow_acts.hpp"

namespace taskd::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t live_max = 40;  // then the workers go first
constexpr const char* types[] = {"echo", "sleep", "heavy"};
constexpr const char* keys[] = {"acme", "bolt"};
constexpr const char* schedule_names[] = {"nightly", "often"};

struct Act {
    unsigned weight;
    void (*run)(Story&);
};

std::string any_type(Story& story) {
    return types[story.random().below(std::size(types))];
}

SimWorker& any_worker(Story& story) {
    return story.workers()[story.random().below(story.workers().size())];
}

// A lease that one of the workers believes in.
struct Holding {
    SimWorker* worker = nullptr;
    engine::LeaseRef lease;
};
std::optional<Holding> any_lease(Story& story, bool take) {
    std::vector<SimWorker*> busy;
    for (SimWorker& worker : story.workers())
        if (worker.up && !worker.held.empty()) busy.push_back(&worker);
    if (busy.empty()) return std::nullopt;
    SimWorker& worker = *busy[story.random().below(busy.size())];
    const auto at =
        worker.held.begin() + static_cast<std::ptrdiff_t>(story.random().below(worker.held.size()));
    Holding found{&worker, *at};
    if (take) {
        worker.held.erase(at);
        if (worker.lost.size() < 20) worker.lost.push_back(found.lease);
    }
    return found;
}

// A worker that pulls asks again when it has handed something over.
void handed_over(Story& story, SimWorker& worker) {
    if (worker.pulls) story.declare(worker);
}

void submit_some(Story& story) {
    if (story.judge().live() > live_max) return;
    std::vector<TaskSpec> tasks;
    const std::uint64_t count = story.random().chance(1, 4) ? 2 + story.random().below(6) : 1;
    for (std::uint64_t i = 0; i < count; ++i) {
        tasks.push_back(story.make_task());
        story.remember(tasks.back());
    }
    story.submit("submit", std::move(tasks));
}

// Its answer was lost: the same again, word for word.
void submit_again(Story& story) {
    if (story.submitted().empty()) return;
    const auto& all = story.submitted();
    story.hit("answer lost, submitted again");
    story.submit("submit", {all[story.random().below(all.size())]});
}

void complete(Story& story) {
    const auto holding = any_lease(story, true);
    if (!holding) return;
    story.ask("complete", engine::Complete{holding->lease, Blob{"true"}, 5ms});
    if (story.random().chance(1, 20)) {
        story.hit("result doubled");
        story.ask("complete", engine::Complete{holding->lease, Blob{"true"}, 5ms});
    }
    handed_over(story, *holding->worker);
}

void fail_one(Story& story) {
    const auto holding = any_lease(story, true);
    if (!holding) return;
    TaskError error{story.random().chance(1, 3) ? "not_now" : "boom", "it did not work",
                    story.random().chance(1, 8)};
    std::optional<Duration> after;
    if (story.random().chance(1, 6)) after = 2s;
    story.ask("fail", engine::Fail{holding->lease, std::move(error), 5ms, after});
    handed_over(story, *holding->worker);
}

void release(Story& story) {
    const auto holding = any_lease(story, true);
    if (!holding) return;
    story.ask("release", engine::Release{holding->lease});
    handed_over(story, *holding->worker);
}

void confirm(Story& story) {
    for (SimWorker& worker : story.workers()) {
        if (!worker.up || worker.revoked.empty()) continue;
        const engine::LeaseRef lease = worker.revoked.back();
        worker.revoked.pop_back();
        // Or it had done it just before it was told.
        if (story.random().chance(1, 6))
            story.ask("complete", engine::Complete{lease, Blob{"1"}});
        else
            story.ask("confirm revoked", engine::ConfirmRevoked{lease});
        return handed_over(story, worker);
    }
}

void renew(Story& story) {
    SimWorker& worker = any_worker(story);
    if (worker.up) story.ask("renew", engine::Renew{worker.name, worker.held});
}

void report(Story& story) {
    const auto holding = any_lease(story, false);
    if (!holding) return;
    Progress progress;
    progress.percent = static_cast<std::uint8_t>(story.random().below(101));
    story.ask("report", engine::Report{holding->worker->name, holding->lease, progress});
}

// Of an earlier life of the worker, or said once already.
void late(Story& story) {
    SimWorker& worker = any_worker(story);
    if (worker.lost.empty()) return;
    const engine::LeaseRef lease = worker.lost[story.random().below(worker.lost.size())];
    story.hit("result of an old lease");
    switch (story.random().below(4)) {
        case 0:
            return story.ask("fail", engine::Fail{lease, {"boom", "late", false}});
        case 1:
            return story.ask("release", engine::Release{lease});
        case 2:
            return story.ask("confirm revoked", engine::ConfirmRevoked{lease});
        default:
            story.ask("complete", engine::Complete{lease, Blob{"true"}});
    }
}

void cancel(Story& story) {
    if (const auto id = story.any_recent()) story.ask("cancel", engine::Cancel{*id, "not needed"});
}

void set_priority(Story& story) {
    if (const auto id = story.any_recent())
        story.ask("set priority",
                  engine::SetPriority{*id, static_cast<std::uint8_t>(story.random().below(10))});
}

void redrive(Story& story) {
    if (const auto id = story.any_known()) story.ask("redrive", engine::Redrive{.id = *id});
}

void edit(Story& story) {
    if (const auto id = story.any_known())
        story.ask("edit payload", engine::EditPayload{*id, Blob{"7"}});
}

Rate any_rate(Story& story) {
    Rate rate;
    rate.count = static_cast<std::uint32_t>(story.random().below(4));
    rate.burst = static_cast<std::uint32_t>(1 + story.random().below(3));
    return rate;
}

void change_queue(Story& story) {
    Random& random = story.random();
    engine::ChangeQueue change{.type = any_type(story)};
    using What = engine::ChangeQueue::What;
    static constexpr What what[] = {What::rules, What::pause, What::resume, What::resume,
                                    What::drain};
    change.what = what[random.below(std::size(what))];
    if (random.chance(1, 2) && (change.what == What::pause || change.what == What::resume))
        change.key = keys[random.below(2)];
    change.rules.type = change.type;
    change.rules.concurrency = static_cast<std::uint32_t>(random.below(4));
    change.rules.key_concurrency = static_cast<std::uint32_t>(random.below(3));
    if (random.chance(1, 3)) change.rules.rate = any_rate(story);
    if (random.chance(1, 3)) change.rules.key_rate = any_rate(story);
    if (random.chance(1, 4)) change.rules.key_backlog_max = 5;
    change.rules.weights = {{"bolt", 3}};
    story.ask("change queue", std::move(change));
}

void change_worker(Story& story) {
    using What = engine::ChangeWorker::What;
    static constexpr What what[] = {What::pause, What::drain, What::resume, What::resume};
    story.ask("change worker",
              engine::ChangeWorker{any_worker(story).name, what[story.random().below(4)],
                                   "operator", "a look"});
}

void worker_gone(Story& story) {
    story.ask("worker gone", engine::WorkerGone{any_worker(story).name});
}

void worker_up(Story& story) {
    SimWorker& worker = any_worker(story);
    if (worker.up) story.declare(worker);
}

void group(Story& story) {
    if (story.judge().live() > live_max) return;
    Random& random = story.random();
    Group made;
    made.id = TaskId::make(story.stage().wall(), random);
    made.made_at = story.stage().wall();
    if (random.chance(2, 3)) {
        made.completion = story.make_task("echo");
        made.completion->id = {};
    }
    std::vector<TaskSpec> tasks;
    for (std::uint64_t i = random.below(5); i > 0; --i) {
        tasks.push_back(story.make_task());
        tasks.back().group = made.id;
        story.remember(tasks.back());
    }
    const bool open = random.chance(1, 3);
    if (open) story.open_groups.push_back(made.id);
    story.make_group(std::move(made), open, std::move(tasks));
}

void group_more(Story& story) {
    if (story.open_groups.empty()) return;
    const GroupId id = story.open_groups[story.random().below(story.open_groups.size())];
    if (story.random().chance(1, 2)) return story.ask("close group", engine::CloseGroup{id});
    TaskSpec spec = story.make_task();
    spec.group = id;
    story.remember(spec);
    story.submit("submit", {std::move(spec)});
}

void operation(Story& story) {
    static constexpr const char* searches[] = {"type:*", "key:bolt", "type:echo,heavy -key:acme"};
    Operation asked;
    asked.id = TaskId::make(story.stage().wall(), story.random());
    static constexpr OperationAction actions[] = {OperationAction::redrive,
                                                  OperationAction::redrive, OperationAction::cancel,
                                                  OperationAction::remove};
    asked.action = actions[story.random().below(4)];
    asked.search = searches[story.random().below(3)];
    asked.started_at = story.stage().wall();
    story.operations.push_back(asked.id);
    story.ask("start operation", engine::StartOperation{std::move(asked)});
}

void operation_more(Story& story) {
    if (story.operations.empty()) return;
    const OperationId id = story.operations[story.random().below(story.operations.size())];
    if (story.random().chance(1, 30))
        story.ask("stop operation", engine::StopOperation{id});
    else
        story.step_operation(id);
}

void drop(Story& story) {
    story.drop_some();
}

// What the desk of schedules is asked, and how it answers.
Story::Done counted(Story& story, const char* name) {
    story.asked(name);
    return [&story, name](const engine::Decision& decision) {
        if (!decision.refused) story.accepted(name);
    };
}

void schedule(Story& story) {
    Random& random = story.random();
    ScheduleSpec spec;
    spec.name = schedule_names[random.below(2)];
    if (random.chance(1, 3)) {
        spec.cron = "* * * * *";
        spec.zone = random.chance(1, 2) ? "UTC" : "Europe/Berlin";
    } else {
        spec.every = std::chrono::milliseconds{1'000 + random.below(9'000)};
    }
    spec.overlap = static_cast<Overlap>(random.below(3));
    spec.misfire = static_cast<Misfire>(random.below(3));
    spec.task = story.make_task("echo");
    spec.task.id = {};
    if (std::ranges::find(story.schedule_names, spec.name) == story.schedule_names.end())
        story.schedule_names.push_back(spec.name);
    story.schedules().set(std::move(spec), counted(story, "set schedule"));
}

void disturb_schedule(Story& story) {
    const std::string name = schedule_names[story.random().below(2)];
    const WallTime now = story.stage().wall();
    switch (story.random().below(5)) {
        case 0:
            return story.schedules().remove(name, counted(story, "remove schedule"));
        case 1:
            return story.schedules().run_now(name, counted(story, "fire schedule by hand"));
        case 2:
            story.asked("backfill schedule");
            return story.schedules().backfill(
                name, now - 8s, now, [&story](const service::ScheduleDesk::Backfilled& counts) {
                    if (counts.submitted > 0) story.accepted("backfill schedule");
                });
        default:
            story.schedules().pause({name, story.random().chance(2, 3), "operator", {}},
                                    counted(story, "pause schedule"));
    }
}

void kill_worker(Story& story) {
    SimWorker& worker = any_worker(story);
    if (!worker.up) return;
    story.hit("worker killed");
    worker.up = false;
    worker.lost.insert(worker.lost.end(), worker.held.begin(), worker.held.end());
    if (worker.lost.size() > 20) worker.lost.resize(20);
    worker.held.clear();
    worker.revoked.clear();
    if (story.random().chance(1, 2)) worker_gone(story);
}

void start_worker(Story& story) {
    SimWorker& worker = any_worker(story);
    if (worker.up) return;
    worker.up = true;
    story.declare(worker);
}

void wall_clock(Story& story) {
    const bool ahead = story.random().chance(1, 2);
    story.hit(ahead ? "clock set ahead" : "clock set back");
    const Duration by = std::chrono::seconds{1 + story.random().below(120)};
    story.stage().set_wall(ahead ? by : -by);
}

void pass_time(Story& story) {
    story.hit("nothing happens for seconds");
    story.stage().pass(std::chrono::milliseconds{story.random().below(5'000)});
}

void stall(Story& story) {
    story.hit("dispatcher stalled");
    story.stage().stall(std::chrono::milliseconds{story.random().below(6'000)});
}

void slow_disk(Story& story) {
    const bool slow = story.stage().slowness > 2ms;
    if (!slow) story.hit("disk slow");
    story.stage().slowness = slow ? Duration{2ms} : Duration{40ms};
}

void full_journal(Story& story) {
    const bool full = story.random().chance(1, 3);
    if (full) story.hit("journal full");
    story.fill_journal(full);
}

void full_view(Story& story) {
    const bool full = story.random().chance(1, 3);
    if (full) story.hit("view full");
    story.fill_view(full);
}

void loss(Story& story) {
    story.lost_in_a_hundred = story.random().chance(1, 2) ? 30 : 2;
}

constexpr std::array acts{
    Act{140, submit_some},
    Act{14, submit_again},
    Act{190, complete},
    Act{60, fail_one},
    Act{14, release},
    Act{50, confirm},
    Act{50, renew},
    Act{12, report},
    Act{14, late},
    Act{36, cancel},
    Act{20, set_priority},
    Act{16, redrive},
    Act{10, edit},
    Act{24, change_queue},
    Act{12, change_worker},
    Act{5, worker_gone},
    Act{16, worker_up},
    Act{14, group},
    Act{12, group_more},
    Act{3, operation},
    Act{30, operation_more},
    Act{6, drop},
    Act{4, schedule},
    Act{8, disturb_schedule},
    Act{50, publish_some},
    Act{5, subscribe},
    Act{50, ask_for_deliveries},
    Act{60, end_deliveries},
    Act{10, renew_deliveries},
    Act{6, disturb_topics},
    Act{6, start_workflow},
    Act{12, speak_to_workflow},
    Act{2, cancel_workflow},
    Act{5, retry_workflow},
    Act{1, delete_workflow},
    Act{3, cancel_step},
    Act{6, kill_worker},
    Act{20, start_worker},
    Act{4, wall_clock},
    Act{14, pass_time},
    Act{4, stall},
    Act{4, slow_disk},
    Act{5, full_journal},
    Act{5, full_view},
    Act{4, loss},
    Act{4, [](Story& story) { story.die(Story::Death::kill); }},
    Act{3, [](Story& story) { story.die(Story::Death::power_cut); }},
};

constexpr unsigned total = [] {
    unsigned sum = 0;
    for (const Act& each : acts)
        sum += each.weight;
    return sum;
}();

}  // namespace

void act(Story& story) {
    if (!story.runs()) return story.start();
    auto left = static_cast<unsigned>(story.random().below(total));
    for (const Act& each : acts) {
        if (left < each.weight) return each.run(story);
        left -= each.weight;
    }
}

}  // namespace taskd::sim
