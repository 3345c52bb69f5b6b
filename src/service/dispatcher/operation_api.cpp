// Operations over HTTP: begin, read, list, stop.
#include "taskd/protocol/operation_json.hpp"
#include "taskd/service/find_id.hpp"
#include "taskd/service/operations.hpp"

namespace taskd::service {

void Operations::add_routes(HttpFront& front) {
    const auto to = [this](void (Operations::*handler)(Call)) {
        return [this, handler](Call&& call) { (this->*handler)(std::move(call)); };
    };
    front.add({"POST", "/v1/operations", {}, to(&Operations::post)});
    front.add({"GET", "/v1/operations", {}, to(&Operations::list)});
    front.add({"GET", "/v1/operations/{id}", {}, to(&Operations::get)});
    front.add({"POST", "/v1/operations/{id}/stop", {}, to(&Operations::stop)});
}

Result<OperationId> Operations::find(const std::string& name) const {
    return find_id(core_.engine().operations(), name, ErrorCode::operation_not_found);
}

void Operations::post(Call call) {
    auto operation = protocol::parse_operation(call.request.body);
    if (!operation) return call.answer(operation.error());
    if (operation->id == OperationId{}) operation->id = core_.make_id();
    operation->started_at = core_.now().wall;
    begin(std::move(call), std::move(*operation));
}

void Operations::begin(Call call, Operation operation) {
    const OperationId id = operation.id;
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(engine::StartOperation{std::move(operation)},
                  [this, shared, id](const engine::Decision& decision) -> Core::Reply {
                      if (decision.refused)
                          return [shared, error = *decision.refused] { shared->answer(error); };
                      std::string out;
                      protocol::write_operation(out, core_.engine().operations().at(id));
                      return [this, shared, id, out] {
                          go_on(id);
                          shared->answer(202, out);
                      };
                  });
}

void Operations::list(Call call) {
    std::string out = "{\"operations\":[";
    const auto& all = core_.engine().operations();
    for (auto each = all.rbegin(); each != all.rend(); ++each) {
        if (each != all.rbegin()) out.push_back(',');
        protocol::write_operation(out, each->second);
    }
    out += "]}";
    core_.when_durable(
        [shared = std::make_shared<Call>(std::move(call)), out] { shared->answer(200, out); });
}

void Operations::get(Call call) {
    const auto id = find(call.parameters[0]);
    if (!id) return call.answer(id.error());
    std::string out;
    protocol::write_operation(out, core_.engine().operations().at(*id));
    core_.when_durable(
        [shared = std::make_shared<Call>(std::move(call)), out] { shared->answer(200, out); });
}

void Operations::stop(Call call) {
    const auto id = find(call.parameters[0]);
    if (!id) return call.answer(id.error());
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(engine::StopOperation{*id},
                  [this, shared, id = *id](const engine::Decision& decision) -> Core::Reply {
                      if (decision.refused)
                          return [shared, error = *decision.refused] { shared->answer(error); };
                      std::string out;
                      protocol::write_operation(out, core_.engine().operations().at(id));
                      return [shared, out] { shared->answer(200, out); };
                  });
}

}  // namespace taskd::service
