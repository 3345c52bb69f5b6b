#include "taskd/service/queue_api.hpp"

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/queue_json.hpp"

namespace taskd::service {

using engine::ChangeQueue;
using engine::ChangeWorker;

void QueueApi::add_routes(HttpFront& front) {
    const auto changes = [this](ChangeQueue::What what) {
        return [this, what](Call&& call) { change(std::move(call), what); };
    };
    front.add({.method = "GET",
               .pattern = "/v1/queues",
               .handle = [this](Call&& call) { list(std::move(call)); },
               .tagged = true});
    front.add({.method = "GET",
               .pattern = "/v1/queues/{type}",
               .handle = [this](Call&& call) { get(std::move(call)); },
               .tagged = true});
    front.add({"PUT", "/v1/queues/{type}", {}, [this](Call&& call) { put(std::move(call)); }});
    front.add({"PUT", "/v1/queues/{type}/schema", {}, [this](Call&& call) {
                   put_schema(std::move(call));
               }});
    front.add({"POST", "/v1/queues/{type}/pause", {}, changes(ChangeQueue::What::pause)});
    front.add({"POST", "/v1/queues/{type}/resume", {}, changes(ChangeQueue::What::resume)});
    front.add({"POST", "/v1/queues/{type}/drain", {}, changes(ChangeQueue::What::drain)});
    const auto holds = [this](ChangeWorker::What what) {
        return [this, what](Call&& call) { change_worker(std::move(call), what); };
    };
    front.add({"POST", "/v1/workers/{instance}/pause", {}, holds(ChangeWorker::What::pause)});
    front.add({"POST", "/v1/workers/{instance}/drain", {}, holds(ChangeWorker::What::drain)});
    front.add({"POST", "/v1/workers/{instance}/resume", {}, holds(ChangeWorker::What::resume)});
}

// Its figures of now and its rules.
std::string QueueApi::write(const std::string& type) const {
    std::string out;
    protocol::JsonWriter json{out};
    json.begin_object().field("type", type);
    const auto figures = core_.engine().figures_of(type);
    json.field("queued", figures.queued)
        .field("running", figures.running)
        .field("scheduled", figures.scheduled)
        .field("leased", figures.leased)
        .field("keys", figures.keys)
        .field("workers", figures.workers)
        .field("slots", figures.slots)
        .field("slots_used", figures.slots_used);
    if (figures.oldest_queued_at) json.field("oldest_queued_at", *figures.oldest_queued_at);
    out += "," + protocol::write_queue_rules(core_.engine().rules_of(type)) + "}";
    return out;
}

void QueueApi::list(Call call) {
    std::string out = "{\"queues\":[";
    for (const std::string& type : core_.engine().queue_types()) {
        if (!out.ends_with('[')) out.push_back(',');
        out += write(type);
    }
    out += "]}";
    core_.when_durable(
        [shared = std::make_shared<Call>(std::move(call)), out] { shared->answer(200, out); });
}

void QueueApi::get(Call call) {
    if (!is_type_name(call.parameters[0]))
        return call.answer(Error{ErrorCode::invalid_field, "type '" + call.parameters[0] + "'"});
    std::string out = write(call.parameters[0]);
    core_.when_durable(
        [shared = std::make_shared<Call>(std::move(call)), out] { shared->answer(200, out); });
}

void QueueApi::put(Call call) {
    auto rules = protocol::parse_queue_rules(call.request.body);
    if (!rules) return call.answer(rules.error());
    ChangeQueue command;
    command.rules = std::move(*rules);
    execute(std::move(call), std::move(command));
}

// The other rules as they are.
void QueueApi::put_schema(Call call) {
    auto schema = protocol::parse_schema(call.request.body);
    if (!schema) return call.answer(schema.error());
    ChangeQueue command;
    command.what = ChangeQueue::What::schema;
    command.rules.schema = std::move(*schema);
    execute(std::move(call), std::move(command));
}

void QueueApi::change(Call call, ChangeQueue::What what) {
    auto pause = protocol::parse_pause(call.request.body);
    if (!pause) return call.answer(pause.error());
    const bool drains = what == ChangeQueue::What::drain;
    if (drains && pause->key)
        return call.answer(Error{ErrorCode::invalid_field, "a key is paused, not drained"});
    ChangeQueue command;
    command.what = what;
    command.key = std::move(pause->key);
    command.by = std::move(pause->by);
    command.reason = std::move(pause->reason);
    execute(std::move(call), std::move(command));
}

void QueueApi::execute(Call call, ChangeQueue command) {
    command.type = call.parameters[0];
    if (!is_type_name(command.type))
        return call.answer(Error{ErrorCode::invalid_field, "type '" + command.type + "'"});
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(std::move(command), [this, shared](const engine::Decision& decision) {
        if (decision.refused)
            return Core::Reply{[shared, error = *decision.refused] { shared->answer(error); }};
        return Core::Reply{[this, shared] { shared->answer(200, write(shared->parameters[0])); }};
    });
}

void QueueApi::change_worker(Call call, ChangeWorker::What what) {
    auto pause = protocol::parse_pause(call.request.body);
    if (!pause) return call.answer(pause.error());
    const std::string instance = call.parameters[0];
    if (pause->key || !is_instance_name(instance))
        return call.answer(Error{ErrorCode::invalid_field,
                                 pause->key ? "a worker has no key" : "worker '" + instance + "'"});
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(
        ChangeWorker{instance, what, std::move(pause->by), std::move(pause->reason)},
        [this, shared, instance](const engine::Decision& decision) {
            if (decision.refused)
                return Core::Reply{[shared, error = *decision.refused] { shared->answer(error); }};
            // Who is resumed may still be held under its lasting name.
            const WorkerHold* hold = core_.engine().hold_of(instance);
            const WorkerHold none{instance, std::nullopt, false};
            return Core::Reply{
                [shared, body = protocol::write_hold(hold == nullptr ? none : *hold)] {
                    shared->answer(200, body);
                }};
        });
}

}  // namespace taskd::service
