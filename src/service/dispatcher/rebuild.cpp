#include "taskd/service/rebuild.hpp"

#include <algorithm>

namespace taskd::service {
namespace {

// Whatever the view has beside tasks; before them.
Result<void> restore_others(engine::Engine& engine, port::View& view) {
    const auto restore = [&](const auto& each) { engine.restore(each); };
    auto done = view.each_queue(restore);
    if (done) done = view.each_operation(restore);
    if (done) done = view.each_group(restore);
    if (done) done = view.each_hold(restore);
    if (done) done = view.each_schedule(restore);
    if (done) done = view.each_topic(restore);
    if (done) done = view.each_subscription(restore);
    if (done)
        done = view.each_letter([&](const TopicChanges::Letter& each) {
            engine.restore(each.group, each.event, *each.letter);
        });
    if (done)
        done = view.each_event_id([&](const TopicEvent& event) {
            engine.restore(id_key(event), {event.topic, event.sequence});
        });
    if (done) done = view.each_workflow(restore);
    return done;
}

Result<void> restore_tasks(engine::Engine& engine, port::View& view) {
    std::vector<TaskId> leased;
    auto done = view.each_live([&](const TaskHead& head) {
        if (head.leased)
            leased.push_back(head.id);
        else
            engine.restore(head);
    });
    if (done) done = view.each_key([&](const KeyUse& use) { engine.restore(use); });
    if (!done) return done;
    auto tasks = view.find(leased);
    if (!tasks) return fail(std::move(tasks));
    for (Task& task : *tasks)
        engine.restore(std::make_shared<Task>(std::move(task)));
    return {};
}

// Workflows that had ended and went on: the view alone has them.
Result<void> load_retried(engine::Engine& engine, port::View& view, const RecordBatch& batch) {
    for (const Record& record : batch.records) {
        const auto* retried = std::get_if<WorkflowRetried>(&record);
        if (retried == nullptr || engine.find_workflow(retried->id) != nullptr) continue;
        const auto whole = view.find_workflow(retried->id);
        if (!whole) return std::unexpected{whole.error()};
        if (*whole == nullptr) return fail(ErrorCode::view_corrupt, retried->id.to_string());
        engine.apply(engine::WorkflowLoaded{*whole});
    }
    return {};
}

// The bodies that the records of a batch change, as far as the view has them.
Result<void> load_needed(engine::Engine& engine, port::View& view, const RecordBatch& batch) {
    std::vector<TaskId> ids;
    for (const Record& record : batch.records)
        if (const auto id = engine.body_needed(record)) ids.push_back(*id);
    auto tasks = view.find(ids);
    if (!tasks) return fail(std::move(tasks));
    for (Task& task : *tasks)
        engine.apply(engine::TaskLoaded{std::make_shared<Task>(std::move(task))});
    for (const TaskId& id : ids)
        if (engine.is_bodiless(id)) return fail(ErrorCode::view_corrupt, id.to_string());
    return load_retried(engine, view, batch);
}

}  // namespace

Result<Rebuilt> rebuild(engine::Engine& engine, port::View& view, const ReadJournal& read) {
    const auto mark = view.mark();
    if (!mark) return std::unexpected{mark.error()};
    const auto newest = view.newest_ended();
    if (!newest) return std::unexpected{newest.error()};
    const Totals& totals = mark->totals;
    const auto ended = totals.succeeded + totals.dead + totals.cancelled + totals.expired;
    engine.expect(totals.submitted - std::min(ended, totals.submitted));
    auto done = restore_others(engine, view);
    if (done) done = restore_tasks(engine, view);
    if (!done) return std::unexpected{done.error()};
    engine.restore(mark->totals, *newest);
    Rebuilt rebuilt{mark->sequence, mark->sequence, mark->engine};
    done = read(mark->sequence, [&](const RecordBatch& batch) -> Result<void> {
        if (batch.first != rebuilt.applied.next())
            return fail(ErrorCode::store_mismatch,
                        "the journal goes on at " + std::to_string(batch.first.value) +
                            ", the view ends at " + std::to_string(rebuilt.applied.value));
        if (auto loaded = load_needed(engine, view, batch); !loaded) return loaded;
        for (const Record& record : batch.records)
            engine.apply(rebuilt.applied = rebuilt.applied.next(), record);
        rebuilt.engine = batch.engine;
        return {};
    });
    if (!done) return std::unexpected{done.error()};
    return rebuilt;
}

port::ViewChange take_view_change(engine::Engine& engine, Sequence through, const Now& now) {
    port::ViewChange change;
    change.tasks = engine.take_changed();
    change.mark = {through, now.engine, engine.totals()};
    change.queues = engine.take_changed_queues();
    change.operations = engine.take_changed_operations();
    change.holds = engine.take_changed_holds();
    change.groups = engine.take_changed_groups();
    change.workflows = engine.take_changed_workflows();
    auto gone = engine.take_gone();
    change.gone_tasks = std::move(gone.tasks);
    change.gone_operations = std::move(gone.operations);
    change.gone_groups = std::move(gone.groups);
    change.gone_workflows = std::move(gone.workflows);
    change.schedules = engine.take_changed_schedules();
    change.topics = engine.take_changed_topics();
    change.at = now.believed();
    return change;
}

}  // namespace taskd::service
