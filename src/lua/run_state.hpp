// What a machine and the functions inside its Lua state share: how much it has used, what it waits
// for, and what it was answered.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "lua_api.hpp"
#include "taskd/lua/machine.hpp"

namespace taskd::lua {

// Why a Lua thread was put aside and does not come back to the Lua code that resumed it.
enum class Aside : std::uint8_t { none, command, slice };

struct RunState {
    MachineSettings settings;
    std::size_t memory = 0;              // bytes, as the allocator counts
    std::size_t lent = 0;                // of them, handed out with a command that is not answered
    std::size_t reserved = 0;            // bytes taken from the pool
    bool pool_is_empty = false;          // when it asked last
    const char* closing_from = nullptr;  // on the stack, where the first coroutine is being closed
    std::uint64_t instructions = 0;      // since it last waited
    std::uint64_t in_slice = 0;
    Duration ran{0};  // since it last waited, without the turn that runs
    SteadyTime turn_began{};
    std::optional<ErrorCode> over;  // the limit that ended it: nothing runs any more

    Aside aside = Aside::none;
    runtime::CommandId command = 0;
    std::vector<Value> arguments;  // of the command
    Result<Value> answer;
    MemoryHold answer_hold;
    bool answer_is_thrown = false;

    // Of the call that runs.
    std::string method;
    std::vector<Value> call_arguments;
    MemoryHold call_hold;  // of them, until the program has them
    std::vector<Value> results;
    std::optional<Error> no_form;  // arguments or results without a form on the other side
};

inline RunState& state_of(lua_State* lua) {
    return **static_cast<RunState**>(lua_getextraspace(lua));
}

// Counts as so many instructions. Throws Lua's error when that is too much.
void charge(lua_State* lua, std::uint64_t instructions);
// The hook looks at the next instruction: what went before took long.
void look_soon(lua_State* lua);
// Takes memory for so much more, or not.
bool grow(RunState& state, std::size_t bytes);
void shrink(RunState& state, std::size_t bytes);
ErrorCode out_of_memory(const RunState& state);  // why grow() did not
// Ends the program: whatever it catches, the next instruction throws again.
[[noreturn]] void exceed(lua_State* lua, ErrorCode limit);

// Puts the running thread aside for a command; what it was answered is what the call returns. The
// arguments' bytes are the program's own until then.
int wait_for(lua_State* lua, runtime::CommandId command, std::vector<Value> arguments,
             std::size_t bytes);

// The global functions as the sandbox has them. In a protected call.
void open_sandbox(lua_State* lua);
void open_strings(lua_State* lua);     // the table `string` is on top of the stack
void open_coroutines(lua_State* lua);  // the table `coroutine` is
void open_modules(lua_State* lua);     // `require`

// How often the hook looks, in instructions.
inline constexpr int hook_step = 1'000;
void set_hook(lua_State* lua);

}  // namespace taskd::lua
