// What runs the tasks of a worker: built-in work, a program for each, or an HTTP service. On the
// loop.
#pragma once

#include <expected>
#include <functional>
#include <optional>
#include <string>

#include "taskd/model/task.hpp"
#include "taskd/protocol/datagram.hpp"

namespace taskd::service {

// One attempt at one task.
struct TaskRun {
    protocol::LeaseKey lease;
    std::string type;
    std::string payload;        // one JSON value
    std::uint32_t attempt = 0;  // 0: not told
    std::optional<Duration> timeout;
    std::string dispatcher_url;  // where its log goes
};

struct RunFailure {
    TaskError error;
    std::optional<Duration> retry_after = {};  // not to be tried sooner
    bool not_begun = false;  // nothing of it ran, and other tasks would fare no better here
};
// One JSON value, or why not.
using RunEnd = std::expected<std::string, RunFailure>;

class TaskRunner {
  public:
    virtual ~TaskRunner() = default;  // breaks off what runs; no `done` runs any more
    // `done` runs once, at once or later, unless it is stopped before.
    virtual void run(TaskRun run, std::function<void(RunEnd)> done) = 0;
    // The attempt does not count any more: breaks it off. `gone` runs once nothing of it is left,
    // at once or later; its `done` does not.
    virtual void stop(const protocol::LeaseKey& lease, std::function<void()> gone) = 0;
    // How far it is, where the runner itself knows.
    virtual std::optional<Progress> progress(const protocol::LeaseKey&) const { return {}; }
};

}  // namespace taskd::service
