// Port: child processes. A child never outlives this process, even when it is killed with -9.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "taskd/base/result.hpp"

namespace taskd::port {

// What the kernel holds a process to; 0: as it is for us.
struct ProcessLimits {
    std::uint64_t cpu_seconds = 0;
    std::uint64_t memory_bytes = 0;  // address space
    std::uint64_t files = 0;         // open at a time
    std::uint64_t processes = 0;     // of its user, wherever they were started
    std::uint64_t file_bytes = 0;    // of one file it writes
};

struct ProcessSpec {
    std::vector<std::string> argv;  // the first is the program's path; no search
    std::vector<std::pair<std::string, std::string>> env;  // on top of our own
    bool only_env = false;                                 // `env` is all there is
    std::string input;  // its standard input; without, there is nothing to read
    std::string dir;    // where it runs; empty: where we do
    ProcessLimits limits;
    // Whatever it starts ends when it does, and all of it when we do, even by kill -9: also what
    // left its process group.
    bool guarded = false;
    // It may write on side_descriptor too, which is ProcessStream::side.
    bool has_side = false;
};

enum class ProcessStream { out, err, side };
inline constexpr int side_descriptor = 3;

struct ProcessEnd {
    int status = 0;  // as exited, when signal is 0
    int signal = 0;  // that killed it

    friend bool operator==(const ProcessEnd&, const ProcessEnd&) = default;
};

// Called on the loop, never within spawn(); none after the Process is destroyed.
struct ProcessHandlers {
    // One line without its end. Longer ones than limits::process_line_bytes_max come in pieces.
    std::function<void(ProcessStream, std::string_view line)> line;
    // Once, after the last line.
    std::function<void(ProcessEnd)> ended;
    // In place of lines: the bytes as they come.
    std::function<void(ProcessStream, std::string_view bytes)> bytes = {};
};

class Process {
  public:
    virtual ~Process() = default;  // kills it if it still runs
    virtual int pid() const = 0;
    virtual void signal(int number) = 0;
    virtual void terminate() = 0;  // asks (SIGTERM); a guarded one with its whole group
    virtual void kill() = 0;       // does not ask (SIGKILL), and takes its own children along
};

class ProcessRunner {
  public:
    virtual ~ProcessRunner() = default;
    // file_missing when there is no such program; internal when the system refuses.
    virtual Result<std::unique_ptr<Process>> spawn(const ProcessSpec& spec,
                                                   ProcessHandlers handlers) = 0;
};

}  // namespace taskd::port
