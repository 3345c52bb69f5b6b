#include "taskd/service/lease_api.hpp"

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/lease_json.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::service {
namespace {

std::string write_leases(const engine::Engine& engine, const std::vector<engine::LeaseRef>& leases,
                         Duration duration) {
    std::string out, task;
    protocol::JsonWriter json{out};
    json.begin_object().field("lease_ms", duration / std::chrono::milliseconds{1});
    json.key("tasks").begin_array();
    for (const engine::LeaseRef& lease : leases) {
        task.clear();
        protocol::write_leased_task(task, *engine.find(lease.id));
        json.raw(task);
    }
    json.end_array().end_object();
    return out;
}

}  // namespace

LeaseApi::LeaseApi(Core& core, LeaseDesk& desk, Duration lease_duration)
    : core_{core}, desk_{desk}, lease_duration_{lease_duration} {}

void LeaseApi::add_routes(HttpFront& front) {
    const auto to = [this](void (LeaseApi::*handler)(Call)) {
        return [this, handler](Call&& call) { (this->*handler)(std::move(call)); };
    };
    front.add({"POST", "/v1/leases", {}, to(&LeaseApi::ask)});
    front.add({"GET", "/v1/leases/{lease}/payload", {}, to(&LeaseApi::payload)});
    front.add({"POST", "/v1/leases/{lease}/renew", {}, to(&LeaseApi::renew)});
    front.add({"POST", "/v1/leases/{lease}/progress", {}, to(&LeaseApi::progress)});
    front.add({"POST", "/v1/leases/{lease}/release", {}, to(&LeaseApi::release)});
    front.add({"POST", "/v1/leases/{lease}/complete", {}, [this](Call&& call) {
                   end(std::move(call), true);
               }});
    front.add({"POST", "/v1/leases/{lease}/fail", {}, [this](Call&& call) {
                   end(std::move(call), false);
               }});
}

void LeaseApi::ask(Call call) {
    auto question = protocol::parse_lease_question(call.request.body);
    if (!question) return call.answer(question.error());
    call.drop_body();
    auto shared = std::make_shared<Call>(std::move(call));
    const auto asked =
        desk_.ask(std::move(*question), shared->request.client_gone,
                  [this, shared](const std::vector<engine::LeaseRef>& leases) {
                      shared->answer(200, write_leases(core_.engine(), leases, lease_duration_));
                  });
    if (!asked) shared->answer(asked.error());
}

bool LeaseApi::knows(Call& call, const protocol::LeaseKey& lease, bool heard) {
    const Task* task = core_.engine().find(lease.id);
    if (!core_.engine().state_of(lease.id)) {
        call.answer(Error{ErrorCode::task_not_found, lease.id.to_string()});
        return false;
    }
    if (heard && task != nullptr && task->lease) desk_.heard(task->lease->worker);
    return true;
}

void LeaseApi::renew(Call call) {
    const auto lease = protocol::read_lease_path(call.parameters[0]);
    if (!lease) return call.answer(lease.error());
    if (!knows(call, *lease, true)) return;
    const Task* task = core_.engine().find(lease->id);
    const engine::LeaseRef ref{lease->id, lease->epoch};
    const std::string worker = task != nullptr && task->lease ? task->lease->worker : std::string{};
    keep(std::move(call), ref, engine::Renew{worker, {ref}});
}

void LeaseApi::progress(Call call) {
    const auto lease = protocol::read_lease_path(call.parameters[0]);
    if (!lease) return call.answer(lease.error());
    auto said = protocol::parse_progress(call.request.body);
    if (!said) return call.answer(said.error());
    if (!knows(call, *lease, true)) return;
    said->at = core_.now().wall;
    const engine::LeaseRef ref{lease->id, lease->epoch};
    keep(std::move(call), ref, engine::Report{{}, ref, std::move(*said)});
}

// Answers how the lease stands afterwards.
void LeaseApi::keep(Call call, const engine::LeaseRef& ref, engine::Command command) {
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(std::move(command), [this, shared, ref](const engine::Decision&) -> Core::Reply {
        const auto standing = core_.engine().standing(ref);
        if (standing == engine::LeaseStanding::lost)
            return
                [shared] { shared->answer(Error{ErrorCode::stale_lease, shared->parameters[0]}); };
        std::string body;
        protocol::JsonWriter{body}
            .begin_object()
            .field("lease_ms", lease_duration_ / std::chrono::milliseconds{1})
            .field("cancelled", standing == engine::LeaseStanding::revoked)
            .end_object();
        return [shared, body] { shared->answer(200, body); };
    });
}

void LeaseApi::release(Call call) {
    const auto lease = protocol::read_lease_path(call.parameters[0]);
    if (!lease) return call.answer(lease.error());
    if (!knows(call, *lease, true)) return;
    run(std::move(call), engine::Release{{lease->id, lease->epoch}}, lease->id);
}

void LeaseApi::run(Call call, engine::Command command, TaskId id) {
    call.drop_body();
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(std::move(command),
                  [this, shared, id](const engine::Decision& decision) -> Core::Reply {
                      if (decision.refused)
                          return [shared, error = *decision.refused] { shared->answer(error); };
                      std::string body;
                      protocol::write_brief(body, *core_.engine().find(id), false);
                      return [shared, body] { shared->answer(200, body); };
                  });
}

void LeaseApi::payload(Call call) {
    const auto lease = protocol::read_lease_path(call.parameters[0]);
    if (!lease) return call.answer(lease.error());
    if (!core_.engine().state_of(lease->id))
        return call.answer(Error{ErrorCode::task_not_found, lease->id.to_string()});
    const bool held =
        core_.engine().standing({lease->id, lease->epoch}) == engine::LeaseStanding::held;
    if (!held) return call.answer(Error{ErrorCode::stale_lease, call.parameters[0]});
    core_.when_durable([shared = std::make_shared<Call>(std::move(call)),
                        payload = core_.engine().find(lease->id)->spec.payload] {
        shared->answer(200, std::string{payload.view()});
    });
}

void LeaseApi::end(Call call, bool completed) {
    const auto lease = protocol::read_lease_path(call.parameters[0]);
    if (!lease) return call.answer(lease.error());
    if (auto checked = protocol::check_json(call.request.body); !checked)
        return call.answer(checked.error());
    const auto fields = protocol::split_object(call.request.body);
    if (!fields) return call.answer(fields.error());
    const std::string_view wanted = completed ? "result" : "error";
    std::optional<std::string_view> raw;
    std::optional<Duration> took;
    std::optional<Duration> retry_after;
    for (const auto& [key, value] : *fields) {
        if (key == "took_us") {
            const auto us = protocol::read_integer(value, key, 0, limits::timeout_most.count());
            if (!us) return call.answer(us.error());
            took = Duration{*us};
            continue;
        }
        if (key == "retry_after_ms" && !completed) {
            const auto ms = protocol::read_integer(
                value, key, 0, limits::backoff_most / std::chrono::milliseconds{1});
            if (!ms) return call.answer(ms.error());
            retry_after = std::chrono::milliseconds{*ms};
            continue;
        }
        if (key != wanted) return call.answer(Error{ErrorCode::unknown_field, key});
        raw = value;
    }
    if (!raw) return call.answer(Error{ErrorCode::missing_field, std::string{wanted}});
    if (raw->size() > limits::result_bytes_max)
        return call.answer(Error{ErrorCode::task_too_large, {}});
    const engine::LeaseRef ref{lease->id, lease->epoch};
    engine::Command command = engine::Complete{ref, Blob{std::string{*raw}}, took};
    if (!completed) {
        auto error = protocol::parse_task_error(*raw);
        if (!error) return call.answer(error.error());
        command = engine::Fail{ref, std::move(*error), took, retry_after};
    }
    if (const Task* task = core_.engine().find(lease->id); task != nullptr && task->lease)
        desk_.heard(task->lease->worker);
    run(std::move(call), std::move(command), lease->id);
}

}  // namespace taskd::service
