// Schedules: made, changed, paused, removed, and when a time has its turn.
#include <algorithm>
#include <iterator>

#include "engine/rules.hpp"
#include "taskd/base/assert.hpp"

namespace taskd::engine {
namespace {

using Why = FireSchedule::Why;

const Schedule* find_schedule(const State& state, const std::string& name) {
    const auto found = state.schedules.find(name);
    return found == state.schedules.end() ? nullptr : &found->second;
}

// One of them has its turn, and the times up to `settled` with it.
struct Turn {
    std::optional<WallTime> time;
    WallTime settled;
    std::uint64_t missed = 0;
};

std::optional<Turn> next_turn(const Context& context, const Schedule& schedule,
                              const FireSchedule& command) {
    const WallTime settled = settled_by(schedule, context.now.wall);
    std::vector<WallTime> open;
    std::ranges::copy_if(command.times, std::back_inserter(open),
                         [&](WallTime time) { return time > settled && time <= context.now.wall; });
    if (open.empty()) return std::nullopt;
    const auto late = [&](WallTime time) {
        return context.now.wall - time > limits::misfire_after;
    };
    auto first = open.begin();
    if (schedule.spec.misfire == Misfire::skip) first = std::ranges::find_if_not(open, late);
    if (schedule.spec.misfire == Misfire::once && late(*first)) first = std::prev(open.end());
    Turn turn{std::nullopt, open.back(), command.older};
    turn.missed += static_cast<std::uint64_t>(first - open.begin());
    if (first != open.end()) turn.time = turn.settled = *first;
    return turn;
}

void append(Decision& decision, Decision&& more) {
    std::ranges::move(more.records, std::back_inserter(decision.records));
    std::ranges::move(more.outputs, std::back_inserter(decision.outputs));
}

// The task of the time before while it has not ended.
std::optional<TaskId> in_the_way(const State& state, const Schedule& schedule) {
    if (!schedule.last_task) return std::nullopt;
    const Header* header = state.find(*schedule.last_task);
    if (header == nullptr || is_terminal(header->state)) return std::nullopt;
    return schedule.last_task;
}

// Submits the task of one time, or says in `fire` why not. A decision that fetches or refuses is
// the answer instead.
std::optional<Decision> submit_for(const Context& context, const Schedule& schedule,
                                   const FireSchedule& command, Fire& fire, Decision& decision) {
    const auto before =
        command.why == Why::backfill ? std::nullopt : in_the_way(context.state, schedule);
    if (before && schedule.spec.overlap == Overlap::skip) {
        if (command.why == Why::by_hand)
            return refuse(ErrorCode::schedule_overlap, before->to_string());
        fire.outcome = FireOutcome::overlapped;
        fire.task = before;
        return std::nullopt;
    }
    Submit submit = command.asked;
    TaskSpec& spec = submit.tasks.emplace_back(schedule.spec.task);
    spec.id = command.why == Why::by_hand ? command.id : fire_id(schedule, fire.planned);
    spec.planned_for = PlannedFor{schedule.spec.name, fire.planned};
    fire.task = spec.id;
    Decision submitted = decide_submit(context, submit);
    if (!submitted.fetch.empty()) return submitted;
    if (submitted.refused && submitted.refused->code != ErrorCode::id_conflict) {
        if (command.why != Why::due) return submitted;
        fire.outcome = FireOutcome::refused;
        fire.task.reset();
        fire.reason = std::string{row_of(submitted.refused->code).name};
        return std::nullopt;
    }
    if (submitted.records.empty()) return std::nullopt;  // it is there: nothing makes way for it
    if (before && schedule.spec.overlap == Overlap::replace) {
        Decision cancelled = decide_cancel(
            context, {*before, "replaced by the next time of schedule " + schedule.spec.name});
        if (!cancelled.fetch.empty()) return cancelled;
        append(decision, std::move(cancelled));
    }
    append(decision, std::move(submitted));
    return std::nullopt;
}

}  // namespace

Decision decide_set_schedule(const Context& context, const SetSchedule& command) {
    const Schedule* there = find_schedule(context.state, command.spec.name);
    if (there == nullptr && context.state.schedules.size() >= limits::schedules_max)
        return refuse(ErrorCode::too_many_schedules);
    if (there != nullptr && there->spec == command.spec) return {};
    Schedule schedule;
    if (there != nullptr) schedule = *there;
    schedule.spec = command.spec;
    if (there == nullptr) schedule.made_at = context.now.wall;
    schedule.settled = context.now.wall;
    if (there != nullptr)
        schedule.settled = std::max(schedule.settled, settled_by(*there, context.now.wall));
    Decision decision;
    decision.records.emplace_back(ScheduleChanged{std::move(schedule)});
    return decision;
}

Decision decide_remove_schedule(const Context& context, const RemoveSchedule& command) {
    if (find_schedule(context.state, command.name) == nullptr)
        return refuse(ErrorCode::schedule_not_found, command.name);
    Decision decision;
    decision.records.emplace_back(ScheduleRemoved{command.name});
    return decision;
}

Decision decide_pause_schedule(const Context& context, const PauseSchedule& command) {
    const Schedule* there = find_schedule(context.state, command.name);
    if (there == nullptr) return refuse(ErrorCode::schedule_not_found, command.name);
    if (there->paused.has_value() != command.resume) return {};
    Schedule schedule = *there;
    if (command.resume) {
        schedule.paused.reset();
        schedule.settled = std::max(settled_by(schedule, context.now.wall), context.now.wall);
    } else {
        schedule.paused = Pause{command.by, command.reason, context.now.wall};
    }
    Decision decision;
    decision.records.emplace_back(ScheduleChanged{std::move(schedule)});
    return decision;
}

Decision decide_fire(const Context& context, const FireSchedule& command) {
    const Schedule* schedule = find_schedule(context.state, command.name);
    if (schedule == nullptr) return refuse(ErrorCode::schedule_not_found, command.name);
    Decision decision;
    ScheduleFired fired{command.name, std::nullopt, std::nullopt, 0, command.why == Why::backfill};
    Fire fire{context.now.wall, context.now.wall, FireOutcome::submitted, std::nullopt, {}};
    if (command.why == Why::due) {
        if (schedule->paused || schedule->changed_as != command.changed_as) return {};
        const auto turn = next_turn(context, *schedule, command);
        if (!turn) return {};
        fired.settled = turn->settled;
        fired.missed = turn->missed;
        if (!turn->time) {
            decision.records.emplace_back(std::move(fired));
            return decision;
        }
        fire.planned = *turn->time;
    } else if (command.why == Why::backfill) {
        if (command.times.empty()) return {};
        fire.planned = command.times.front();
    }
    if (auto instead = submit_for(context, *schedule, command, fire, decision)) return *instead;
    const bool there = fire.outcome == FireOutcome::submitted && decision.records.empty();
    if (there && command.why == Why::backfill) return {};
    if (!there) fired.fire = std::move(fire);  // else it was made up for before
    decision.records.emplace_back(std::move(fired));
    return decision;
}

void apply_schedule(State& state, Sequence sequence, const ScheduleChanged& record) {
    const std::string& name = record.schedule->spec.name;
    const bool made = !state.schedules.contains(name);
    Schedule& schedule = state.schedules[name] = *record.schedule;
    if (made) schedule.made_as = sequence;
    schedule.changed_as = sequence;
    state.changed_schedules.insert(name);
}

void apply_schedule(State& state, Sequence, const ScheduleRemoved& record) {
    state.schedules.erase(record.name);
    state.changed_schedules.insert(record.name);
}

void apply_schedule(State& state, Sequence, const ScheduleFired& record) {
    const auto found = state.schedules.find(record.name);
    TASKD_ASSERT(found != state.schedules.end());
    Schedule& schedule = found->second;
    state.changed_schedules.insert(record.name);
    if (record.settled) schedule.settled = *record.settled;
    schedule.missed += record.missed;
    if (!record.fire) return;
    const Fire& fire = *record.fire;
    schedule.submitted += fire.outcome == FireOutcome::submitted ? 1 : 0;
    schedule.overlapped += fire.outcome == FireOutcome::overlapped ? 1 : 0;
    schedule.refused += fire.outcome == FireOutcome::refused ? 1 : 0;
    if (record.backfill) return;
    if (fire.outcome == FireOutcome::submitted) schedule.last_task = fire.task;
    if (schedule.fires.size() == limits::fires_shown_max)
        schedule.fires.erase(schedule.fires.begin());
    schedule.fires.push_back(fire);
}

void Engine::restore(const Schedule& schedule) {
    state_->schedules[schedule.spec.name] = schedule;
}

const Schedule* Engine::schedule(const std::string& name) const {
    return find_schedule(*state_, name);
}

void Engine::each_schedule(const std::function<void(const Schedule&)>& take) const {
    for (const auto& [name, schedule] : state_->schedules)
        take(schedule);
}

std::vector<std::pair<std::string, std::optional<Schedule>>> Engine::take_changed_schedules() {
    std::vector<std::pair<std::string, std::optional<Schedule>>> changed;
    for (const std::string& name : std::exchange(state_->changed_schedules, {})) {
        const Schedule* schedule = find_schedule(*state_, name);
        changed.emplace_back(name, schedule ? std::optional{*schedule} : std::nullopt);
    }
    return changed;
}

}  // namespace taskd::engine
