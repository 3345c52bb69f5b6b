#include "engine/state.hpp"

#include "taskd/base/assert.hpp"

namespace taskd::engine {
namespace {

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

std::size_t bytes_of(const Task& task) {
    std::size_t bytes = sizeof(Body) + sizeof(Task) + task.spec.type.capacity() +
                        task.spec.payload.size() + task.result.size() +
                        task.attempts.capacity() * sizeof(Attempt);
    if (task.error) bytes += task.error->message.capacity();
    return bytes;
}

}  // namespace

Slot Queue::next() const {
    for (std::size_t p = priorities; p-- > 0;)
        if (!waiting[p].empty()) return waiting[p].first;
    return 0;
}

State::State(EngineSettings settings_in)
    : settings{settings_in}, row_hits(state_table().size(), 0) {}

const Header* State::find(TaskId id) const {
    const Slot slot = headers.find(id);
    return slot == 0 ? nullptr : &headers[slot];
}

Header& State::at(TaskId id) {
    const Slot slot = headers.find(id);
    TASKD_ASSERT(slot != 0);
    return headers[slot];
}

Queue& State::queue_of(const std::string& type) {
    Queue& queue = queues[type];
    if (queue.type.empty()) {
        queue.type = type;
        queue.index = static_cast<std::uint32_t>(queue_by_index.size());
        queue_by_index.push_back(&queue);
    }
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

Header& State::add(const TaskHead& head) {
    TASKD_ASSERT(headers.find(head.id) == 0);
    Header& header = headers[headers.add(head.id)];
    header.queue = queue_of(head.type).index;
    header.state = head.state;
    header.priority = head.priority;
    header.submitted_at = head.submitted_at;
    header.deadline = head.deadline.value_or(Header::never);
    static_assert(limits::task_bytes_max / limits::kibibyte < UINT16_MAX);
    header.body_kib = static_cast<std::uint16_t>(1 + head.payload_bytes / limits::kibibyte);
    return header;
}

void State::attach(Header& header, std::shared_ptr<Task> task) {
    TASKD_ASSERT(!header.body);
    header.body = std::make_unique<Body>();
    header.body->task = std::move(task);
    header.body->slot = slot_of(header);
}

void State::move(Header& header, Task& task, TaskEvent event) {
    const auto row = find_row(task.state, event);
    TASKD_ASSERT(row.has_value());
    ++row_hits[*row];
    header.state = task.state = state_table()[*row].to;
}

void State::touch(Body& body, Sequence sequence) {
    body.task->changed_as = sequence;
    if (body.changed) return;
    body.changed = true;
    changed.push_back(&body);
}

void State::displace_header(Header& header, Slot slot) {
    Queue& queue = queue_at(header);
    deadlines.remove(slot);
    if (auto* count = count_of(queue, header.state)) --*count;
    if (header.state != TaskState::queued) return;
    queue.waiting[header.priority].remove(headers, slot);
    if (!header.body) --queue.queued_bodiless;
}

void State::place_header(Header& header, Slot slot) {
    Queue& queue = queue_at(header);
    if (header.deadline != Header::never) deadlines.put(slot);
    if (auto* count = count_of(queue, header.state)) ++*count;
    if (header.state == TaskState::queued) {
        queue.waiting[header.priority].push_back(headers, slot);
        if (!header.body) ++queue.queued_bodiless;
    }
    refresh(queue);
}

void State::keep(Body& body) {
    const bool over = is_terminal(body.task->state);
    body.bytes = bytes_of(*body.task);
    (over ? ended : waiting).push_back(body);
    (over ? ended_bytes : waiting_bytes) += body.bytes;
}

// Before its task changes: the list it is in follows from the state.
void State::release(Body& body) {
    if (body.ahead) {
        ahead_bytes -= body.bytes;
        body.ahead = false;
    } else if (waiting.contains(body)) {
        const bool over = is_terminal(body.task->state);
        (over ? ended : waiting).remove(body);
        (over ? ended_bytes : waiting_bytes) -= body.bytes;
    }
}

void State::displace(Header& header) {
    Body& body = *header.body;
    displace_header(header, body.slot);
    release(body);
    if (body.holder == nullptr) return;
    take_free(*body.holder);
    body.holder->leases.remove(body);
    give_free(*body.holder);
}

void State::place(Header& header) {
    Body& body = *header.body;
    const Task& task = *body.task;
    Worker* holder_before = std::exchange(body.holder, nullptr);
    header.state = task.state;
    header.deadline = deadline_of(task).value_or(Header::never);
    place_header(header, body.slot);
    if (task.lease) {
        body.holder = &worker_of(task.lease->worker);
        Worker& holder = *body.holder;
        take_free(holder);
        holder.leases.push_back(body);
        const bool fresh = &holder != holder_before;
        if (fresh && holder.credit != credit_unlimited && holder.credit > 0) --holder.credit;
        give_free(holder);
    } else if (task.state != TaskState::running) {
        keep(body);
    }
    if (holder_before != nullptr && holder_before != body.holder)
        drop_worker_if_idle(*holder_before);
}

void State::body_came(Header& header, std::shared_ptr<Task> task, bool ahead) {
    attach(header, std::move(task));
    Body& body = *header.body;
    TASKD_ASSERT(body.task->state == header.state);
    Queue& queue = queue_at(header);
    if (header.state == TaskState::queued) --queue.queued_bodiless;
    body.ahead = ahead;
    if (ahead)
        ahead_bytes += body.bytes = bytes_of(*body.task);
    else
        keep(body);
    refresh(queue);
}

void State::body_goes(Header& header) {
    TASKD_ASSERT(header.body && !header.body->changed && !is_terminal(header.state));
    release(*header.body);
    header.body.reset();
    Queue& queue = queue_at(header);
    if (header.state == TaskState::queued) ++queue.queued_bodiless;
    refresh(queue);
}

void State::refresh(Queue& queue) {
    const Slot next = queue.next();
    const bool ready = next != 0 && headers[next].body != nullptr;
    if (ready && !queue.free_workers.empty())
        matchable.insert(&queue);
    else
        matchable.erase(&queue);
    const bool look = queue.queued_bodiless > 0 && !queue.workers.empty() &&
                      (!ready || queue.leased_since_look >= limits::look_ahead_step);
    if (look)
        hungry.insert(&queue);
    else
        hungry.erase(&queue);
}

void State::take_free(Worker& worker) {
    for (Queue* queue : worker.queues)
        queue->free_workers.erase(&worker);
}

void State::give_free(Worker& worker) {
    for (Queue* queue : worker.queues) {
        if (worker.has_free_slot()) queue->free_workers.insert(&worker);
        refresh(*queue);
    }
}

void State::drop_worker_if_idle(Worker& worker) {
    if (!worker.up && worker.leases.empty()) workers.erase(worker.instance);
}

}  // namespace taskd::engine
