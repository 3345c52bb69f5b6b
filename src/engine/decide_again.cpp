// Ended tasks that begin anew, get another payload or go; and operations, which do such things to
// many. Nothing here changes state.
#include "engine/rules.hpp"

namespace taskd::engine {
namespace {

bool is_dead(const Task& task) {
    return task.state == TaskState::dead || task.state == TaskState::expired;
}

// What is in the way of touching a dead task, if anything is.
std::optional<Decision> not_dead(const Task& task) {
    if (!is_dead(task))
        return refuse(ErrorCode::task_not_dead, "it is " + std::string{to_text(task.state)});
    if (task.lease) return refuse(ErrorCode::task_not_dead, "its worker has not stopped yet");
    return std::nullopt;
}

// The task with its body; else what is to be done first, or what to answer.
const Task* look_up(const Context& context, TaskId id, bool fetched, Decision& decision) {
    const Header* header = context.state.find(id);
    if (header != nullptr && header->body) return header->body->task.get();
    if (header != nullptr || !fetched)
        decision.fetch.push_back(id);
    else
        decision = refuse(ErrorCode::task_not_found, id.to_string());
    return nullptr;
}

// Whether its idempotency key is the task's own again: nobody else may have taken it. `asked` when
// only the view can tell.
bool holds_key(const Context& context, const Task& task, const std::vector<KeyUse>& known,
               bool fetched, bool& asked) {
    const std::string& key = task.spec.idempotency_key;
    if (key.empty()) return false;
    const auto is_free = [&](TaskId id, WallTime until) {
        const Header* header = context.state.find(id);
        const bool lives = header != nullptr && !is_terminal(header->state);
        return id == task.spec.id || (!lives && until <= context.now.believed());
    };
    const auto& keys = context.state.keys;
    if (const auto found = keys.find(key); found != keys.end())
        return is_free(found->second.id, found->second.until);
    for (const KeyUse& use : known)
        if (use.key == key) return is_free(use.id, use.until);
    asked = context.state.keys_elsewhere && !fetched;
    return true;
}

TaskRedriven redriven(const Now& now, const Task& task, bool key) {
    return {task.spec.id, now.wall, now.engine + task.spec.queue_timeout,
            now.engine + task.spec.total_timeout, key};
}

// Steps to come may ask for its result.
bool is_needed(const Context& context, const Task& task) {
    if (!task.spec.step) return false;
    const LiveWorkflow* workflow = context.state.workflows.find(task.spec.step->workflow);
    return workflow != nullptr && !has_ended(workflow->head.state);
}

}  // namespace

Decision decide_redrive(const Context& context, const Redrive& command) {
    Decision decision;
    const Task* task = look_up(context, command.id, command.fetched, decision);
    if (task == nullptr) return decision;
    if (auto refused = not_dead(*task)) return std::move(*refused);
    if (task->spec.step)
        return refuse(ErrorCode::is_step, "workflow " + task->spec.step->workflow.to_string());
    bool asked = false;
    const bool key = holds_key(context, *task, command.known_keys, command.fetched, asked);
    if (asked)
        decision.fetch_keys.push_back(task->spec.idempotency_key);
    else
        decision.records.emplace_back(redriven(context.now, *task, key));
    return decision;
}

Decision decide_edit(const Context& context, const EditPayload& command) {
    Decision decision;
    const Task* task = look_up(context, command.id, command.fetched, decision);
    if (task == nullptr) return decision;
    if (auto refused = not_dead(*task)) return std::move(*refused);
    if (task->spec.payload != command.payload)
        decision.records.emplace_back(PayloadEdited{command.id, command.payload, context.now.wall});
    return decision;
}

Decision decide_start_operation(const Context& context, const StartOperation& command) {
    const auto& operations = context.state.operations;
    const Operation& asked = command.operation;
    if (const auto found = operations.find(asked.id); found != operations.end()) {
        const Operation& there = found->second;
        const bool same = there.action == asked.action && there.search == asked.search;
        return same ? Decision{} : refuse(ErrorCode::id_conflict, asked.id.to_string());
    }
    if (context.state.operations_running >= limits::operations_running_max)
        return refuse(ErrorCode::too_many_operations,
                      std::to_string(limits::operations_running_max));
    Decision decision;
    decision.records.emplace_back(OperationStarted{asked});
    return decision;
}

Decision decide_stop_operation(const Context& context, const StopOperation& command) {
    const auto found = context.state.operations.find(command.id);
    if (found == context.state.operations.end())
        return refuse(ErrorCode::operation_not_found, command.id.to_string());
    Decision decision;
    if (found->second.state == OperationState::running)
        decision.records.emplace_back(OperationEnded{command.id, true, context.now.wall});
    return decision;
}

namespace {

// One part of an operation on its way.
class Step {
  public:
    Step(const Context& context, const StepOperation& command, const Operation& operation)
        : context_{context}, command_{command}, operation_{operation} {}

    Decision decide() {
        std::uint64_t changed = 0;
        for (const StepOperation::Target& target : command_.targets)
            changed += act(target) ? 1 : 0;
        if (!decision_.fetch.empty() || !decision_.fetch_keys.empty()) {
            decision_.records.clear();
            decision_.outputs.clear();
            return std::move(decision_);
        }
        const std::uint64_t left = command_.targets.size() - changed;
        decision_.records.emplace_back(OperationAdvanced{operation_.id, command_.cursor, changed,
                                                         command_.passed_over + left});
        if (command_.last)
            decision_.records.emplace_back(OperationEnded{operation_.id, false, context_.now.wall});
        return std::move(decision_);
    }

  private:
    // False when it is not what it was any more.
    bool act(const StepOperation::Target& target) {
        const Header* header = context_.state.find(target.id);
        if (header == nullptr && operation_.action == OperationAction::remove) {
            if (context_.state.deleted.contains(target.id)) return false;
            // Ended, and the view alone has it.
            decision_.records.emplace_back(TaskDeleted{target.id});
            return true;
        }
        if (header == nullptr || !header->body) {
            const bool gone = header == nullptr && (command_.fetched || !may_come_back());
            if (!gone) decision_.fetch.push_back(target.id);
            return false;
        }
        const Task& task = *header->body->task;
        return task.changed_as == target.changed_as && act_on(task);
    }

    bool may_come_back() const { return operation_.action == OperationAction::redrive; }

    bool act_on(const Task& task) {
        const TaskId id = task.spec.id;
        switch (operation_.action) {
            case OperationAction::cancel:
                if (is_terminal(task.state)) return false;
                decision_.records.emplace_back(
                    TaskCancelled{id, operation_.reason, context_.now.wall});
                decision_.outputs.emplace_back(TaskEnded{id, context_.now.engine});
                if (task.lease)
                    decision_.outputs.emplace_back(
                        SendRevoke{task.lease->worker, {id, task.lease->epoch}});
                return true;
            case OperationAction::remove:
                if (!is_terminal(task.state) || task.lease || is_needed(context_, task))
                    return false;
                decision_.records.emplace_back(TaskDeleted{id});
                return true;
            case OperationAction::redrive: {
                if (!is_dead(task) || task.lease || task.spec.step) return false;
                bool asked = false;
                const bool key =
                    holds_key(context_, task, command_.known_keys, command_.fetched, asked) &&
                    keys_.insert(task.spec.idempotency_key).second;
                if (asked) decision_.fetch_keys.push_back(task.spec.idempotency_key);
                decision_.records.emplace_back(redriven(context_.now, task, key));
                return true;
            }
        }
        return false;
    }

    const Context& context_;
    const StepOperation& command_;
    const Operation& operation_;
    Decision decision_;
    std::set<std::string> keys_;  // given back in this step
};

}  // namespace

Decision decide_step_operation(const Context& context, const StepOperation& command) {
    const auto found = context.state.operations.find(command.id);
    if (found == context.state.operations.end())
        return refuse(ErrorCode::operation_not_found, command.id.to_string());
    // Stopped meanwhile.
    if (found->second.state != OperationState::running) return {};
    return Step{context, command, found->second}.decide();
}

Decision decide_drop(const Context& context, const DropTasks& command) {
    Decision decision;
    for (const StepOperation::Target& target : command.targets) {
        if (context.state.deleted.contains(target.id)) continue;
        // What memory has forgotten has ended and not changed since.
        if (const Header* header = context.state.find(target.id)) {
            if (!header->body) continue;
            const Task& task = *header->body->task;
            if (task.changed_as != target.changed_as || !is_terminal(task.state) || task.lease ||
                is_needed(context, task))
                continue;
        }
        decision.records.emplace_back(TaskDeleted{target.id});
    }
    return decision;
}

}  // namespace taskd::engine
