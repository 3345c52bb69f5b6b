// Dead tasks over HTTP: begun anew, or with another payload first. Both are new work to journal and
// view.
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/service/task_api.hpp"

namespace taskd::service {

void TaskApi::redrive(Call call) {
    if (const auto slow = core_.no_more_tasks()) return call.answer(*slow);
    change(std::move(call), [](TaskId id) { return engine::Redrive{id}; });
}

void TaskApi::edit_payload(Call call) {
    if (const auto slow = core_.slow_down()) return call.answer(*slow);
    if (auto checked = protocol::check_json(call.request.body); !checked)
        return call.answer(checked.error());
    if (call.request.body.size() > limits::task_bytes_max)
        return call.answer(Error{ErrorCode::task_too_large,
                                 std::to_string(call.request.body.size()) + " of " +
                                     std::to_string(limits::task_bytes_max) + " bytes"});
    Blob payload{std::move(call.request.body)};
    auto shared = std::make_shared<Call>(std::move(call));
    find_task(shared->parameters[0], [this, shared, payload](const Result<Task>& task) {
        if (!task) return shared->answer(task.error());
        if (auto matched = schemas_.check(task->spec.type, payload.view()); !matched)
            return shared->answer(matched.error());
        change(std::move(*shared),
               [payload](TaskId id) { return engine::EditPayload{id, payload}; });
    });
}

void TaskApi::change(Call call, std::function<engine::Command(TaskId)> make) {
    auto shared = std::make_shared<Call>(std::move(call));
    find_task(shared->parameters[0], [this, shared, make = std::move(make)](Result<Task> task) {
        if (!task) return shared->answer(task.error());
        const TaskId id = task->spec.id;
        core_.execute(make(id),
                      [this, shared, id](const engine::Decision& decision) -> Core::Reply {
                          if (decision.refused)
                              return [shared, error = *decision.refused] { shared->answer(error); };
                          std::string body;
                          protocol::write_brief(body, *core_.engine().find(id), false);
                          return [shared, body] { shared->answer(200, body); };
                      });
    });
}

}  // namespace taskd::service
