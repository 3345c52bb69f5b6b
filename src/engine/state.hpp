// What the engine remembers. Everything here follows from the records applied; the indexes (queues,
// slots, deadlines) are derived from the tasks in one place, `place` and `displace`.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>

#include "taskd/base/intrusive_list.hpp"
#include "taskd/engine/engine.hpp"

namespace taskd::engine {

struct Queue;
struct Worker;

struct Entry {
    Task task;
    Queue* queue = nullptr;
    Worker* holder = nullptr;  // of its lease, revoked or not
    bool changed = false;      // since the last take_changed
    ListHook<Entry> in_queue;
    ListHook<Entry> in_worker;
    ListHook<Entry> in_ended;
};

// One running process that takes tasks. It stays known as long as it holds leases.
struct Worker {
    std::string instance;
    Queue* queue = nullptr;
    std::uint32_t slots = 0;
    bool up = false;
    std::uint64_t order = 0;  // of arrival: breaks ties, so that runs repeat
    IntrusiveList<Entry, &Entry::in_worker> leases;

    bool has_free_slot() const { return up && leases.size() < slots; }
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
    std::array<IntrusiveList<Entry, &Entry::in_queue>, priorities> waiting;
    std::size_t queued = 0;
    std::size_t running = 0;
    std::size_t scheduled = 0;
    std::set<Worker*, LeastLoaded> free_workers;
    std::set<Worker*> workers;  // those that are up

    Entry* next() const;  // highest priority, longest in the queue
};

struct State {
    EngineSettings settings;
    std::unordered_map<TaskId, std::unique_ptr<Entry>> tasks;
    std::map<std::string, Queue, std::less<>> queues;
    std::map<std::string, Worker, std::less<>> workers;
    std::uint64_t workers_seen = 0;
    std::set<Queue*> matchable;                         // work and a free slot for it
    std::set<std::pair<EngineTime, TaskId>> deadlines;  // of leases and of scheduled tasks
    IntrusiveList<Entry, &Entry::in_ended> ended;       // without lease, in the order they ended
    std::size_t ended_bytes = 0;
    std::optional<TaskId> forgotten_max;  // greatest id that may be in the view alone
    std::vector<TaskId> changed;
    Totals totals;
    std::vector<std::uint64_t> row_hits;

    explicit State(EngineSettings settings_in);

    Entry* find(TaskId id) const;
    Entry& at(TaskId id) const;
    Queue& queue_of(const std::string& type);
    Worker& worker_of(const std::string& instance);

    void move(Entry& entry, TaskEvent event);  // by the state table, counted
    void touch(Entry& entry, Sequence sequence);

    // Takes the entry out of every index, and puts it back where its task now belongs.
    void displace(Entry& entry);
    void place(Entry& entry);

    void refresh(Queue& queue);
    void take_free(Worker& worker);  // before its load changes
    void give_free(Worker& worker);  // after
    void drop_worker_if_idle(Worker& worker);
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
Decision decide_resume(const Context& context);
Decision decide_forget(const Context& context, const Forget& command);

}  // namespace taskd::engine
