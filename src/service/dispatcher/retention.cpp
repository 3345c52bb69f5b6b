#include "taskd/service/retention.hpp"

#include <algorithm>

namespace taskd::service {
namespace {

// How long it is left alone after it was refused.
constexpr Duration retry = std::chrono::seconds{1};

}  // namespace

Retention::Retention(RetentionSettings settings, Core& core, port::Clock& clock,
                     port::Timers& timers, port::Log& log)
    : settings_{settings}, core_{core}, clock_{clock}, log_{log}, timer_{timers.make()} {
    settings_.keep = std::max(settings_.keep, settings_.least);
    settings_.keep_dead = std::max(settings_.keep_dead, settings_.least);
}

void Retention::start() {
    const SteadyTime now = clock_.steady();
    to_the_end_at_ = now + settings_.all_at_first;
    timer_->set(now + std::min(settings_.interval, limits::sweep_at_first), [this] { begin(); });
}

void Retention::begin() {
    const SteadyTime now = clock_.steady();
    after_.reset();
    to_the_end_ = now >= to_the_end_at_;
    if (to_the_end_) to_the_end_at_ = now + limits::sweep_all_interval;
    ask();
}

void Retention::next(Duration wait) {
    timer_->set(clock_.steady() + wait, [this] { ask(); });
}

void Retention::ask() {
    TaskQuery query;
    query.search = parse_search("state:succeeded,dead,cancelled,expired").value();
    query.limit = limits::operation_turn_tasks;
    query.after = after_;
    query.now = clock_.wall();
    query.bare = true;
    auto page = std::make_shared<Result<TaskPage>>();
    core_.ask_view([page, query](port::View& view) { *page = view.list(query); },
                   [this, page] { found(*page); });
}

bool Retention::may_go(const Task& task, WallTime now, bool crowded) const {
    if (!task.ended_at || task.lease) return false;
    const Duration keep = task.state == TaskState::dead ? settings_.keep_dead : settings_.keep;
    if (now - *task.ended_at < (crowded ? settings_.least : keep)) return false;
    const bool keyed =
        !task.spec.idempotency_key.empty() && key_use_of(task.spec, task.submitted_at).until > now;
    if (keyed) return false;
    const auto& groups = core_.engine().groups();
    const auto group = task.spec.group ? groups.find(*task.spec.group) : groups.end();
    return group == groups.end() || group->second.state == GroupState::done;
}

// Ids grow with time: what is behind a young one ended no longer ago.
bool Retention::is_young(const Task& task, WallTime now, bool crowded) const {
    const Duration age = now - task.spec.id.made_at();
    return age < (crowded ? settings_.least : std::min(settings_.keep, settings_.keep_dead));
}

void Retention::found(const Result<TaskPage>& page) {
    if (!page) {
        log_.warn("no sweep for old tasks", {{"error", page.error().to_string()}});
        return wait_for_next();
    }
    const WallTime now = core_.now().believed();
    const engine::Engine& engine = core_.engine();
    const std::uint64_t kept = engine.totals().kept;
    std::uint64_t excess = kept - std::min(kept, settings_.count);
    engine::DropTasks drop;
    bool over = !page->next;
    for (const Task& task : page->tasks) {
        const bool crowded = excess > 0;
        over = over || (!to_the_end_ && is_young(task, now, crowded));
        if (engine.is_deleted(task.spec.id) || !may_go(task, now, crowded)) continue;
        if (is_needed_by_workflow(core_, task)) continue;
        drop.targets.push_back({task.spec.id, task.changed_as});
        if (crowded) --excess;
    }
    if (drop.targets.empty()) {
        if (over) return end_sweep();
        after_ = page->next;
        return next(limits::sweep_page_pause);
    }
    core_.execute(
        std::move(drop),
        [this, over, behind = page->next](const engine::Decision& decision) -> Core::Reply {
            // Where it was refused it comes again.
            if (decision.refused) return [this] { next(retry); };
            dropped_ += decision.records.size();
            after_ = behind;
            return [this, over] { over ? end_sweep() : next(Duration{0}); };
        });
}

void Retention::end_sweep() {
    if (dropped_ > told_)
        log_.info("old tasks dropped", {{"tasks", std::to_string(dropped_ - told_)},
                                        {"kept", std::to_string(core_.engine().totals().kept)}});
    told_ = dropped_;
    swept_at_ = clock_.wall();
    wait_for_next();
}

void Retention::wait_for_next() {
    timer_->set(clock_.steady() + settings_.interval, [this] { begin(); });
}

void Retention::report(port::MetricSink& sink) const {
    sink.put(port::Metric::tasks_kept, core_.engine().totals().kept);
    sink.put(port::Metric::tasks_dropped_total, dropped_);
}

}  // namespace taskd::service
