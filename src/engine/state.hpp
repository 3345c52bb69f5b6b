// What the engine remembers. Everything here follows from the records applied; the indexes (queues,
// slots, deadlines) are derived from the tasks in one place, `place` and `displace`.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <set>

#include "engine/headers.hpp"
#include "taskd/engine/engine.hpp"

namespace taskd::engine {

struct Queue;

// One running process that takes tasks. It stays known as long as it holds leases.
struct Worker {
    std::string instance;
    std::vector<Queue*> queues;  // of the types it takes, while it is up
    std::uint32_t slots = 0;
    std::uint32_t credit = credit_unlimited;  // leases it takes before it has asked again
    bool up = false;
    std::uint64_t order = 0;  // of arrival: breaks ties, so that runs repeat
    IntrusiveList<Body, &Body::in_worker> leases;

    // Tasks it may hold as things stand.
    std::size_t capacity() const {
        return credit == credit_unlimited ? slots
                                          : std::min<std::size_t>(slots, leases.size() + credit);
    }
    bool has_free_slot() const { return up && credit > 0 && leases.size() < slots; }
};

struct LeastLoaded {
    bool operator()(const Worker* a, const Worker* b) const {
        if (a->leases.size() != b->leases.size()) return a->leases.size() < b->leases.size();
        return a->order < b->order;
    }
};

inline constexpr std::size_t priorities = 10;

struct Queue {
    std::string type;
    std::uint32_t index = 0;
    std::array<Line, priorities> waiting;
    std::size_t queued = 0;
    std::size_t queued_bodiless = 0;  // of them, those whose body is away
    std::size_t running = 0;
    std::size_t scheduled = 0;
    std::size_t leased_since_look = 0;
    std::set<Worker*, LeastLoaded> free_workers;
    std::set<Worker*> workers;  // those that are up

    Slot next() const;  // highest priority, longest in the queue; 0 when there is none
};

struct State {
    EngineSettings settings;
    Headers headers;
    DeadlineHeap deadlines{headers};  // of leases and of scheduled tasks
    std::map<std::string, Queue, std::less<>> queues;
    std::vector<Queue*> queue_by_index;
    std::map<std::string, Worker, std::less<>> workers;
    std::uint64_t workers_seen = 0;
    std::set<Queue*> matchable;                   // work and a free slot for it
    std::set<Queue*> hungry;                      // workers, and bodies to be read soon
    IntrusiveList<Body, &Body::in_kept> waiting;  // bodies that may leave, oldest change first
    std::size_t waiting_bytes = 0;
    std::size_t ahead_bytes = 0;                // of bodies read ahead
    IntrusiveList<Body, &Body::in_kept> ended;  // without lease, in the order they ended
    std::size_t ended_bytes = 0;
    std::optional<TaskId> forgotten_max;  // greatest id that may be in the view alone
    std::vector<Body*> changed;
    Totals totals;
    std::vector<std::uint64_t> row_hits;

    explicit State(EngineSettings settings_in);

    const Header* find(TaskId id) const;
    Header& at(TaskId id);
    Slot slot_of(const Header& header) const { return headers.find(header.id); }
    const Queue& queue_at(const Header& header) const { return *queue_by_index[header.queue]; }
    Queue& queue_at(const Header& header) { return *queue_by_index[header.queue]; }
    Queue& queue_of(const std::string& type);
    Worker& worker_of(const std::string& instance);

    Header& add(const TaskHead& head);                        // in no index yet
    void attach(Header& header, std::shared_ptr<Task> task);  // gives it its body
    void move(Header& header, Task& task, TaskEvent event);   // by the state table, counted
    void touch(Body& body, Sequence sequence);

    // Takes a task with its body out of every index, and puts it back where it now belongs.
    void displace(Header& header);
    void place(Header& header);
    // The part of it that needs no body: counts, line and deadline.
    void displace_header(Header& header, Slot slot);
    void place_header(Header& header, Slot slot);

    // The body of a task that waits, coming and going.
    void body_came(Header& header, std::shared_ptr<Task> task, bool ahead);
    void body_goes(Header& header);

    void refresh(Queue& queue);
    void take_free(Worker& worker);  // before its load changes
    void give_free(Worker& worker);  // after
    void drop_worker_if_idle(Worker& worker);

  private:
    void keep(Body& body);
    void release(Body& body);
};

// Decisions, one function a command. They read the state and change nothing.
struct Context {
    const State& state;
    const Now& now;
    Random& random;
};
Decision decide_submit(const Context& context, const Submit& command);
Decision decide_cancel(const Context& context, const Cancel& command);
Decision decide_complete(const Context& context, const Complete& command);
Decision decide_fail(const Context& context, const Fail& command);
Decision decide_release(const Context& context, const Release& command);
Decision decide_confirm(const Context& context, const ConfirmRevoked& command);
Decision decide_renew(const Context& context, const Renew& command);
Decision decide_worker_up(const Context& context, const WorkerUp& command);
Decision decide_worker_gone(const Context& context, const WorkerGone& command);
Decision decide_tick(const Context& context);
Decision decide_match(const Context& context);
Decision decide_look(const Context& context);
Decision decide_resume(const Context& context);
Decision decide_forget(const Context& context, const Forget& command);

}  // namespace taskd::engine
