// What the core counts, and how it is told at /metrics.
#include <algorithm>

#include "taskd/service/core.hpp"
#include "taskd/service/vitals.hpp"

namespace taskd::service {
namespace {

using port::Metric;

double seconds(Duration duration) {
    return static_cast<double>(duration.count()) * 1e-6;
}

// Figures of queues by type; beyond the bound all the rest is one.
std::vector<engine::QueueFigures> bounded(std::vector<engine::QueueFigures> queues) {
    if (queues.size() <= limits::metric_types_max) return queues;
    engine::QueueFigures others;
    others.type = other_types;
    for (std::size_t i = limits::metric_types_max; i < queues.size(); ++i) {
        const engine::QueueFigures& queue = queues[i];
        others.queued += queue.queued;
        others.running += queue.running;
        others.scheduled += queue.scheduled;
        others.workers += queue.workers;
        others.slots += queue.slots;
        others.slots_used += queue.slots_used;
        if (queue.oldest_queued_at)
            others.oldest_queued_at = std::min(
                others.oldest_queued_at.value_or(*queue.oldest_queued_at), *queue.oldest_queued_at);
    }
    queues.resize(limits::metric_types_max);
    queues.push_back(std::move(others));
    return queues;
}

void report_queue(port::MetricSink& sink, const engine::QueueFigures& queue, WallTime now) {
    sink.put(Metric::tasks, queue.queued, {queue.type, "queued"});
    sink.put(Metric::tasks, queue.running, {queue.type, "running"});
    sink.put(Metric::tasks, queue.scheduled, {queue.type, "scheduled"});
    const Duration age = queue.oldest_queued_at ? now - *queue.oldest_queued_at : Duration{0};
    sink.put(Metric::queue_oldest_seconds, std::max(0.0, seconds(age)), {queue.type});
    sink.put(Metric::workers, queue.workers, {queue.type});
    sink.put(Metric::worker_slots, queue.slots, {queue.type});
    sink.put(Metric::worker_slots_used, queue.slots_used, {queue.type});
}

void report_totals(port::MetricSink& sink, const Totals& totals) {
    sink.put(Metric::tasks_submitted_total, totals.submitted);
    sink.put(Metric::tasks_succeeded_total, totals.succeeded);
    sink.put(Metric::tasks_dead_total, totals.dead);
    sink.put(Metric::tasks_cancelled_total, totals.cancelled);
    sink.put(Metric::attempts_failed_total, totals.failures);
    sink.put(Metric::attempts_crashed_total, totals.crashes);
    sink.put(Metric::leases_total, totals.leases);
}

}  // namespace

// After the record was applied: the task is in memory with its body.
void Core::note(const Record& record) {
    if (const auto* leased = std::get_if<TaskLeased>(&record)) {
        const Task* task = engine_.find(leased->id);
        if (task != nullptr && task->attempts_made == 1)
            figures_.queue_wait.observe(leased->at - task->submitted_at);
        return;
    }
    const auto ended = [&](TaskId id, WallTime at, bool whole) {
        const Task* task = engine_.find(id);
        if (task == nullptr || task->attempts.empty()) return;
        figures_.run.observe(at - task->attempts.back().started_at);
        if (whole) figures_.whole.observe(at - task->submitted_at);
    };
    if (const auto* completed = std::get_if<TaskCompleted>(&record))
        ended(completed->id, completed->at, true);
    else if (const auto* failed = std::get_if<AttemptFailed>(&record))
        ended(failed->id, failed->at, !failed->due_at);
    else if (const auto* crashed = std::get_if<AttemptCrashed>(&record))
        ended(crashed->id, crashed->at, !crashed->due_at);
}

Duration Core::view_lag() const {
    return view_behind_since_ ? ports_.clock.steady() - *view_behind_since_ : Duration{0};
}

void Core::report(port::MetricSink& sink) const {
    for (const engine::QueueFigures& queue : bounded(engine_.queues()))
        report_queue(sink, queue, ports_.clock.wall());
    report_totals(sink, engine_.totals());
    sink.put(Metric::submit_seconds, figures_.submit);
    sink.put(Metric::queue_wait_seconds, figures_.queue_wait);
    sink.put(Metric::run_seconds, figures_.run);
    sink.put(Metric::task_seconds, figures_.whole);
    sink.put(Metric::journal_batch_records, figures_.batch_records);
    sink.put(Metric::journal_sync_seconds, figures_.sync);
    const port::JournalStats journal = ports_.journal.stats();
    sink.put(Metric::journal_used_bytes, journal.bytes_used);
    sink.put(Metric::journal_room_bytes, journal.bytes_room);
    sink.put(Metric::journal_full, journal.full ? 1.0 : 0.0);
    sink.put(Metric::view_lag_records, applied_.value - viewed_.value);
    sink.put(Metric::view_lag_seconds, seconds(view_lag()));
    sink.put(Metric::tasks_in_memory, engine_.tasks_in_memory());
    sink.put(Metric::backlog_bytes, engine_.backlog_bytes());
    sink.put(Metric::backlog_bytes_max, settings_.backlog_bytes_max);
    sink.put(Metric::idle_with_work_seconds, seconds(idle_with_work()));
}

}  // namespace taskd::service
