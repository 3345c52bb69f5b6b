#include "taskd/service/group_api.hpp"

#include "taskd/protocol/group_json.hpp"
#include "taskd/service/find_id.hpp"

namespace taskd::service {

void GroupApi::add_routes(HttpFront& front) {
    const auto to = [this](void (GroupApi::*handler)(Call)) {
        return [this, handler](Call&& call) { (this->*handler)(std::move(call)); };
    };
    front.add({"POST", "/v1/groups", {}, to(&GroupApi::make)});
    front.add({"GET", "/v1/groups", {}, to(&GroupApi::list)});
    front.add({"GET", "/v1/groups/{id}", {}, to(&GroupApi::get)});
    front.add({"POST", "/v1/groups/{id}/close", {}, to(&GroupApi::close)});
    front.add({"POST", "/v1/groups/{id}/cancel", {}, to(&GroupApi::cancel)});
}

Result<GroupId> GroupApi::find(const std::string& name) const {
    return find_id(core_.engine().groups(), name, ErrorCode::group_not_found);
}

std::string GroupApi::write(const GroupId& id) const {
    std::string out;
    protocol::write_group(out, core_.engine().groups().at(id));
    return out;
}

void GroupApi::make(Call call) {
    if (const auto slow = core_.no_more_tasks()) return call.answer(*slow);
    auto asked = protocol::parse_group(call.request.body, [this] { return core_.make_id(); });
    if (!asked) return call.answer(asked.error().error, asked.error().index);
    call.drop_body();
    // Not that of the completion: it is a part of what its worker gets, and the counts around it
    // are known when the group ends.
    for (std::size_t i = 0; i < asked->tasks.size(); ++i) {
        const TaskSpec& spec = asked->tasks[i];
        if (auto matched = schemas_.check(spec.type, spec.payload.view()); !matched)
            return call.answer(matched.error(), i);
    }
    asked->group.made_at = core_.now().wall;
    const GroupId id = asked->group.id;
    engine::MakeGroup command{.group = std::move(asked->group),
                              .open = asked->open,
                              .submit = {.tasks = std::move(asked->tasks)}};
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(std::move(command),
                  [this, shared, id](const engine::Decision& decision) -> Core::Reply {
                      if (decision.refused)
                          return [shared, error = *decision.refused, index = decision.index] {
                              shared->answer(error, index);
                          };
                      return [shared, body = write(id)] { shared->answer(202, body); };
                  });
}

void GroupApi::list(Call call) {
    std::string out = "{\"groups\":[";
    const auto& all = core_.engine().groups();
    std::size_t left = limits::page_tasks_max;
    for (auto each = all.rbegin(); each != all.rend() && left > 0; ++each, --left) {
        if (each != all.rbegin()) out.push_back(',');
        protocol::write_group(out, each->second);
    }
    out += "]}";
    core_.when_durable(
        [shared = std::make_shared<Call>(std::move(call)), out] { shared->answer(200, out); });
}

void GroupApi::get(Call call) {
    const auto id = find(call.parameters[0]);
    if (!id) return call.answer(id.error());
    core_.when_durable([shared = std::make_shared<Call>(std::move(call)), out = write(*id)] {
        shared->answer(200, out);
    });
}

void GroupApi::close(Call call) {
    const auto id = find(call.parameters[0]);
    if (!id) return call.answer(id.error());
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(engine::CloseGroup{*id},
                  [this, shared, id = *id](const engine::Decision& decision) -> Core::Reply {
                      if (decision.refused)
                          return [shared, error = *decision.refused] { shared->answer(error); };
                      return [shared, body = write(id)] { shared->answer(200, body); };
                  });
}

// Closed first, so that nothing comes into it; then its tasks, as an operation.
void GroupApi::cancel(Call call) {
    const auto id = find(call.parameters[0]);
    if (!id) return call.answer(id.error());
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(engine::CloseGroup{*id},
                  [this, shared, id = *id](const engine::Decision& decision) -> Core::Reply {
                      if (decision.refused)
                          return [shared, error = *decision.refused] { shared->answer(error); };
                      Operation operation;
                      operation.id = core_.make_id();
                      operation.action = OperationAction::cancel;
                      operation.search = "group:" + id.to_string();
                      operation.reason = "its group was cancelled";
                      operation.started_at = core_.now().wall;
                      operations_.begin(std::move(*shared), std::move(operation));
                      return {};
                  });
}

}  // namespace taskd::service
