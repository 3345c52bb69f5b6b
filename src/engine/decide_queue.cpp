// What operators do: another priority, rules of a queue, pause, resume, drain.
#include "engine/rules.hpp"

namespace taskd::engine {

Decision decide_priority(const Context& context, const SetPriority& command) {
    const Header* header = context.state.find(command.id);
    if (header == nullptr) return refuse(ErrorCode::task_not_found, command.id.to_string());
    if (is_terminal(header->state))
        return refuse(ErrorCode::task_finished, "it is " + std::string{to_text(header->state)});
    Decision decision;
    if (!header->body) {
        decision.fetch.push_back(command.id);
        return decision;
    }
    if (header->priority != command.priority)
        decision.records.emplace_back(PriorityChanged{command.id, command.priority});
    return decision;
}

Decision decide_queue(const Context& context, const ChangeQueue& command) {
    const auto found = context.state.queues.find(command.type);
    QueueRules rules;
    rules.type = command.type;
    if (found != context.state.queues.end()) rules = found->second.rules;
    const QueueRules before = rules;
    const Pause pause{command.by, command.reason, context.now.wall};
    switch (command.what) {
        case ChangeQueue::What::rules:
            rules = command.rules;
            rules.type = command.type;
            rules.paused = before.paused;
            rules.draining = before.draining;
            rules.paused_keys = before.paused_keys;
            break;
        case ChangeQueue::What::schema:
            rules.schema = command.rules.schema;
            break;
        case ChangeQueue::What::pause:
            if (command.key && rules.paused_keys.size() == limits::keys_named_max)
                return refuse(ErrorCode::invalid_field, "as many keys are paused as may be");
            if (command.key)
                rules.paused_keys.try_emplace(*command.key, pause);
            else if (!rules.paused)
                rules.paused = pause;
            break;
        case ChangeQueue::What::resume:
            if (command.key) {
                rules.paused_keys.erase(*command.key);
            } else {
                rules.paused.reset();
                rules.draining.reset();
            }
            break;
        case ChangeQueue::What::drain:
            if (!rules.draining) rules.draining = pause;
            break;
    }
    Decision decision;
    if (rules == before) return decision;
    decision.records.emplace_back(QueueChanged{rules});
    if (rules.rate != before.rate || rules.key_rate != before.key_rate)
        decision.notes.emplace_back(RatesReset{command.type, context.now.engine});
    return decision;
}

Decision decide_worker(const Context& context, const ChangeWorker& command) {
    const auto& holds = context.state.holds;
    const auto found = holds.find(command.instance);
    WorkerHold hold{command.instance, std::nullopt, false};
    if (found != holds.end()) hold = found->second;
    const WorkerHold before = hold;
    if (command.what == ChangeWorker::What::resume) {
        hold = {command.instance, std::nullopt, false};
    } else {
        if (!hold.pause && holds.size() >= limits::workers_held_max)
            return refuse(ErrorCode::invalid_field, "as many workers are held as may be");
        if (!hold.pause) hold.pause = Pause{command.by, command.reason, context.now.wall};
        hold.draining = hold.draining || command.what == ChangeWorker::What::drain;
    }
    Decision decision;
    if (hold != before) decision.records.emplace_back(WorkerHeld{hold});
    return decision;
}

}  // namespace taskd::engine
