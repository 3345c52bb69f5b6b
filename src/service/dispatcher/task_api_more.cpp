// Figures of tasks, queues and workers; why a task waits.
#include <algorithm>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/queue_json.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/service/task_api.hpp"

namespace taskd::service {
namespace {

using protocol::JsonWriter;

void put_queue(JsonWriter& json, const engine::QueueFigures& queue) {
    json.begin_object()
        .field("type", queue.type)
        .field("queued", queue.queued)
        .field("running", queue.running)
        .field("scheduled", queue.scheduled)
        .field("workers", queue.workers)
        .field("slots", queue.slots)
        .field("slots_used", queue.slots_used);
    if (queue.oldest_queued_at) json.field("oldest_queued_at", *queue.oldest_queued_at);
    json.end_object();
}

void put_hold(JsonWriter& json, const engine::Engine& engine, const std::string& instance) {
    const WorkerHold* hold = engine.hold_of(instance);
    if (hold != nullptr) json.key("hold").raw(protocol::write_hold(*hold));
}

void put_totals(JsonWriter& json, const Totals& totals) {
    json.key("totals")
        .begin_object()
        .field("submitted", totals.submitted)
        .field("succeeded", totals.succeeded)
        .field("dead", totals.dead)
        .field("cancelled", totals.cancelled)
        .field("failures", totals.failures)
        .field("crashes", totals.crashes)
        .field("leases", totals.leases)
        .field("expired", totals.expired)
        .end_object();
}

}  // namespace

void TaskApi::stats(Call call) {
    std::string out;
    JsonWriter json{out};
    json.begin_object();
    put_totals(json, core_.engine().totals());
    const auto queues = core_.engine().queues();
    std::size_t scheduled = 0, queued = 0, running = 0;
    for (const auto& queue : queues) {
        scheduled += queue.scheduled;
        queued += queue.queued;
        running += queue.running;
    }
    json.key("states")
        .begin_object()
        .field("scheduled", scheduled)
        .field("queued", queued)
        .field("running", running)
        .end_object();
    json.key("queues").begin_array();
    for (const auto& queue : queues)
        put_queue(json, queue);
    json.end_array();
    const auto journal = core_.journal_stats();
    json.key("journal")
        .begin_object()
        .field("bytes_used", journal.bytes_used)
        .field("bytes_room", journal.bytes_room)
        .field("full", journal.full)
        .end_object();
    json.key("view")
        .begin_object()
        .field("sequence", core_.viewed().value)
        .field("lag_records", core_.applied().value - core_.viewed().value)
        .end_object();
    json.field("uptime_ms", (clock_.steady() - started_at_) / std::chrono::milliseconds{1});
    json.end_object();
    core_.when_durable(
        [shared = std::make_shared<Call>(std::move(call)), out] { shared->answer(200, out); });
}

void TaskApi::workers(Call call) {
    std::string out;
    JsonWriter json{out};
    json.begin_object().key("workers").begin_array();
    for (const WorkerFigures& worker : workers_.figures()) {
        json.begin_object()
            .field("instance", worker.registration.instance)
            .key("types")
            .begin_array()
            .string(worker.registration.type)
            .end_array()
            .field("via", "udp")
            .field("session", protocol::write_session(worker.registration.session))
            .field("host", worker.registration.host)
            .field("port", worker.registration.port)
            .field("concurrency", worker.slots)
            .field("held", core_.engine().held_by(worker.registration.instance))
            .field("reachable", worker.reachable);
        if (worker.heard_at) json.field("last_heard_at", *worker.heard_at);
        put_hold(json, core_.engine(), worker.registration.instance);
        json.end_object();
    }
    for (const PullerFigures& puller : desk_.figures()) {
        json.begin_object().field("instance", puller.instance).key("types").begin_array();
        for (const std::string& type : puller.types)
            json.string(type);
        json.end_array()
            .field("via", "http")
            .field("concurrency", puller.slots)
            .field("held", core_.engine().held_by(puller.instance))
            .field("reachable", puller.asks)
            .field("last_heard_at", puller.heard_at);
        put_hold(json, core_.engine(), puller.instance);
        json.end_object();
    }
    json.end_array().end_object();
    call.answer(200, std::move(out));
}

void TaskApi::set_priority(Call call) {
    if (auto checked = protocol::check_json(call.request.body); !checked)
        return call.answer(checked.error());
    const auto fields = protocol::split_object(call.request.body);
    if (!fields) return call.answer(fields.error());
    std::optional<std::int64_t> priority;
    for (const auto& [key, raw] : *fields) {
        if (key != "priority") return call.answer(Error{ErrorCode::unknown_field, key});
        const auto number = protocol::read_integer(raw, key, 0, 9);
        if (!number) return call.answer(number.error());
        priority = *number;
    }
    if (!priority) return call.answer(Error{ErrorCode::missing_field, "priority"});
    auto shared = std::make_shared<Call>(std::move(call));
    find_task(shared->parameters[0], [this, shared, priority](Result<Task> task) {
        if (!task) return shared->answer(task.error());
        core_.execute(
            engine::SetPriority{task->spec.id, static_cast<std::uint8_t>(*priority)},
            [this, shared, seen = *task](const engine::Decision& decision) -> Core::Reply {
                Error error = decision.refused.value_or(Error{});
                if (!decision.refused) {
                    std::string body;
                    protocol::write_brief(body, *core_.engine().find(seen.spec.id), false);
                    return [shared, body] { shared->answer(200, body); };
                }
                // Seen a moment ago and no longer in memory: it has ended.
                if (error.code == ErrorCode::task_not_found)
                    error = {ErrorCode::task_finished, "it is " + std::string{to_text(seen.state)}};
                return [shared, error] { shared->answer(error); };
            });
    });
}

void TaskApi::explain(Call call) {
    auto shared = std::make_shared<Call>(std::move(call));
    find_task(shared->parameters[0], [this, shared](Result<Task> task) {
        if (!task) return shared->answer(task.error());
        const auto why = core_.engine().explain(core_.now(), *task, core_.can_lease());
        std::string out;
        JsonWriter json{out};
        json.begin_object()
            .field("id", task->spec.id)
            .field("state", to_text(task->state))
            .field("rule", why.rule)
            .field("text", why.text);
        if (!why.release.empty()) json.field("release", why.release);
        if (why.until) json.field("until", *why.until);
        json.key("spent").begin_array();
        for (const auto& phase : why.spent)
            json.begin_object()
                .field("phase", phase.name)
                .key("ms")
                .number(static_cast<double>(phase.took.count()) / 1000)
                .end_object();
        json.end_array().end_object();
        shared->answer(200, std::move(out));
    });
}

}  // namespace taskd::service
