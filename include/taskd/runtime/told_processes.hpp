// Child processes, each with a process id of its node, told on the bus when it starts and when it
// is gone: process.started (pid, program), process.stopped (pid, program, how). On the loop.
#pragma once

#include <string>

#include "taskd/bus/event.hpp"
#include "taskd/port/process_runner.hpp"
#include "taskd/runtime/process_ids.hpp"

namespace taskd::runtime {

class ToldProcesses final : public port::ProcessRunner {
  public:
    // All outlive it and its processes. `host` is what runs them, as their ids say.
    ToldProcesses(port::ProcessRunner& processes, ProcessIds& ids, bus::Publisher& bus,
                  std::string host)
        : processes_{processes}, ids_{ids}, bus_{bus}, host_{std::move(host)} {}

    Result<std::unique_ptr<port::Process>> spawn(const port::ProcessSpec& spec,
                                                 port::ProcessHandlers handlers) override;

  private:
    port::ProcessRunner& processes_;
    ProcessIds& ids_;
    bus::Publisher& bus_;
    std::string host_;
};

}  // namespace taskd::runtime
