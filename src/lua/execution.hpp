// One call of a program on the scheduler: runs it slice by slice, hands its commands to the
// dispatcher of commands, and goes on when they are answered.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "taskd/lua/machine.hpp"
#include "taskd/lua/scheduler.hpp"

namespace taskd::lua {

struct Outcome {
    Result<std::vector<Value>> values;
    std::string trace;                 // where it failed
    std::unique_ptr<Machine> machine;  // to be called again; none when it failed or was stopped
};

class Execution final : public Job, public std::enable_shared_from_this<Execution> {
  public:
    using Done = std::function<void(Outcome)>;

    // The machine's call is prepared. `number` stands in the calls of its commands.
    Execution(Scheduler& scheduler, const runtime::Commands& commands, std::uint64_t number,
              std::unique_ptr<Machine> machine);
    std::uint64_t number() const { return number_; }

    // Once. `done` runs once, on a thread of the scheduler. Until then somebody else holds the
    // execution: who answers its commands does not, so that what was stopped is not kept.
    void start(Done done);
    // Ends it at its next turn, or at once when it waits. Harmless after its end.
    void stop(Error why);
    // Begins the prepared call of that machine next, in place of going on: for an upgrade. Only
    // while the execution waits for a command, whose answer must not come any more.
    void replace(std::unique_ptr<Machine> machine);

    void run() override;
    std::size_t memory_bytes() const;  // as of its newest turn

  private:
    enum class State : std::uint8_t {
        queued,       // the scheduler has it
        running,      // on a thread
        dispatching,  // on a thread, in the handler of its command
        waiting,      // for an answer
        ended,
    };

    bool go_on_after(Turn& turn);
    void dispatch(Turn& turn);
    void answered(std::uint64_t question, Result<Value> answer);
    void keep(std::uint64_t question, std::function<void()> let_go);
    void finish(Outcome outcome);

    Scheduler& scheduler_;
    const runtime::Commands& commands_;
    const std::uint64_t number_;

    mutable std::mutex mutex_;  // guards what follows, but for what the running thread alone has
    State state_ = State::queued;
    std::optional<Error> stopped_;
    std::uint64_t question_ = 0;    // the newest command
    bool answered_ = false;         // within its handler
    std::function<void()> let_go_;  // of what waits to answer it
    std::size_t memory_ = 0;

    // Of the thread that runs it, or of whoever made it runnable before.
    bool begun_ = false;
    std::unique_ptr<Machine> machine_;
    Done done_;
};

}  // namespace taskd::lua
