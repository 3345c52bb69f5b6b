// Runs the built-in types of src/work: small payloads in the loop, large ones on a lane, sleeps by
// a timer.
#pragma once

#include <map>
#include <memory>

#include "taskd/port/background.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/service/task_runner.hpp"
#include "taskd/work/work.hpp"

namespace taskd::service {

class BuiltinRunner final : public TaskRunner {
  public:
    // Payloads up to `inline_bytes_max` are worked on in the loop: handing them to a thread costs
    // more.
    BuiltinRunner(const work::WorkType& type, port::Background& lane, port::Clock& clock,
                  port::Timers& timers, std::size_t inline_bytes_max = 16 * limits::kibibyte);
    ~BuiltinRunner() override;

    void run(TaskRun run, std::function<void(RunEnd)> done) override;
    void stop(const protocol::LeaseKey& lease, std::function<void()> gone) override;
    std::optional<Progress> progress(const protocol::LeaseKey& lease) const override;  // of a sleep

  private:
    using Outcome = std::expected<work::Outcome, TaskError>;
    struct Running {
        std::function<void(RunEnd)> done;
        std::unique_ptr<port::Timer> timer;
        SteadyTime asleep{};
        Duration sleeps{0};
    };
    void worked(const protocol::LeaseKey& lease, Outcome outcome);
    void finish(const protocol::LeaseKey& lease, RunEnd end);

    const work::WorkType& type_;
    port::Background& lane_;
    port::Clock& clock_;
    port::Timers& timers_;
    std::size_t inline_bytes_max_;
    std::map<protocol::LeaseKey, Running> running_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // lanes may answer after our end
};

}  // namespace taskd::service
