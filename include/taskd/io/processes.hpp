// Real child processes, watched by the loop: each in a process group of its own (a Ctrl-C at the
// terminal is ours to pass on), without our files, killed by the kernel when we end.
#pragma once

#include "taskd/io/loop.hpp"
#include "taskd/port/process_runner.hpp"

namespace taskd::io {

class ProcessRunner final : public port::ProcessRunner {
  public:
    explicit ProcessRunner(Loop& loop) : loop_{loop} {}

    // On the process's main thread only: the kernel kills a child when the thread that made it
    // ends. Returns when the program has been executed or could not be.
    Result<std::unique_ptr<port::Process>> spawn(const port::ProcessSpec& spec,
                                                 port::ProcessHandlers handlers) override;

  private:
    Loop& loop_;
};

}  // namespace taskd::io
