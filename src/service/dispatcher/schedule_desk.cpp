#include "taskd/service/schedule_desk.hpp"

#include <algorithm>

#include "taskd/base/assert.hpp"

namespace taskd::service {
namespace {

using Why = engine::FireSchedule::Why;

// New work is refused at the moment: the times wait so long and are looked at again.
constexpr Duration refused_retry = std::chrono::seconds{1};

}  // namespace

ScheduleDesk::ScheduleDesk(Core& core, port::Calendar& calendar, const port::Clock& clock,
                           port::Timers& timers, port::Log& log)
    : core_{core},
      calendar_{calendar},
      clock_{clock},
      timers_{timers},
      log_{log},
      timer_{timers.make()} {}

void ScheduleDesk::start() {
    std::vector<std::string> names;
    core_.engine().each_schedule(
        [&](const Schedule& schedule) { names.push_back(schedule.spec.name); });
    for (const std::string& name : names)
        changed(name);
}

Result<void> ScheduleDesk::check(const ScheduleSpec& spec) const {
    const WallTime now = clock_.wall();
    const auto plan = Plan::make(spec, now);
    if (!plan) return std::unexpected{plan.error()};
    const auto span = calendar_.span(spec.zone, now);
    if (!span) return std::unexpected{span.error()};
    return {};
}

void ScheduleDesk::set(ScheduleSpec spec, Done done) {
    const std::string name = spec.name;
    core_.execute(engine::SetSchedule{std::move(spec)},
                  [this, name, done = std::move(done)](const engine::Decision& decision) {
                      if (!decision.refused) changed(name);
                      return [done, decision] { done(decision); };
                  });
}

void ScheduleDesk::remove(const std::string& name, Done done) {
    core_.execute(engine::RemoveSchedule{name},
                  [this, name, done = std::move(done)](const engine::Decision& decision) {
                      if (!decision.refused) changed(name);
                      return [done, decision] { done(decision); };
                  });
}

void ScheduleDesk::pause(engine::PauseSchedule command, Done done) {
    const std::string name = command.name;
    core_.execute(std::move(command),
                  [this, name, done = std::move(done)](const engine::Decision& decision) {
                      if (!decision.refused) changed(name);
                      return [done, decision] { done(decision); };
                  });
}

void ScheduleDesk::run_now(const std::string& name, Done done) {
    engine::FireSchedule command;
    command.name = name;
    command.why = Why::by_hand;
    command.id = core_.make_id();
    core_.execute(std::move(command), [done = std::move(done)](const engine::Decision& decision) {
        return [done, decision] { done(decision); };
    });
}

// ---- when
// ----------------------------------------------------------------------------------------

void ScheduleDesk::forget(const std::string& name) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) return;
    if (found->second.next) due_.erase({*found->second.next, name});
    entries_.erase(found);
}

// Plans it anew from what the engine has.
void ScheduleDesk::changed(const std::string& name) {
    forget(name);
    const Schedule* schedule = core_.engine().schedule(name);
    if (schedule != nullptr && !schedule->paused) {
        auto plan = Plan::make(schedule->spec, made_by(*schedule, clock_.wall()));
        TASKD_ASSERT(plan.has_value());  // checked before it was set
        Entry& entry =
            entries_.try_emplace(name, Entry{std::move(*plan), schedule->spec.zone, {}, {}, {}, 0})
                .first->second;
        plan_next(name, entry, settled_by(*schedule, clock_.wall()));
    }
    arm();
}

// Up to `count` times after `after`, and none after `until`.
Result<std::vector<WallTime>> ScheduleDesk::times(const Plan& plan, const std::string& zone,
                                                  WallTime after, std::size_t count,
                                                  std::optional<WallTime> until) const {
    std::optional<Error> lost;
    const ZoneSpans spans = [&](WallTime at) {
        auto span = calendar_.span(zone, at);
        if (span) return *span;
        lost = span.error();
        return ZoneSpan{WallTime::min(), WallTime::max(), Duration{0}};
    };
    std::vector<WallTime> found;
    while (found.size() < count) {
        const auto next = plan.next(after, spans);
        if (lost) return std::unexpected{*lost};
        if (!next || (until && *next > *until)) break;
        found.push_back(after = *next);
    }
    return found;
}

void ScheduleDesk::plan_next(const std::string& name, Entry& entry, WallTime after) {
    if (entry.next) due_.erase({*entry.next, name});
    entry.next.reset();
    const auto next = times(entry.plan, entry.zone, after, 1, std::nullopt);
    if (!next && !std::exchange(entry.broken, true))
        log_.error("a schedule cannot go on",
                   {{"schedule", name}, {"why", next.error().to_string()}});
    if (!next || next->empty()) return;
    entry.broken = false;
    entry.next = next->front();
    due_.emplace(*entry.next, name);
}

void ScheduleDesk::arm() {
    if (entries_.empty()) return timer_->clear();
    // Never long: the wall clock may be set meanwhile, also for those that it has taken to their
    // end.
    const Duration ahead = due_.empty()
                               ? limits::wall_clock_look
                               : std::max(Duration{0}, due_.begin()->first - clock_.wall());
    timer_->set(clock_.steady() + std::min(ahead, limits::wall_clock_look), [this] { wake(); });
}

// One that is set back far leaves what was planned by it too late.
void ScheduleDesk::look_at_clock() {
    const WallTime before = std::exchange(looked_at_, clock_.wall());
    if (looked_at_ + limits::misfire_after < before) start();
}

void ScheduleDesk::wake() {
    look_at_clock();
    if (core_.no_more_tasks()) {
        timer_->set(clock_.steady() + refused_retry, [this] { wake(); });
        return;
    }
    std::vector<std::string> names;
    const WallTime now = clock_.wall();
    for (const auto& [at, name] : due_) {
        if (at > now || names.size() == limits::turn_tasks_max) break;
        names.push_back(name);
    }
    for (const std::string& name : names) {
        Entry& entry = entries_.at(name);
        due_.erase({*entry.next, name});
        entry.next.reset();
        entry.open.clear();
        entry.older = 0;
        entry.read_to = settled_by(*core_.engine().schedule(name), now);
        timers_.post([this, name] { collect(name); });
    }
    arm();
}

// What has come and is not settled: of many the newest. After a long time away, or by a clock far
// ahead, that is more than the loop can wait for: it goes part by part.
void ScheduleDesk::collect(const std::string& name) {
    const auto at = entries_.find(name);
    if (at == entries_.end() || !at->second.read_to) return;  // planned anew meanwhile
    Entry& entry = at->second;
    const auto found =
        times(entry.plan, entry.zone, *entry.read_to, limits::backfill_max, clock_.wall());
    if (found && !found->empty()) {
        entry.read_to = found->back();
        entry.open.insert(entry.open.end(), found->begin(), found->end());
        const std::size_t gone =
            entry.open.size() - std::min(entry.open.size(), limits::backfill_max);
        entry.older += gone;
        entry.open.erase(entry.open.begin(),
                         entry.open.begin() + static_cast<std::ptrdiff_t>(gone));
        if (found->size() == limits::backfill_max)
            return timers_.post([this, name] { collect(name); });
    }
    plan_next(name, entry, *std::exchange(entry.read_to, std::nullopt));
    fire(name);
    arm();
}

// ---- turns
// ---------------------------------------------------------------------------------------

void ScheduleDesk::fire(const std::string& name) {
    Entry& entry = entries_.at(name);
    if (entry.busy || entry.read_to || entry.open.empty()) return;
    const Schedule* schedule = core_.engine().schedule(name);
    if (schedule == nullptr) return;
    entry.busy = true;
    engine::FireSchedule command;
    command.name = name;
    command.changed_as = schedule->changed_as;
    command.times = entry.open;
    command.older = std::exchange(entry.older, 0);
    core_.execute(std::move(command),
                  [this, name, of = schedule->changed_as](const engine::Decision& decision) {
                      const Schedule* now = core_.engine().schedule(name);
                      // Planned anew meanwhile: this turn was of the schedule before.
                      if (now != nullptr && now->changed_as == of) fired(name, decision);
                      return Core::Reply{};
                  });
}

void ScheduleDesk::fired(const std::string& name, const engine::Decision& decision) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    entry.busy = false;
    if (decision.refused) {  // as it stands it may be tried again: nothing was settled
        log_.warn("a schedule's time has to wait",
                  {{"schedule", name}, {"why", decision.refused->to_string()}});
        if (entry.next) due_.erase({*entry.next, name});
        entry.next = clock_.wall() + refused_retry;
        entry.open.clear();
        due_.emplace(*entry.next, name);
        return arm();
    }
    const WallTime settled = core_.engine().schedule(name)->settled;
    std::erase_if(entry.open, [&](WallTime time) { return time <= settled; });
    if (decision.records.empty()) entry.open.clear();
    if (entry.open.empty()) return;
    timers_.post([this, name] {
        if (entries_.contains(name)) fire(name);
    });
}

// ---- what was left out
// ---------------------------------------------------------------------------

struct ScheduleDesk::Backfill {
    std::string name;
    std::vector<WallTime> times;
    std::size_t next = 0;
    Backfilled counts;
    std::function<void(const Backfilled&)> done;
};

Result<std::vector<WallTime>> ScheduleDesk::times_after(const std::string& name, WallTime after,
                                                        std::size_t count) const {
    const Schedule* schedule = core_.engine().schedule(name);
    if (schedule == nullptr) return fail(ErrorCode::schedule_not_found, name);
    const auto plan = Plan::make(schedule->spec, made_by(*schedule, clock_.wall()));
    TASKD_ASSERT(plan.has_value());
    return times(*plan, schedule->spec.zone, after, count, std::nullopt);
}

void ScheduleDesk::backfill(const std::string& name, WallTime from, WallTime to,
                            std::function<void(const Backfilled&)> done) {
    const auto refuse = [&](ErrorCode code, std::string detail) {
        done({0, 0, Error{code, std::move(detail)}});
    };
    const Schedule* schedule = core_.engine().schedule(name);
    if (schedule == nullptr) return refuse(ErrorCode::schedule_not_found, name);
    if (to > clock_.wall()) return refuse(ErrorCode::invalid_field, "'to' is still to come");
    if (from > to) return refuse(ErrorCode::invalid_field, "'from' is after 'to'");
    // Times before it was made count too: that is what one asks for.
    const WallTime made_at = made_by(*schedule, clock_.wall());
    const auto plan = Plan::make(
        schedule->spec, schedule->spec.every > Duration{0} ? made_at : std::min(from, made_at));
    TASKD_ASSERT(plan.has_value());
    auto found =
        times(*plan, schedule->spec.zone, from - Duration{1}, limits::backfill_max + 1, to);
    if (!found) return done({0, 0, found.error()});
    if (found->size() > limits::backfill_max)
        return refuse(ErrorCode::too_many_tasks,
                      "more than " + std::to_string(limits::backfill_max) + " times");
    step(std::make_shared<Backfill>(Backfill{name, std::move(*found), 0, {}, std::move(done)}));
}

void ScheduleDesk::step(std::shared_ptr<Backfill> backfill) {
    if (backfill->next == backfill->times.size() || backfill->counts.refused) {
        core_.when_durable([backfill] { backfill->done(backfill->counts); });
        return;
    }
    engine::FireSchedule command;
    command.name = backfill->name;
    command.why = Why::backfill;
    command.times = {backfill->times[backfill->next++]};
    core_.execute(std::move(command), [this, backfill](const engine::Decision& decision) {
        backfill->counts.refused = decision.refused;
        if (!decision.refused)
            ++(decision.records.empty() ? backfill->counts.there : backfill->counts.submitted);
        timers_.post([this, backfill] { step(backfill); });
        return Core::Reply{};
    });
}

}  // namespace taskd::service
