// The processes of this node: programs that live, have an inbox, begin others, watch and link to
// each other, and are looked after. Thread-safe.
//
// What comes to a program unasked has a topic that begins with '@': "@exit" of one it monitors,
// "@link_down" of one it is linked to (when it traps those; else it ends too), "@cancel" when it is
// asked to end, "@outdated" when its program has a newer version.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "taskd/base/limits.hpp"
#include "taskd/lua/machine.hpp"
#include "taskd/lua/scheduler.hpp"
#include "taskd/port/log.hpp"
#include "taskd/runtime/relay.hpp"
#include "taskd/runtime/topology.hpp"

namespace taskd::lua {

struct ProgramSpec {
    ProgramPtr program;
    std::string method;
    MachineLimits limits = {};
};

struct HostSettings {
    std::string name = "lua";  // in process ids
    std::size_t processes_max = limits::processes_max;
    std::size_t inbox_max = limits::process_inbox_max;
    std::size_t inbox_bytes_max = limits::process_inbox_bytes_max;
    std::size_t signals_max = limits::process_signals_max;
};

// All outlive the host, whose processes the scheduler runs.
struct HostPorts {
    Scheduler& scheduler;
    Alarms& alarms;
    const runtime::Commands& commands;
    runtime::Relay& relay;
    runtime::Topology& topology;
    runtime::ProcessIds& ids;
    const port::Clock& clock;
    port::Log& log;
    MemoryPool* memory = nullptr;  // of all programs; none: without a bound
};

struct ProcessEnded {
    std::string program;
    Result<Value> result;  // the first value that it returned
};

struct SpawnRequest {
    std::string program;
    std::vector<Value> arguments = {};
    runtime::ProcessNumber parent = 0;
    bool link = false;                                     // parent and child
    bool monitor = false;                                  // the parent is told of the end
    std::function<void(const ProcessEnded&)> on_end = {};  // on any thread; must not block
};

struct HostCounts {
    std::size_t alive = 0;
    std::uint64_t spawned = 0;
    std::uint64_t failed = 0;    // ended with an error
    std::uint64_t received = 0;  // messages put into inboxes
    std::uint64_t refused = 0;   // for want of room
};

// How a process that has ended did so, as programs are told.
struct EndTold {
    runtime::ProcessId id;
    std::string program;
    const Error* error = nullptr;  // none: it was done
};

// Watches processes of other nodes for those of this one. From any thread.
class FarProcesses {
  public:
    enum class Tie : std::uint8_t { monitor, link };

    virtual ~FarProcesses() = default;
    // `done` runs once: process_not_found, node_unknown, unreachable, too_many_watches, …
    virtual void tie(Tie kind, runtime::ProcessNumber here, runtime::ProcessId there,
                     runtime::Delivered done) = 0;
    virtual void untie(Tie kind, runtime::ProcessNumber here, runtime::ProcessId there,
                       runtime::Delivered done) = 0;
};

class Host final : public runtime::Receiver {
  public:
    // The relay delivers to it as long as it lives.
    Host(HostSettings settings, const HostPorts& ports);
    // Ends all processes and waits until none runs. The scheduler still works.
    ~Host() override;
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    // The modules `process` and `time`, and the handlers of their commands.
    std::vector<Module> modules() const;
    Result<void> add_commands(runtime::Commands& commands);
    // What programs may require; outlives the host. Before the first spawn().
    void set_modules(const std::vector<Module>* modules);

    // New, or newer: then processes of the old one are told.
    void set_program(const std::string& name, ProgramSpec spec);
    void remove_program(const std::string& name);
    std::vector<std::string> programs() const;

    // function_not_found, too_many_processes, memory_limit, host_memory_full, process_ended (the
    // parent).
    Result<runtime::ProcessId> spawn(SpawnRequest request);
    // process_not_found. Ends it at its next turn.
    Result<void> terminate(runtime::ProcessNumber number, const std::string& why);
    // Asks it to end ("@cancel"), and terminates it after `grace`.
    Result<void> cancel(runtime::ProcessNumber number, const std::string& why, Duration grace);

    // Of every process, with what it ends, once; on any thread. Before the first spawn().
    using Watcher = std::function<void(runtime::ProcessNumber number, const std::string& program,
                                       const Error* error)>;
    void watch_ends(Watcher watcher);
    // Who watches other nodes; without one they cannot be watched. Outlives the processes.
    void set_far(FarProcesses* far);
    // What a monitor is told; what a link does: it ends the process, or tells it when it traps.
    void tell_exit(runtime::ProcessNumber number, const EndTold& end);
    void break_link(runtime::ProcessNumber number, const EndTold& end);

    void deliver(runtime::Package package, runtime::Delivered delivered) override;

    HostCounts counts() const;
    std::size_t memory_bytes(runtime::ProcessNumber number) const;  // 0: not there

    // message_too_large, invalid_field: what no process may be told.
    static Result<void> check_message(const std::string& topic, const Value& payload);

    struct Impl;  // what its parts share

  private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace taskd::lua
