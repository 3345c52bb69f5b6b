// The engine's door: commands to their rules, and what can be read of the state.
#include "taskd/engine/engine.hpp"

#include <algorithm>

#include "engine/state.hpp"

namespace taskd::engine {
namespace {

class Decider {
  public:
    explicit Decider(const Context& context) : context_{context} {}

    Decision operator()(const Submit& command) { return decide_submit(context_, command); }
    Decision operator()(const Cancel& command) { return decide_cancel(context_, command); }
    Decision operator()(const Complete& command) { return decide_complete(context_, command); }
    Decision operator()(const Fail& command) { return decide_fail(context_, command); }
    Decision operator()(const Release& command) { return decide_release(context_, command); }
    Decision operator()(const ConfirmRevoked& command) { return decide_confirm(context_, command); }
    Decision operator()(const Renew& command) { return decide_renew(context_, command); }
    Decision operator()(const Report& command) { return decide_report(context_, command); }
    Decision operator()(const WorkerUp& command) { return decide_worker_up(context_, command); }
    Decision operator()(const WorkerGone& command) { return decide_worker_gone(context_, command); }
    Decision operator()(const Tick&) { return decide_tick(context_); }
    Decision operator()(const Match&) { return decide_match(context_); }
    Decision operator()(const Resume&) { return decide_resume(context_); }
    Decision operator()(const Forget& command) { return decide_forget(context_, command); }
    Decision operator()(const SetPriority& command) { return decide_priority(context_, command); }
    Decision operator()(const ChangeQueue& command) { return decide_queue(context_, command); }
    Decision operator()(const SetSchedule& command) {
        return decide_set_schedule(context_, command);
    }
    Decision operator()(const RemoveSchedule& command) {
        return decide_remove_schedule(context_, command);
    }
    Decision operator()(const PauseSchedule& command) {
        return decide_pause_schedule(context_, command);
    }
    Decision operator()(const FireSchedule& command) { return decide_fire(context_, command); }
    Decision operator()(const Look&) { return decide_look(context_); }
    Decision operator()(const Redrive& command) { return decide_redrive(context_, command); }
    Decision operator()(const EditPayload& command) { return decide_edit(context_, command); }
    Decision operator()(const ChangeWorker& command) { return decide_worker(context_, command); }
    Decision operator()(const MakeGroup& command) { return decide_make_group(context_, command); }
    Decision operator()(const CloseGroup& command) { return decide_close_group(context_, command); }
    Decision operator()(const StartOperation& command) {
        return decide_start_operation(context_, command);
    }
    Decision operator()(const StopOperation& command) {
        return decide_stop_operation(context_, command);
    }
    Decision operator()(const StepOperation& command) {
        return decide_step_operation(context_, command);
    }
    Decision operator()(const DropTasks& command) { return decide_drop(context_, command); }
    Decision operator()(const Publish& command) { return decide_publish(context_, command); }
    Decision operator()(const SetTopic& command) { return decide_set_topic(context_, command); }
    Decision operator()(const RemoveTopic& command) {
        return decide_remove_topic(context_, command);
    }
    Decision operator()(const TrimTopic& command) { return decide_trim(context_, command); }
    Decision operator()(const SetSubscription& command) {
        return decide_set_subscription(context_, command);
    }
    Decision operator()(const RemoveSubscription& command) {
        return decide_remove_subscription(context_, command);
    }
    Decision operator()(const AskDeliveries& command) { return decide_ask(context_, command); }
    Decision operator()(const EndDeliveries& command) { return decide_end(context_, command); }
    Decision operator()(const RenewDeliveries& command) {
        return decide_renew_deliveries(context_, command);
    }
    Decision operator()(const ChangeDeadLetters& command) {
        return decide_dead_letters(context_, command);
    }
    Decision operator()(const StartWorkflow& command) {
        return decide_start_workflow(context_, command);
    }
    Decision operator()(const CancelWorkflow& command) {
        return decide_cancel_workflow(context_, command);
    }
    Decision operator()(const RetryWorkflow& command) {
        return decide_retry_workflow(context_, command);
    }
    Decision operator()(const DeleteWorkflow& command) {
        return decide_delete_workflow(context_, command);
    }
    Decision operator()(const SendSignal& command) { return decide_signal(context_, command); }
    Decision operator()(const AnswerStep& command) { return decide_answer(context_, command); }
    Decision operator()(const Advance& command) { return decide_advance(context_, command); }

  private:
    const Context& context_;
};

}  // namespace

Submit* asked_of(Command& command) {
    if (auto* submit = std::get_if<Submit>(&command)) return submit;
    if (auto* fire = std::get_if<FireSchedule>(&command)) return &fire->asked;
    if (auto* make = std::get_if<MakeGroup>(&command)) return &make->submit;
    return nullptr;
}

Engine::Engine(EngineSettings settings) : state_{std::make_unique<State>(settings)} {}
Engine::~Engine() = default;

Decision Engine::decide(const Now& now, const Command& command, Random& random) const {
    const Context context{*state_, now, random};
    Decision decision = std::visit(Decider{context}, command);
    finish_groups(context, decision);
    return decision;
}

std::optional<EngineTime> Engine::next_deadline(const Now& now) const {
    std::optional<EngineTime> next;
    if (!state_->deadlines.empty()) next = state_->headers[state_->deadlines.first()].deadline;
    if (!state_->workflows.deadlines.empty()) {
        const EngineTime due = std::get<0>(*state_->workflows.deadlines.begin());
        next = next ? std::min(*next, due) : due;
    }
    if (!state_->wakes.empty()) {
        const EngineTime wake = std::get<0>(*state_->wakes.begin());
        next = next ? std::min(*next, wake) : wake;
    }
    if (const auto due = state_->topics.next_deadline(); due)
        next = next ? std::min(*next, *due) : due;
    if (state_->wall_deadlines.empty()) return next;
    const Header& first = state_->headers[state_->wall_deadlines.first()];
    const EngineTime at = now.engine + (first.deadline - as_deadline(now.wall));
    return next ? std::min(*next, at) : at;
}

bool Engine::waits_for_wall_time() const {
    return !state_->wall_deadlines.empty();
}

bool Engine::can_match() const {
    return !state_->matchable.empty();
}

bool Engine::can_look() const {
    return !state_->hungry.empty();
}

const Task* Engine::find(TaskId id) const {
    const Header* header = state_->find(id);
    return header == nullptr || !header->body ? nullptr : header->body->task.get();
}

std::shared_ptr<const Task> Engine::hold(TaskId id) const {
    const Header* header = state_->find(id);
    return header == nullptr || !header->body ? nullptr : header->body->task;
}

std::optional<TaskState> Engine::state_of(TaskId id) const {
    const Header* header = state_->find(id);
    if (header == nullptr) return std::nullopt;
    return header->state;
}

bool Engine::is_bodiless(TaskId id) const {
    const Header* header = state_->find(id);
    return header != nullptr && !header->body;
}

bool Engine::is_deleted(TaskId id) const {
    return state_->deleted.contains(id);
}

std::optional<TaskId> Engine::body_needed(const Record& record) const {
    const auto id = task_of(record);
    if (!id || std::holds_alternative<TaskSubmitted>(record)) return std::nullopt;
    const bool comes_back = std::holds_alternative<TaskRedriven>(record) ||
                            std::holds_alternative<PayloadEdited>(record);
    if (comes_back && state_->find(*id) == nullptr) return id;
    return is_bodiless(*id) ? id : std::nullopt;
}

const Progress* Engine::progress_of(TaskId id) const {
    const Header* header = state_->find(id);
    return header == nullptr || !header->body ? nullptr : header->body->progress.get();
}

LeaseStanding Engine::standing(const LeaseRef& lease) const {
    const Task* task = find(lease.id);
    if (task == nullptr || !task->lease || task->lease->epoch != lease.epoch)
        return LeaseStanding::lost;
    return task->lease->revoked ? LeaseStanding::revoked : LeaseStanding::held;
}

std::vector<LeaseRef> Engine::leases_of(const std::string& worker) const {
    std::vector<LeaseRef> leases;
    const auto found = state_->workers.find(worker);
    if (found == state_->workers.end()) return leases;
    const auto& list = found->second.leases;
    for (const Body* body = list.front(); body != nullptr; body = list.next(*body))
        if (!body->task->lease->revoked)
            leases.push_back({body->task->spec.id, body->task->lease->epoch});
    return leases;
}

std::size_t Engine::held_by(const std::string& worker) const {
    const auto found = state_->workers.find(worker);
    return found == state_->workers.end() ? 0 : found->second.leases.size();
}

const Totals& Engine::totals() const {
    return state_->totals;
}

QueueFigures Engine::figures_of(const std::string& type) const {
    QueueFigures figures;
    figures.type = type;
    const auto found = state_->queues.find(type);
    if (found == state_->queues.end()) return figures;
    const Queue& queue = found->second;
    figures.queued = queue.queued;
    figures.running = queue.running;
    figures.scheduled = queue.scheduled;
    figures.leased = queue.leased;
    figures.keys = queue.lanes.size();
    figures.workers = queue.workers.size();
    for (const Worker* worker : queue.workers) {
        figures.slots += worker->capacity();
        figures.slots_used += worker->leases.size();
    }
    // Of many keys the first stand for all: a figure must not take long.
    std::size_t looked_at = 0;
    for (const auto& [key, lane] : queue.lanes) {
        if (++looked_at > limits::turn_tasks_max) break;
        for (const Line& waiting : lane.waiting) {
            if (waiting.empty()) continue;
            const WallTime at = state_->headers[waiting.first].submitted_at;
            figures.oldest_queued_at = std::min(at, figures.oldest_queued_at.value_or(at));
        }
    }
    return figures;
}

std::vector<std::string> Engine::queue_types() const {
    std::vector<std::string> types;
    for (const auto& [type, queue] : state_->queues)
        types.push_back(type);
    return types;
}

std::vector<QueueFigures> Engine::queues() const {
    std::vector<QueueFigures> all;
    for (const auto& [type, queue] : state_->queues)
        all.push_back(figures_of(type));
    return all;
}

std::size_t Engine::tasks_in_memory() const {
    return state_->headers.size();
}

std::size_t Engine::backlog_bytes() const {
    return state_->headers.size() * limits::head_bytes +
           (state_->lanes.size() - state_->lane_gaps.size()) * limits::lane_bytes +
           state_->lane_keys_bytes + state_->queues.size() * limits::queue_bytes;
}

std::size_t Engine::waiting_bytes() const {
    return state_->waiting_bytes;
}

void Engine::each_task(const std::function<void(const Task&)>& take) const {
    state_->headers.each([&](const Header& header) {
        if (header.body) take(*header.body->task);
    });
}

std::size_t Engine::ended_bytes() const {
    return state_->ended_bytes;
}

std::size_t Engine::changed_tasks() const {
    return state_->changed.size();
}

std::uint64_t Engine::copied_bytes() const {
    return state_->copied_bytes;
}

std::vector<std::shared_ptr<const Task>> Engine::take_changed() {
    std::vector<std::shared_ptr<const Task>> rows;
    rows.reserve(state_->changed.size());
    for (Body* body : state_->changed) {
        if (body == nullptr) continue;
        body->changed = false;
        rows.push_back(body->task);
    }
    state_->changed.clear();
    return rows;
}

std::vector<QueueRules> Engine::take_changed_queues() {
    std::vector<QueueRules> rules;
    for (const std::string& type : std::exchange(state_->changed_queues, {}))
        rules.push_back(state_->queues.find(type)->second.rules);
    return rules;
}

std::vector<Operation> Engine::take_changed_operations() {
    std::vector<Operation> operations;
    for (const OperationId& id : std::exchange(state_->changed_operations, {}))
        operations.push_back(state_->operations.at(id));
    return operations;
}

std::vector<Group> Engine::take_changed_groups() {
    std::vector<Group> groups;
    for (const GroupId& id : std::exchange(state_->changed_groups, {}))
        groups.push_back(state_->groups.at(id));
    return groups;
}

std::vector<WorkerHold> Engine::take_changed_holds() {
    std::vector<WorkerHold> holds;
    for (auto& [instance, hold] : std::exchange(state_->changed_holds, {}))
        holds.push_back(std::move(hold));
    return holds;
}

const std::map<std::string, WorkerHold, std::less<>>& Engine::holds() const {
    return state_->holds;
}

const WorkerHold* Engine::hold_of(std::string_view instance) const {
    return state_->hold_of(instance);
}

const std::map<GroupId, Group>& Engine::groups() const {
    return state_->groups;
}

Engine::Gone Engine::take_gone() {
    return std::exchange(state_->gone, {});
}

const std::map<OperationId, Operation>& Engine::operations() const {
    return state_->operations;
}

QueueRules Engine::rules_of(const std::string& type) const {
    const auto found = state_->queues.find(type);
    if (found != state_->queues.end()) return found->second.rules;
    QueueRules rules;
    rules.type = type;
    return rules;
}

Blob Engine::schema_of(const std::string& type) const {
    const auto found = state_->queues.find(type);
    return found == state_->queues.end() ? Blob{} : found->second.rules.schema;
}

std::vector<std::string> Engine::faults() const {
    struct Counts {
        std::size_t queued = 0, running = 0, scheduled = 0, leased = 0;
        bool operator==(const Counts&) const = default;
    };
    std::vector<Counts> counted(state_->lanes.size());  // by lane: millions of tasks, few lanes
    state_->headers.each([&](const Header& header) {
        Counts& counts = counted[header.lane];
        counts.queued += header.state == TaskState::queued ? 1 : 0;
        counts.running += header.state == TaskState::running ? 1 : 0;
        counts.scheduled += header.state == TaskState::scheduled ? 1 : 0;
        if (header.body && header.body->task->lease) ++counts.leased;
    });
    std::vector<std::string> found = state_->topics.faults();
    for (const auto& [type, queue] : state_->queues) {
        Counts sum;
        for (const auto& [key, lane] : queue.lanes) {
            const Counts& counts = counted[lane.index];
            sum.queued += counts.queued;
            sum.running += counts.running;
            sum.scheduled += counts.scheduled;
            sum.leased += counts.leased;
            if (counts.leased != lane.leased)
                found.push_back("leases of key '" + key + "' of queue " + type);
        }
        if (sum != Counts{queue.queued, queue.running, queue.scheduled, queue.leased})
            found.push_back("counts of queue " + type);
    }
    return found;
}

namespace {

// By the rules, not by the indexes that stand for them.
bool may_lease(const Lane& lane) {
    const QueueRules& rules = lane.queue->rules;
    const bool limited =
        rules.key_concurrency > 0 && !lane.key.empty() && lane.leased >= rules.key_concurrency;
    const bool waits =
        std::ranges::any_of(lane.waiting, [](const Line& line) { return !line.empty(); });
    return waits && !limited && !lane.bucket.closed && !rules.paused_keys.contains(lane.key);
}

}  // namespace

std::vector<std::string> Engine::idle_with_work() const {
    std::vector<std::string> found;
    for (const auto& [type, queue] : state_->queues) {
        const bool worker = std::ranges::any_of(
            queue.workers, [](const Worker* each) { return each->has_free_slot(); });
        if (!worker || queue.queued == 0 || !queue.is_open()) continue;
        std::size_t left = limits::turn_tasks_max;
        for (const auto& [key, lane] : queue.lanes) {
            if (left-- == 0) break;
            if (!may_lease(lane)) continue;
            found.push_back(type);
            break;
        }
    }
    return found;
}

const std::vector<std::uint64_t>& Engine::row_hits() const {
    return state_->row_hits;
}

}  // namespace taskd::engine
