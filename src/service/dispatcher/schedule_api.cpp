#include "taskd/service/schedule_api.hpp"

#include <charconv>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/queue_json.hpp"
#include "taskd/protocol/schedule_json.hpp"

namespace taskd::service {
namespace {

constexpr std::size_t next_shown = 3;

}  // namespace

void ScheduleApi::add_routes(HttpFront& front) {
    const auto to = [this](void (ScheduleApi::*handler)(Call)) {
        return [this, handler](Call&& call) { (this->*handler)(std::move(call)); };
    };
    front.add({"GET", "/v1/schedules", {}, to(&ScheduleApi::list)});
    front.add({"GET", "/v1/schedules/{name}", {}, to(&ScheduleApi::get)});
    front.add({"PUT", "/v1/schedules/{name}", {}, to(&ScheduleApi::put)});
    front.add({"DELETE", "/v1/schedules/{name}", {}, to(&ScheduleApi::remove)});
    front.add({"POST", "/v1/schedules/{name}/pause", {}, [this](Call&& call) {
                   pause(std::move(call), false);
               }});
    front.add({"POST", "/v1/schedules/{name}/resume", {}, [this](Call&& call) {
                   pause(std::move(call), true);
               }});
    front.add({"POST", "/v1/schedules/{name}/run", {}, to(&ScheduleApi::run)});
    front.add({"POST", "/v1/schedules/{name}/backfill", {}, to(&ScheduleApi::backfill)});
    front.add({"GET", "/v1/schedules/{name}/times", {"after", "limit"}, to(&ScheduleApi::times)});
}

// With the next times, unless nothing is next.
std::string ScheduleApi::write(const Schedule& schedule) const {
    std::vector<WallTime> next;
    if (!schedule.paused)
        if (auto found = desk_.times_after(schedule.spec.name, schedule.settled, next_shown))
            next = std::move(*found);
    return protocol::write_schedule(schedule, next);
}

void ScheduleApi::list(Call call) {
    std::string out = "{\"schedules\":[";
    core_.engine().each_schedule([&](const Schedule& schedule) {
        if (!out.ends_with('[')) out.push_back(',');
        out += write(schedule);
    });
    out += "]}";
    core_.when_durable(
        [shared = std::make_shared<Call>(std::move(call)), out] { shared->answer(200, out); });
}

void ScheduleApi::get(Call call) {
    const Schedule* schedule = core_.engine().schedule(call.parameters[0]);
    if (schedule == nullptr)
        return call.answer(Error{ErrorCode::schedule_not_found, call.parameters[0]});
    std::string out = write(*schedule);
    core_.when_durable(
        [shared = std::make_shared<Call>(std::move(call)), out] { shared->answer(200, out); });
}

ScheduleDesk::Done ScheduleApi::answer_with(std::shared_ptr<Call> call) {
    return [this, call](const engine::Decision& decision) {
        if (decision.refused) return call->answer(*decision.refused);
        const Schedule* schedule = core_.engine().schedule(call->parameters[0]);
        if (schedule == nullptr)
            return call->answer(Error{ErrorCode::schedule_not_found, call->parameters[0]});
        call->answer(200, write(*schedule));
    };
}

void ScheduleApi::put(Call call) {
    if (!is_type_name(call.parameters[0]))
        return call.answer(Error{ErrorCode::invalid_field, "name '" + call.parameters[0] + "'"});
    auto spec = protocol::parse_schedule(call.request.body, call.parameters[0]);
    if (!spec) return call.answer(spec.error());
    if (auto checked = desk_.check(*spec); !checked) return call.answer(checked.error());
    if (auto matched = schemas_.check(spec->task.type, spec->task.payload.view()); !matched)
        return call.answer(matched.error());
    desk_.set(std::move(*spec), answer_with(std::make_shared<Call>(std::move(call))));
}

void ScheduleApi::remove(Call call) {
    auto shared = std::make_shared<Call>(std::move(call));
    desk_.remove(shared->parameters[0], [shared](const engine::Decision& decision) {
        if (decision.refused) return shared->answer(*decision.refused);
        shared->respond(port::HttpResponse{204, {}, {}});
    });
}

void ScheduleApi::pause(Call call, bool resume) {
    auto body = protocol::parse_pause(call.request.body);
    if (!body) return call.answer(body.error());
    if (body->key) return call.answer(Error{ErrorCode::unknown_field, "key"});
    engine::PauseSchedule command{call.parameters[0], resume, body->by, body->reason};
    desk_.pause(std::move(command), answer_with(std::make_shared<Call>(std::move(call))));
}

void ScheduleApi::run(Call call) {
    if (auto slow = core_.no_more_tasks()) return call.answer(*slow);
    auto shared = std::make_shared<Call>(std::move(call));
    desk_.run_now(shared->parameters[0], answer_with(shared));
}

void ScheduleApi::backfill(Call call) {
    const auto body = protocol::parse_backfill(call.request.body);
    if (!body) return call.answer(body.error());
    if (auto slow = core_.no_more_tasks()) return call.answer(*slow);
    auto shared = std::make_shared<Call>(std::move(call));
    desk_.backfill(shared->parameters[0], body->from, body->to,
                   [shared](const ScheduleDesk::Backfilled& counts) {
                       if (counts.refused) return shared->answer(*counts.refused);
                       std::string out;
                       protocol::JsonWriter{out}
                           .begin_object()
                           .field("submitted", counts.submitted)
                           .field("there", counts.there)
                           .end_object();
                       shared->answer(200, std::move(out));
                   });
}

void ScheduleApi::times(Call call) {
    WallTime after = core_.now().wall;
    std::size_t count = 10;
    for (const auto& [name, value] : call.target.query) {
        if (name == "after") {
            const auto instant = parse_rfc3339(value);
            if (!instant) return call.answer(Error{ErrorCode::invalid_field, "after"});
            after = *instant;
            continue;
        }
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), count);
        if (error != std::errc{} || end != value.data() + value.size() || count == 0 ||
            count > limits::fires_ahead_max)
            return call.answer(Error{ErrorCode::invalid_field, "limit is between 1 and 100"});
    }
    const auto found = desk_.times_after(call.parameters[0], after, count);
    if (!found) return call.answer(found.error());
    std::string out;
    protocol::JsonWriter json{out};
    json.begin_object().key("times").begin_array();
    for (const WallTime& time : *found)
        json.string(to_rfc3339(time));
    json.end_array().end_object();
    call.answer(200, std::move(out));
}

}  // namespace taskd::service
