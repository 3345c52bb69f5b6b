#include "engine/state.hpp"

#include <algorithm>

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

void set_deadline(Header& header, std::optional<EngineTime> deadline, std::optional<WallTime> due) {
    header.by_wall = due.has_value();
    header.deadline = due ? as_deadline(*due) : deadline.value_or(Header::never);
}

// Of a lane's key, which stands in it and beside it.
std::size_t bytes_beside(const std::string& key) {
    constexpr std::size_t own_bytes = 15, overhead = 16;
    return key.size() > own_bytes ? 2 * (key.size() + overhead) : 0;
}

bool waits(TaskState state) {
    return state == TaskState::queued || state == TaskState::scheduled;
}

std::size_t bytes_of(const Task& task) {
    std::size_t bytes = sizeof(Body) + sizeof(Task) + task.spec.type.capacity() +
                        task.spec.payload.size() + task.result.size() +
                        task.attempts.capacity() * sizeof(Attempt);
    const auto of_error = [](const Boxed<TaskError>& error) {
        return error ? sizeof *error + error->code.capacity() + error->message.capacity() : 0;
    };
    bytes += of_error(task.error);
    for (const Attempt& attempt : task.attempts)
        bytes += of_error(attempt.error);
    if (task.spec.step) bytes += sizeof *task.spec.step;
    if (task.spec.planned_for) bytes += sizeof *task.spec.planned_for;
    for (const auto& [name, value] : task.spec.labels)
        bytes += sizeof(name) + sizeof(value) + 64 + name.capacity() + value.capacity();
    return bytes;
}

}  // namespace

Lane* Queue::next_lane() const {
    for (std::size_t p = priorities; p-- > 0;)
        if (!turns[p].empty()) return *turns[p].begin();
    return nullptr;
}

Slot Queue::next() const {
    for (std::size_t p = priorities; p-- > 0;)
        if (!turns[p].empty()) return (*turns[p].begin())->waiting[p].first;
    return 0;
}

bool Queue::is_open() const {
    return !rules.paused && !bucket.closed &&
           (rules.concurrency == 0 || leased < rules.concurrency);
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
    if (queue.type.empty()) queue.type = queue.rules.type = type;
    return queue;
}

void State::drop_queue_if_idle(Queue& queue) {
    if (queue.ruled || !queue.lanes.empty() || !queue.workers.empty()) return;
    TASKD_ASSERT(!queue.matchable && !queue.hungry && queue.free_workers.empty());
    queues.erase(queues.find(queue.type));
}

Lane& State::lane_of(Queue& queue, const std::string& key) {
    const auto [place, added] = queue.lanes.try_emplace(key);
    Lane& lane = place->second;
    if (!added) return lane;
    lane.queue = &queue;
    lane.key = key;
    lane_keys_bytes += bytes_beside(key);
    lane.order = ++lanes_made;
    if (lane_gaps.empty()) {
        lane.index = static_cast<std::uint32_t>(lanes.size());
        lanes.push_back(&lane);
    } else {
        lane.index = lane_gaps.back();
        lane_gaps.pop_back();
        lanes[lane.index] = &lane;
    }
    if (queue.rules.key_rate.limits())
        close_at_start(lane.bucket, queue.rules.key_rate, queue.type, key);
    return lane;
}

// What was used before the start is not known: as if all of it was, just then.
void State::close_at_start(Bucket& bucket, const Rate& rate, const std::string& type,
                           const std::optional<std::string>& key) {
    bucket.full_at = started_at + rate.interval() * rate.burst;
    bucket.closed = bucket.opens_at(rate) > rates_at;
    if (bucket.closed) wakes.emplace(bucket.opens_at(rate), type, key);
}

void State::drop_lane_if_idle(Lane& lane) {
    if (lane.tasks > 0 || lane.bucket.closed) return;
    Queue& queue = *lane.queue;
    if (queue.rules.key_rate.limits() && lane.bucket.full_at > rates_at) {
        wakes.emplace(lane.bucket.full_at, queue.type, lane.key);
        return;
    }
    lanes[lane.index] = nullptr;
    lane_gaps.push_back(lane.index);
    lane_keys_bytes -= bytes_beside(lane.key);
    queue.lanes.erase(queue.lanes.find(lane.key));
}

void State::take_turn(Lane& lane) {
    Queue& queue = *lane.queue;
    const auto weight = queue.rules.weights.find(lane.key);
    constexpr std::uint64_t stride = 1 << 20;
    for (std::size_t p = 0; p < priorities; ++p)
        if ((lane.in_turn >> p & 1) != 0) queue.turns[p].erase(&lane);
    lane.in_turn = 0;
    stand_in(matchable, queue, queue.matchable, false);
    stand_in(hungry, queue, queue.hungry, false);
    queue.served = ++serves;
    queue.turn = std::max(queue.turn, lane.turn);
    lane.turn = queue.turn + stride / (weight == queue.rules.weights.end() ? 1 : weight->second);
}

void State::use_rate(Bucket& bucket, const Rate& rate, const std::string& type,
                     const std::optional<std::string>& key, EngineTime at) {
    if (!rate.limits()) return;
    bucket.full_at = std::max(bucket.full_at, at) + rate.interval();
    bucket.closed = bucket.opens_at(rate) > at;
    if (bucket.closed) wakes.emplace(bucket.opens_at(rate), type, key);
}

// Puts the lane where it may be leased from, and out of where it may not.
void State::refresh(Lane& lane) {
    Queue& queue = *lane.queue;
    const QueueRules& rules = queue.rules;
    const bool open =
        !lane.bucket.closed && !rules.paused_keys.contains(lane.key) &&
        (rules.key_concurrency == 0 || lane.key.empty() || lane.leased < rules.key_concurrency);
    for (std::size_t p = 0; p < priorities; ++p) {
        const std::uint16_t bit = static_cast<std::uint16_t>(1 << p);
        const bool wanted = open && !lane.waiting[p].empty();
        if (wanted == ((lane.in_turn & bit) != 0)) continue;
        // Who had nothing to do saves nothing up.
        if (lane.in_turn == 0) lane.turn = std::max(lane.turn, queue.turn);
        if (wanted)
            queue.turns[p].insert(&lane);
        else
            queue.turns[p].erase(&lane);
        lane.in_turn = static_cast<std::uint16_t>(lane.in_turn ^ bit);
    }
}

namespace {

// "sum-1" of "sum-1-5f1c0d9a"; any other name as it is.
std::string_view lasting_name(std::string_view instance) {
    constexpr std::size_t digits = 8;
    const std::size_t dash = instance.size() - digits - 1;
    if (instance.size() <= digits + 1 || instance[dash] != '-' ||
        instance.find_first_not_of("0123456789abcdef", dash + 1) != std::string_view::npos)
        return instance;
    return instance.substr(0, dash);
}

}  // namespace

const WorkerHold* State::hold_of(std::string_view instance) const {
    auto found = holds.find(instance);
    if (found == holds.end()) found = holds.find(lasting_name(instance));
    return found == holds.end() ? nullptr : &found->second;
}

Worker& State::worker_of(const std::string& instance) {
    Worker& worker = workers[instance];
    if (worker.order == 0) {
        worker.instance = instance;
        worker.order = ++workers_seen;
        worker.held = hold_of(instance) != nullptr;
    }
    return worker;
}

Header& State::add(const TaskHead& head) {
    TASKD_ASSERT(headers.find(head.id) == 0);
    Header& header = headers[headers.add(head.id)];
    Lane& lane = lane_of(queue_of(head.type), head.key);
    ++lane.tasks;
    header.lane = lane.index;
    header.state = head.state;
    header.priority = head.priority;
    header.submitted_at = head.submitted_at;
    set_deadline(header, head.deadline, head.due);
    header.body_kib = body_kib(head.payload_bytes);
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
    body.changed_place = changed.size();
    changed.push_back(&body);
}

void State::use_key(const KeyUse& use, Sequence sequence) {
    if (use.key.empty()) return;
    keys[use.key] = {use.id, use.until, sequence};
    key_order.emplace_back(use.key, sequence);
}

void State::displace_header(Header& header, Slot slot) {
    Lane& lane = lane_at(header);
    Queue& queue = *lane.queue;
    (header.by_wall ? wall_deadlines : deadlines).remove(slot);
    if (auto* count = count_of(queue, header.state)) --*count;
    if (waits(header.state)) --lane.backlog;
    if (header.state != TaskState::queued) return;
    lane.waiting[header.priority].remove(headers, slot);
    refresh(lane);
    if (!header.body) --queue.queued_bodiless;
}

void State::place_header(Header& header, Slot slot) {
    Lane& lane = lane_at(header);
    Queue& queue = *lane.queue;
    if (header.deadline != Header::never) (header.by_wall ? wall_deadlines : deadlines).put(slot);
    if (auto* count = count_of(queue, header.state)) ++*count;
    if (header.state == TaskState::queued) {
        lane.waiting[header.priority].push_back(headers, slot);
        refresh(lane);
        if (!header.body) ++queue.queued_bodiless;
    }
    if (waits(header.state)) ++lane.backlog;
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
    Lane& lane = lane_at(header);
    --lane.leased;
    --lane.queue->leased;
    refresh(lane);
    refresh(*lane.queue);
    take_free(*body.holder);
    body.holder->leases.remove(body);
    give_free(*body.holder);
}

void State::place(Header& header) {
    Body& body = *header.body;
    const Task& task = *body.task;
    Worker* holder_before = std::exchange(body.holder, nullptr);
    if (!task.lease || task.lease->revoked) body.progress.reset();
    header.state = task.state;
    header.priority = task.priority;
    if (task.lease) {
        Lane& lane = lane_at(header);
        ++lane.leased;
        ++lane.queue->leased;
        refresh(lane);
    }
    const bool by_wall = task.state == TaskState::scheduled && task.due_by_wall;
    set_deadline(header, deadline_of(task), by_wall ? task.due_shown : std::nullopt);
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

void State::remove(Header& header) {
    Body& body = *header.body;
    displace(header);
    if (body.changed) changed[body.changed_place] = nullptr;
    Lane& lane = lane_at(header);
    headers.remove(body.slot);
    --lane.tasks;
    Queue& queue = *lane.queue;
    drop_lane_if_idle(lane);
    drop_queue_if_idle(queue);
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
    const bool open = next != 0 && queue.is_open();
    const bool ready = open && headers[next].body != nullptr;
    stand_in(matchable, queue, queue.matchable, ready && !queue.free_workers.empty());
    const bool look = open && queue.queued_bodiless > 0 && !queue.workers.empty() &&
                      (!ready || queue.leased_since_look >= limits::look_ahead_step);
    stand_in(hungry, queue, queue.hungry, look);
}

// Asked for each change of a task: mostly nothing changes.
void State::stand_in(std::set<Queue*, ByServed>& set, Queue& queue, bool& stands, bool wanted) {
    if (stands == wanted) return;
    stands = wanted;
    if (wanted)
        set.insert(&queue);
    else
        set.erase(&queue);
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
