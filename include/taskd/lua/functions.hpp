// Functions of programs, called by name: each call has a machine of the function's pool for itself,
// and gives it back. A machine keeps what the program's own text has set up, and nothing of a call
// that failed: that one is thrown away. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "taskd/lua/host.hpp"

namespace taskd::lua {

// When machines are made, and kept.
enum class PoolKind : std::uint8_t {
    fresh,     // "inline": one for each call, thrown away after it
    lazy,      // when a call needs one; kept
    fixed,     // "static": all at the beginning
    adaptive,  // as lazy, but those that were idle for a while go again
};

struct PoolSettings {
    PoolKind kind = PoolKind::lazy;
    std::size_t machines_max = limits::pool_machines_default;  // calls at a time
    std::size_t waiting_max = limits::pool_waiting_default;    // then pool_full
    Duration idle = limits::pool_idle_default;                 // adaptive

    friend bool operator==(const PoolSettings&, const PoolSettings&) = default;
};

// What a call is held against beside the program: before it begins, and when it has answered. On
// any thread; may be empty.
struct CallChecks {
    std::function<Result<void>(const std::vector<Value>& arguments)> arguments = {};
    std::function<Result<void>(const Value& result)> result = {};
};

struct FunctionPorts {
    Scheduler& scheduler;
    Alarms& alarms;
    const runtime::Commands& commands;
    runtime::ProcessIds& ids;
    const port::Clock& clock;
    port::Log& log;
    MemoryPool* memory = nullptr;  // of all programs; none: without a bound
};

struct PoolCounts {
    std::size_t machines = 0;
    std::size_t busy = 0;
    std::size_t waiting = 0;
    std::uint64_t made = 0;
    std::uint64_t calls = 0;
    std::uint64_t failed = 0;
};

// How a call ended: its first value, or why not.
using CallDone = std::function<void(Result<Value>)>;

class Functions {
  public:
    using CallId = std::uint64_t;

    explicit Functions(const FunctionPorts& ports);
    // Stops all calls and waits until none runs.
    ~Functions();
    Functions(const Functions&) = delete;
    Functions& operator=(const Functions&) = delete;

    // The module `functions` with `call(name, …)`, and its handler.
    static Module module();
    Result<void> add_commands(runtime::Commands& commands);
    void set_modules(const std::vector<Module>* modules);

    // New, or newer: calls that run end as they began. memory_limit for machines that cannot be
    // made.
    Result<void> set(const std::string& name, ProgramSpec spec, PoolSettings settings = {},
                     CallChecks checks = {});
    void remove(const std::string& name);  // calls that run end as they began
    // Whether set() could make a machine of it: memory_limit.
    Result<void> try_out(const ProgramSpec& spec) const;

    // `done` runs once, on any thread, also within the call: function_not_found, pool_full,
    // memory_limit, host_memory_full, what the checks say, or what the program says. `print` takes
    // what the function
    // prints.
    CallId call(const std::string& name, std::vector<Value> arguments, CallDone done,
                std::function<void(const std::string&)> print = {});
    void stop(CallId id, const Error& why);  // harmless when it has ended

    PoolCounts counts(const std::string& name) const;

    struct Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace taskd::lua
