// The engine: the state of all tasks and the rules for it. `decide` reads memory only and changes
// nothing; `apply` is the only thing that changes state; recovery is `restore` and `apply` alone.
// Pure: no clock, no chance of its own, no I/O. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "taskd/base/random.hpp"
#include "taskd/engine/command.hpp"

namespace taskd::engine {

struct EngineSettings {
    Duration lease_duration = limits::lease_duration_default;
    std::size_t ended_in_memory_max = limits::ended_in_memory_max;
    std::size_t ended_bytes_max = 64 * limits::mebibyte;
};

// Why a task waits: a rule by name and a sentence about it.
struct Waiting {
    std::string rule;  // no_worker, workers_full, leasing, backoff
    std::string text;
};

struct QueueFigures {
    std::string type;
    std::size_t queued = 0;
    std::size_t running = 0;
    std::size_t scheduled = 0;
    std::size_t workers = 0;
    std::size_t slots = 0;
    std::size_t slots_used = 0;
    std::optional<WallTime> oldest_queued_at;  // when the longest waiting one was submitted
};

// What a lease a worker speaks of is worth.
enum class LeaseStanding { held, revoked, lost };

struct State;  // in src/engine/state.hpp

class Engine {
  public:
    explicit Engine(EngineSettings settings);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    Decision decide(const Now& now, const Command& command, Random& random) const;
    void apply(Sequence sequence, const Record& record);
    void apply(const Note& note);

    // Recovery from the view: rows in queued_as order, then the sums and the newest ended id there.
    void restore(const Task& task);
    void restore(const Totals& totals, std::optional<TaskId> newest_ended);

    // When the next Tick has something to do.
    std::optional<EngineTime> next_deadline() const;
    // Whether a Match would lease something.
    bool can_match() const;

    // The task while it is in memory; until the next apply.
    const Task* find(TaskId id) const;
    LeaseStanding standing(const LeaseRef& lease) const;
    std::optional<Waiting> why_waiting(const Task& task) const;
    std::vector<LeaseRef> leases_of(const std::string& worker) const;  // not revoked ones
    std::size_t held_by(const std::string& worker) const;

    const Totals& totals() const;
    std::vector<QueueFigures> queues() const;
    std::size_t tasks_in_memory() const;
    void each_task(const std::function<void(const Task&)>& take) const;  // in no order

    // Copies of the tasks changed since the last call, each once.
    std::vector<Task> take_changed();

    // How often each row of state_table() was used, in its order.
    const std::vector<std::uint64_t>& row_hits() const;

  private:
    std::unique_ptr<State> state_;
};

}  // namespace taskd::engine
