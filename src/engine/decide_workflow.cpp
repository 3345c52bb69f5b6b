// What people do to workflows, and what their time leads to. Nothing here changes state.
#include <algorithm>

#include "engine/rules.hpp"

namespace taskd::engine {
namespace {

bool same(const Blob& a, const Blob& b) {
    return a.view() == b.view();
}

// A workflow that is asked for again: the same, or in the way.
Decision there_already(const Workflow& there, const WorkflowPlan& plan,
                       const StartWorkflow& command) {
    if (same(there.inputs, command.inputs) && plan == command.index->plan()) return {};
    return refuse(ErrorCode::id_conflict, command.id.to_string());
}

Decision still_running(const Workflow& workflow) {
    return refuse(ErrorCode::workflow_running, "it is " + std::string{to_text(workflow.state)});
}

const LiveWorkflow* find_running(const Context& context, WorkflowId id, Decision& refused) {
    const LiveWorkflow* found = context.state.workflows.find(id);
    if (found == nullptr) {
        refused = refuse(ErrorCode::workflow_not_found, id.to_string());
    } else if (has_ended(found->head.state)) {
        refused = refuse(ErrorCode::workflow_finished,
                         "it is " + std::string{to_text(found->head.state)});
        found = nullptr;
    }
    return found;
}

// Whether one more may run, with all its steps in memory.
Decision check_room(const Workflows& all, std::size_t steps) {
    if (all.running >= limits::workflows_running_max)
        return refuse(ErrorCode::too_many_workflows, std::to_string(all.running));
    if (all.steps + steps > limits::workflow_steps_running_max)
        return refuse(ErrorCode::too_many_workflows,
                      "with " + std::to_string(all.steps) + " steps");
    return {};
}

bool waits_for(const LiveWorkflow& workflow, StepIndex step, StepKind kind) {
    return workflow.steps[step].state == StepState::active && workflow.plan(step).kind == kind;
}

}  // namespace

Decision decide_start_workflow(const Context& context, const StartWorkflow& command) {
    const Workflows& workflows = context.state.workflows;
    if (const LiveWorkflow* there = workflows.find(command.id))
        return there_already(there->head, there->index->plan(), command);
    Decision decision;
    if (!command.fresh && !command.fetched) {
        decision.fetch_workflow = command.id;
        return decision;
    }
    if (command.known) return there_already(command.known->workflow, *command.known->plan, command);
    decision = check_room(workflows, command.index->size());
    if (decision.refused) return decision;
    Workflow head;
    head.id = command.id;
    head.name = command.index->plan().name;
    head.inputs = command.inputs;
    head.env = command.env;
    head.made_at = context.now.wall;
    head.ends_by = context.now.engine + command.index->plan().timeout;
    head.steps = static_cast<std::uint32_t>(command.index->size());
    decision.records.emplace_back(
        WorkflowStarted{std::move(head), command.index->shared(), command.index});
    return decision;
}

Decision decide_cancel_workflow(const Context& context, const CancelWorkflow& command) {
    Decision decision;
    const LiveWorkflow* found = find_running(context, command.id, decision);
    if (found == nullptr || found->head.state == WorkflowState::cancelling) return decision;
    decision.records.emplace_back(WorkflowTurned{command.id, WorkflowState::cancelling,
                                                 error_of(ErrorCode::cancelled, command.reason),
                                                 context.now.wall});
    return decision;
}

Decision decide_retry_workflow(const Context& context, const RetryWorkflow& command) {
    Decision decision;
    const LiveWorkflow* found = context.state.workflows.find(command.id);
    if (found == nullptr && command.fetched)
        return refuse(ErrorCode::workflow_not_found, command.id.to_string());
    if (found == nullptr) {
        decision.fetch_workflow = command.id;
        return decision;
    }
    const Workflow& head = found->head;
    if (!has_ended(head.state)) return still_running(head);
    if (head.state == WorkflowState::succeeded)
        return refuse(ErrorCode::workflow_finished, "it has succeeded");
    if (head.parent)
        return refuse(ErrorCode::is_step, "of workflow " + head.parent->workflow.to_string());
    decision = check_room(context.state.workflows, found->steps.size());
    if (decision.refused) return decision;
    decision.records.emplace_back(WorkflowRetried{
        command.id, context.now.engine + found->index->plan().timeout, context.now.wall});
    return decision;
}

Decision decide_delete_workflow(const Context& context, const DeleteWorkflow& command) {
    Decision decision;
    const LiveWorkflow* found = context.state.workflows.find(command.id);
    if (found == nullptr && !command.fetched) {
        decision.fetch_workflow = command.id;
        return decision;
    }
    if (found == nullptr && command.known == nullptr)
        return refuse(ErrorCode::workflow_not_found, command.id.to_string());
    const Workflow& head = found != nullptr ? found->head : command.known->workflow;
    if (!has_ended(head.state)) return still_running(head);
    decision.records.emplace_back(WorkflowDeleted{command.id});
    return decision;
}

Decision decide_signal(const Context& context, const SendSignal& command) {
    Decision decision;
    const LiveWorkflow* found = find_running(context, command.id, decision);
    if (found == nullptr) return decision;
    const std::string& name = command.signal.name;
    for (const StepIndex step : found->active) {
        if (!waits_for(*found, step, StepKind::signal) || found->plan(step).awaits != name)
            continue;
        decision.records.emplace_back(StepEnded{command.id, step, std::nullopt,
                                                StepState::succeeded, command.signal.payload,
                                                std::nullopt, context.now.wall});
        return decision;
    }
    if (found->head.signals.size() >= limits::workflow_signals_max)
        return refuse(ErrorCode::too_many_signals, std::to_string(limits::workflow_signals_max));
    decision.records.emplace_back(SignalReceived{command.id, command.signal});
    return decision;
}

Decision decide_answer(const Context& context, const AnswerStep& command) {
    Decision decision;
    const LiveWorkflow* found = find_running(context, command.id, decision);
    if (found == nullptr) return decision;
    const auto step = found->index->find(command.step);
    if (!step) return refuse(ErrorCode::step_not_found, command.step);
    if (!waits_for(*found, *step, StepKind::approval))
        return refuse(ErrorCode::step_not_waiting,
                      command.step + " is " + std::string{to_text(found->steps[*step].state)});
    StepEnded ended{command.id,     *step,        std::nullopt,    StepState::succeeded,
                    command.result, std::nullopt, context.now.wall};
    if (!command.approved) {
        ended.state = StepState::failed;
        ended.error = error_of(ErrorCode::rejected, command.comment);
    }
    decision.records.emplace_back(std::move(ended));
    return decision;
}

void workflows_due(const Context& context, std::size_t most, Decision& decision) {
    const Workflows& workflows = context.state.workflows;
    for (const auto& [at, id, step] : workflows.deadlines) {
        if (at > context.now.engine || most-- == 0) return;
        const LiveWorkflow& workflow = workflows.all.at(id);
        if (step == whole_workflow) {
            decision.records.emplace_back(
                WorkflowTurned{id, WorkflowState::failing,
                               error_of(ErrorCode::deadline_exceeded,
                                        "the workflow had not ended when its time was over"),
                               context.now.wall});
            continue;
        }
        StepEnded ended{id,           step,         std::nullopt,    StepState::succeeded,
                        Blob{"null"}, std::nullopt, context.now.wall};
        if (workflow.plan(step).kind != StepKind::sleep) {
            ended.state = StepState::failed;
            ended.result = {};
            ended.error = error_of(ErrorCode::not_answered);
        }
        decision.records.emplace_back(std::move(ended));
    }
}

}  // namespace taskd::engine
