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
    Decision operator()(const WorkerUp& command) { return decide_worker_up(context_, command); }
    Decision operator()(const WorkerGone& command) { return decide_worker_gone(context_, command); }
    Decision operator()(const Tick&) { return decide_tick(context_); }
    Decision operator()(const Match&) { return decide_match(context_); }
    Decision operator()(const Resume&) { return decide_resume(context_); }
    Decision operator()(const Forget& command) { return decide_forget(context_, command); }
    Decision operator()(const Look&) { return decide_look(context_); }

  private:
    const Context& context_;
};

}  // namespace

Engine::Engine(EngineSettings settings) : state_{std::make_unique<State>(settings)} {}
Engine::~Engine() = default;

Decision Engine::decide(const Now& now, const Command& command, Random& random) const {
    const Context context{*state_, now, random};
    return std::visit(Decider{context}, command);
}

std::optional<EngineTime> Engine::next_deadline() const {
    if (state_->deadlines.empty()) return std::nullopt;
    return state_->headers[state_->deadlines.first()].deadline;
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

std::optional<TaskState> Engine::state_of(TaskId id) const {
    const Header* header = state_->find(id);
    if (header == nullptr) return std::nullopt;
    return header->state;
}

bool Engine::is_bodiless(TaskId id) const {
    const Header* header = state_->find(id);
    return header != nullptr && !header->body;
}

std::optional<TaskId> Engine::body_needed(const Record& record) const {
    const auto id = task_of(record);
    if (!id || std::holds_alternative<TaskSubmitted>(record) || !is_bodiless(*id))
        return std::nullopt;
    return id;
}

LeaseStanding Engine::standing(const LeaseRef& lease) const {
    const Task* task = find(lease.id);
    if (task == nullptr || !task->lease || task->lease->epoch != lease.epoch)
        return LeaseStanding::lost;
    return task->lease->revoked ? LeaseStanding::revoked : LeaseStanding::held;
}

std::optional<Waiting> Engine::why_waiting(const Task& task) const {
    if (task.state == TaskState::scheduled) {
        const std::string until = task.due_shown ? to_rfc3339(*task.due_shown) : "later";
        return Waiting{"backoff", "it is tried again at " + until};
    }
    if (task.state != TaskState::queued) return std::nullopt;
    const auto found = state_->queues.find(task.spec.type);
    if (found == state_->queues.end() || found->second.workers.empty())
        return Waiting{"no_worker", "no worker of type '" + task.spec.type + "' is registered"};
    if (found->second.free_workers.empty())
        return Waiting{"workers_full", "all workers of type '" + task.spec.type + "' are busy, " +
                                           std::to_string(found->second.queued) +
                                           " tasks are queued"};
    return Waiting{"leasing", "it is being handed to a worker"};
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

std::vector<QueueFigures> Engine::queues() const {
    std::vector<QueueFigures> all;
    for (const auto& [type, queue] : state_->queues) {
        QueueFigures figures{
            type, queue.queued, queue.running, queue.scheduled, queue.workers.size(), 0,
            0,    std::nullopt};
        for (const Worker* worker : queue.workers) {
            figures.slots += worker->capacity();
            figures.slots_used += worker->leases.size();
        }
        for (const Line& waiting : queue.waiting) {
            if (waiting.empty()) continue;
            const WallTime at = state_->headers[waiting.first].submitted_at;
            figures.oldest_queued_at = std::min(at, figures.oldest_queued_at.value_or(at));
        }
        all.push_back(std::move(figures));
    }
    return all;
}

std::size_t Engine::tasks_in_memory() const {
    return state_->headers.size();
}

std::size_t Engine::waiting_bytes() const {
    return state_->waiting_bytes;
}

void Engine::each_task(const std::function<void(const Task&)>& take) const {
    state_->headers.each([&](const Header& header) {
        if (header.body) take(*header.body->task);
    });
}

std::vector<std::shared_ptr<const Task>> Engine::take_changed() {
    std::vector<std::shared_ptr<const Task>> rows;
    rows.reserve(state_->changed.size());
    for (Body* body : state_->changed) {
        body->changed = false;
        rows.push_back(body->task);
    }
    state_->changed.clear();
    return rows;
}

const std::vector<std::uint64_t>& Engine::row_hits() const {
    return state_->row_hits;
}

}  // namespace taskd::engine
