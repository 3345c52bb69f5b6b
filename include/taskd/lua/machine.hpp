// One program at work: a sandboxed Lua state of its own with bounds on memory and on what it does
// without waiting. It runs until it is done, waits for the answer to a command, or has had its
// slice. On one thread at a time.
//
// The sandbox has Lua's own functions without those that reach files, the process, bytecode or the
// inside of other functions (io, os, debug, package, load, dofile, string.dump, collectgarbage),
// without finalizers (`__gc`), and with patterns, string.rep and the table functions bounded.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "taskd/base/limits.hpp"
#include "taskd/base/result.hpp"
#include "taskd/lua/memory.hpp"
#include "taskd/lua/module.hpp"
#include "taskd/lua/program.hpp"
#include "taskd/model/value.hpp"
#include "taskd/port/clock.hpp"

namespace taskd::lua {

struct MachineLimits {
    std::size_t memory_bytes = limits::program_memory_default;
    std::uint64_t instructions = limits::program_instructions_default;
    Duration time = limits::program_time_max;
    std::uint64_t slice = limits::program_slice;

    friend bool operator==(const MachineLimits&, const MachineLimits&) = default;
};

struct MachineSettings {
    ProgramPtr program;
    MachineLimits limits = {};
    const std::vector<Module>* modules = nullptr;             // outlive the machine
    const port::Clock* clock = nullptr;                       // the same
    std::function<void(const std::string& line)> print = {};  // what the program prints
    MemoryPool* pool = nullptr;                               // of all; outlives the machine
};

// Where a machine stands after it ran.
enum class Standing : std::uint8_t {
    done,     // `values` are what it returned
    failed,   // `error`; the machine is spent
    command,  // waits for the answer to `command` with `values`
    slice,    // has had its slice and would go on
};

struct Turn {
    Standing standing = Standing::done;
    runtime::CommandId command = 0;
    std::vector<Value> values = {};
    Error error = {ErrorCode::internal, {}};
    std::string trace = {};  // where it failed, for the log
};

class Machine {
  public:
    // memory_limit or host_memory_full when not even the sandbox has room.
    static Result<std::unique_ptr<Machine>> make(MachineSettings settings);
    ~Machine();
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    // The next call: of `method` of what the program returns, or of that itself when it is a
    // function and `method` is empty. Only when nothing runs. What it is called with counts in the
    // pool until the program has it: host_memory_full.
    Result<void> prepare(std::string method, std::vector<Value> arguments);
    void forget_call();  // what was prepared and has not begun
    Turn begin();  // what was prepared; before the first call the program's own text runs, once
    // After Standing::command, once; counts in the pool, beyond its bound too.
    void keep_answer(Result<Value> answer);
    Turn go_on();  // after keep_answer() or Standing::slice

    Turn call(std::string method, std::vector<Value> arguments);  // prepared, and begun
    Turn answer(Result<Value> answer);                            // kept, and gone on with

    std::size_t memory_bytes() const;

  private:
    struct Impl;
    explicit Machine(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace taskd::lua
