// What people do to workflows that have begun; and what lets go of those that have ended.
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/operation_json.hpp"
#include "taskd/protocol/workflow_json.hpp"
#include "taskd/service/workflow_api.hpp"

namespace taskd::service {
namespace {

constexpr std::size_t sweep_page = 100;

}  // namespace

void WorkflowApi::act(Call call, WorkflowId id, engine::Command command) {
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(std::move(command),
                  [this, shared, id](const engine::Decision& decision) -> Core::Reply {
                      if (!decision.refused) return [this, shared, id] { show(shared, id, 200); };
                      const Error error = *decision.refused;
                      if (error.code != ErrorCode::workflow_not_found)
                          return [shared, error] { shared->answer(error); };
                      // What has ended may be in the view alone.
                      return [this, shared, id] {
                          find(id.to_string(), {0, 0}, [shared](const Result<Found>& found) {
                              if (!found) return shared->answer(found.error());
                              shared->answer(
                                  Error{ErrorCode::workflow_finished,
                                        "it is " + std::string{to_text((*found)->workflow.state)}});
                          });
                      };
                  });
}

void WorkflowApi::cancel(Call call) {
    auto reason = protocol::parse_reason(call.request.body);
    if (!reason) return call.answer(reason.error());
    const std::string name = call.parameters[0];
    auto shared = std::make_shared<Call>(std::move(call));
    find_head(name, [this, shared, reason = std::move(*reason)](Result<WorkflowId> id) {
        if (!id) return shared->answer(id.error());
        act(std::move(*shared), *id, engine::CancelWorkflow{*id, reason});
    });
}

void WorkflowApi::retry(Call call) {
    if (const auto slow = core_.no_more_tasks()) return call.answer(*slow);
    const std::string name = call.parameters[0];
    auto shared = std::make_shared<Call>(std::move(call));
    find_head(name, [this, shared](Result<WorkflowId> id) {
        if (!id) return shared->answer(id.error());
        act(std::move(*shared), *id, engine::RetryWorkflow{*id});
    });
}

void WorkflowApi::remove(Call call) {
    const std::string name = call.parameters[0];
    auto shared = std::make_shared<Call>(std::move(call));
    find_head(name, [this, shared](Result<WorkflowId> found) {
        if (!found) return shared->answer(found.error());
        const WorkflowId id = *found;
        // The view may be asked first. Who wants the same meanwhile comes behind: one of them has
        // deleted it, and the others find nothing.
        const auto [at, first] = removing_.try_emplace(id);
        if (!first) return at->second.push_back(shared);
        core_.execute(engine::DeleteWorkflow{id},
                      [this, shared, id](const engine::Decision& decision) -> Core::Reply {
                          const auto refused = decision.refused;
                          const Error behind = refused.value_or(
                              Error{ErrorCode::workflow_not_found, id.to_string()});
                          auto others = std::move(removing_.extract(id).mapped());
                          return [shared, refused, behind, others = std::move(others)] {
                              if (refused)
                                  shared->answer(*refused);
                              else
                                  shared->answer(204, {});
                              for (const auto& other : others)
                                  other->answer(behind);
                          };
                      });
    });
}

void WorkflowApi::signal(Call call) {
    std::string payload = call.request.body.empty() ? "null" : std::move(call.request.body);
    if (payload.size() > limits::signal_bytes_max)
        return call.answer(
            Error{ErrorCode::body_too_large, std::to_string(limits::signal_bytes_max) + " bytes"});
    if (auto checked = protocol::check_json(payload); !checked) return call.answer(checked.error());
    const std::string name = call.parameters[0];
    Signal signal{call.parameters[1], Blob{std::move(payload)}};
    if (!is_type_name(signal.name))
        return call.answer(Error{ErrorCode::invalid_field, "the name of a signal"});
    auto shared = std::make_shared<Call>(std::move(call));
    find_head(name, [this, shared, signal = std::move(signal)](Result<WorkflowId> id) {
        if (!id) return shared->answer(id.error());
        act(std::move(*shared), *id, engine::SendSignal{*id, signal});
    });
}

void WorkflowApi::answer_step(Call call, bool approved) {
    auto answer = protocol::parse_step_answer(call.request.body);
    if (!answer) return call.answer(answer.error());
    const std::string name = call.parameters[0];
    auto shared = std::make_shared<Call>(std::move(call));
    find_head(name, [this, shared, approved, answer = std::move(*answer)](Result<WorkflowId> id) {
        if (!id) return shared->answer(id.error());
        engine::AnswerStep command{*id, shared->parameters[1], approved,
                                   Blob{protocol::write_step_answer(answer, approved)},
                                   answer.comment};
        act(std::move(*shared), *id, std::move(command));
    });
}

void WorkflowApi::start() {
    sweep_timer_->set(ports_.clock.steady() + limits::sweep_at_first, [this] { sweep(); });
}

// Ended workflows go a page at a time: those that are old, and the oldest beyond so many; none that
// ended a short while ago.
void WorkflowApi::sweep() {
    auto found = std::make_shared<Result<std::vector<WorkflowId>>>();
    const WallTime now = core_.now().believed();
    const port::OldWorkflows old{now - settings_.keep, now - limits::kept_at_least,
                                 limits::workflows_kept_max, sweep_page};
    core_.ask_view([found, old](port::View& view) { *found = view.workflows_to_drop(old); },
                   [this, found] {
                       const bool more = *found && (*found)->size() == sweep_page;
                       sweep_timer_->set(ports_.clock.steady() + (more ? limits::sweep_page_pause
                                                                       : limits::sweep_interval),
                                         [this] { sweep(); });
                       if (!*found) {
                           ports_.log.warn("workflows could not be looked through",
                                           {{"error", found->error().to_string()}});
                           return;
                       }
                       for (const WorkflowId& id : **found)
                           core_.execute(engine::DeleteWorkflow{id},
                                         [](const engine::Decision&) { return Core::Reply{}; });
                   });
}

void WorkflowApi::report(port::MetricSink& sink) const {
    sink.put(port::Metric::workflows_running, core_.engine().workflows_running());
    sink.put(port::Metric::workflow_documents_refused_total, refused_documents_);
}

}  // namespace taskd::service
