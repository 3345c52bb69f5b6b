#include "engine/state.hpp"

#include <algorithm>

#include "taskd/base/assert.hpp"

namespace taskd::engine {

Entry* Queue::next() const {
    for (std::size_t p = priorities; p-- > 0;)
        if (!waiting[p].empty()) return waiting[p].front();
    return nullptr;
}

State::State(EngineSettings settings_in)
    : settings{settings_in}, row_hits(state_table().size(), 0) {}

Entry* State::find(TaskId id) const {
    const auto found = tasks.find(id);
    return found == tasks.end() ? nullptr : found->second.get();
}

Entry& State::at(TaskId id) const {
    Entry* entry = find(id);
    TASKD_ASSERT(entry != nullptr);
    return *entry;
}

Queue& State::queue_of(const std::string& type) {
    Queue& queue = queues[type];
    if (queue.type.empty()) queue.type = type;
    return queue;
}

Worker& State::worker_of(const std::string& instance) {
    Worker& worker = workers[instance];
    if (worker.order == 0) {
        worker.instance = instance;
        worker.order = ++workers_seen;
    }
    return worker;
}

void State::move(Entry& entry, TaskEvent event) {
    const auto row = find_row(entry.task.state, event);
    TASKD_ASSERT(row.has_value());
    ++row_hits[*row];
    entry.task.state = state_table()[*row].to;
}

void State::touch(Entry& entry, Sequence sequence) {
    entry.task.changed_as = sequence;
    if (entry.changed) return;
    entry.changed = true;
    changed.push_back(entry.task.spec.id);
}

namespace {

std::optional<EngineTime> deadline_of(const Task& task) {
    if (task.lease) return task.lease->until;
    if (task.state == TaskState::scheduled) return task.due_at;
    return std::nullopt;
}

std::size_t* count_of(Queue& queue, TaskState state) {
    switch (state) {
        case TaskState::queued:
            return &queue.queued;
        case TaskState::running:
            return &queue.running;
        case TaskState::scheduled:
            return &queue.scheduled;
        default:
            return nullptr;
    }
}

}  // namespace

void State::displace(Entry& entry) {
    const Task& task = entry.task;
    if (const auto deadline = deadline_of(task)) deadlines.erase({*deadline, task.spec.id});
    if (auto* count = count_of(*entry.queue, task.state)) --*count;
    if (task.state == TaskState::queued) entry.queue->waiting[task.spec.priority].remove(entry);
    if (entry.holder != nullptr) {
        take_free(*entry.holder);
        entry.holder->leases.remove(entry);
        give_free(*entry.holder);
    }
    if (ended.contains(entry)) {
        ended.remove(entry);
        ended_bytes -= task.spec.payload.size() + task.result.size();
    }
}

void State::place(Entry& entry) {
    const Task& task = entry.task;
    Worker* holder_before = entry.holder;
    entry.holder = nullptr;
    if (const auto deadline = deadline_of(task)) deadlines.insert({*deadline, task.spec.id});
    if (auto* count = count_of(*entry.queue, task.state)) ++*count;
    if (task.state == TaskState::queued) entry.queue->waiting[task.spec.priority].push_back(entry);
    if (task.lease) {
        entry.holder = &worker_of(task.lease->worker);
        take_free(*entry.holder);
        entry.holder->leases.push_back(entry);
        give_free(*entry.holder);
    }
    if (is_terminal(task.state) && !task.lease) {
        ended.push_back(entry);
        ended_bytes += task.spec.payload.size() + task.result.size();
    }
    refresh(*entry.queue);
    if (holder_before != nullptr && holder_before != entry.holder)
        drop_worker_if_idle(*holder_before);
}

void State::refresh(Queue& queue) {
    if (queue.queued > 0 && !queue.free_workers.empty())
        matchable.insert(&queue);
    else
        matchable.erase(&queue);
}

void State::take_free(Worker& worker) {
    if (worker.queue != nullptr) worker.queue->free_workers.erase(&worker);
}

void State::give_free(Worker& worker) {
    if (worker.queue == nullptr) return;
    if (worker.has_free_slot()) worker.queue->free_workers.insert(&worker);
    refresh(*worker.queue);
}

void State::drop_worker_if_idle(Worker& worker) {
    if (!worker.up && worker.leases.empty()) workers.erase(worker.instance);
}

}  // namespace taskd::engine
