#include "taskd/lua/machine.hpp"

#include <fmt/format.h>

#include <cstdlib>

#include "run_state.hpp"
#include "taskd/base/assert.hpp"
#include "taskd/protocol/json.hpp"
#include "values.hpp"

namespace taskd::lua {

struct Machine::Impl {
    explicit Impl(MachineSettings settings) { state.settings = std::move(settings); }
    ~Impl() {
        if (lua != nullptr) lua_close(lua);
        if (state.settings.pool != nullptr) state.settings.pool->give_back(state.reserved);
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    RunState state;
    lua_State* lua = nullptr;
    lua_State* thread = nullptr;  // runs the program; kept by the registry
};

namespace {

// ---- bounds -------------------------------------------------------------------------------------

// Taken from the pool at a time, and what may lie idle before it is given back.
constexpr std::size_t pool_step = 4 * limits::kibibyte;
constexpr std::size_t pool_idle_max = 64 * limits::kibibyte;

void* allocate(void* context, void* block, std::size_t old_size, std::size_t size) {
    RunState& state = *static_cast<RunState*>(context);
    if (block == nullptr) old_size = 0;  // then it is the kind of object
    if (size == 0) {
        std::free(block);
        shrink(state, old_size);
        return nullptr;
    }
    if (size > old_size && (state.over || !grow(state, size - old_size))) return nullptr;
    void* made = std::realloc(block, size);
    if (made == nullptr)
        shrink(state, size > old_size ? size - old_size : 0);
    else if (size < old_size)
        shrink(state, old_size - size);
    return made;
}

// Then others have their turn, however few instructions it took.
constexpr Duration turn_max = std::chrono::milliseconds{10};

std::string limit_text(const RunState& state) {
    const MachineLimits& limits = state.settings.limits;
    switch (*state.over) {
        case ErrorCode::memory_limit:
            return fmt::format("{} bytes", limits.memory_bytes);
        case ErrorCode::host_memory_full:
            return fmt::format("{} bytes", state.settings.pool->max());
        default:
            return fmt::format("{} instructions or {} s", limits.instructions,
                               std::chrono::duration<double>(limits.time).count());
    }
}

Duration time_taken(const RunState& state) {
    return state.ran + (state.settings.clock->steady() - state.turn_began);
}

void look(lua_State* lua, lua_Debug*) {
    RunState& state = state_of(lua);
    if (state.over) exceed(lua, *state.over);
    state.in_slice += hook_step;
    charge(lua, hook_step);
    if (time_taken(state) > state.settings.limits.time) exceed(lua, ErrorCode::instruction_limit);
    if (lua_gethookcount(lua) == 1) set_hook(lua);
    if (state.in_slice < state.settings.limits.slice && time_taken(state) - state.ran < turn_max)
        return;
    if (lua_isyieldable(lua) == 0) return;
    state.aside = Aside::slice;
    lua_yield(lua, 0);
}

// ---- the call: all of it runs within lua_resume -------------------------------------------------

int finish(lua_State* lua, int, lua_KContext) {
    RunState& state = state_of(lua);
    auto results = read_values(lua, 2, state.settings.limits.memory_bytes);
    if (results)
        state.results = std::move(*results);
    else
        state.no_form = results.error();
    return 0;
}

// Stack: what the program returned.
int begin_call(lua_State* lua, int, lua_KContext) {
    RunState& state = state_of(lua);
    lua_settop(lua, 1);
    lua_pushvalue(lua, 1);
    lua_rawsetp(lua, LUA_REGISTRYINDEX, &state);  // for the next call
    if (state.method.empty() || lua_type(lua, 1) != LUA_TTABLE) {
        lua_pushvalue(lua, 1);
    } else {
        lua_pushlstring(lua, state.method.data(), state.method.size());
        lua_rawget(lua, 1);
    }
    if (lua_type(lua, -1) != LUA_TFUNCTION)
        return luaL_error(lua, "the program returns no function '%s'", state.method.c_str());
    for (const Value& argument : state.call_arguments)
        if (const auto pushed = push_value(lua, argument); !pushed) {
            state.no_form = pushed.error();
            return 0;
        }
    const auto count = static_cast<int>(state.call_arguments.size());
    std::vector<Value>{}.swap(state.call_arguments);
    state.call_hold = {};
    lua_callk(lua, count, LUA_MULTRET, 0, finish);
    return finish(lua, LUA_OK, 0);
}

int run_program(lua_State* lua) {
    RunState& state = state_of(lua);
    lua_settop(lua, 0);
    lua_rawgetp(lua, LUA_REGISTRYINDEX, &state);
    if (!lua_isnil(lua, 1)) return begin_call(lua, LUA_OK, 0);
    lua_settop(lua, 0);
    const Program& program = *state.settings.program;
    const std::string chunk = "=" + program.name();
    if (luaL_loadbufferx(lua, program.bytecode().data(), program.bytecode().size(), chunk.c_str(),
                         "b") != LUA_OK)
        return lua_error(lua);
    lua_callk(lua, 0, 1, 0, begin_call);
    return begin_call(lua, LUA_OK, 0);
}

int open_all(lua_State* lua) {
    open_sandbox(lua);
    lua_State* thread = lua_newthread(lua);
    set_hook(thread);
    lua_setfield(lua, LUA_REGISTRYINDEX, "thread");
    lua_pushlightuserdata(lua, thread);
    return 1;
}

// Only ASCII of what is no text: errors go into JSON.
std::string printable(std::string text) {
    if (!protocol::is_utf8(text)) std::erase_if(text, [](char c) { return (c & 0x80) != 0; });
    return text;
}

Turn failed_turn(lua_State* thread, RunState& state, int status) {
    Turn turn{.standing = Standing::failed};
    if (status == LUA_ERRMEM && !state.over) state.over = out_of_memory(state);
    turn.error = state.over ? Error{*state.over, limit_text(state)} : read_error(thread, -1);
    turn.error.detail = printable(std::move(turn.error.detail));
    // Within the limits there may be no room for a trace.
    lua_sethook(thread, nullptr, 0, 0);
    state.settings.limits.memory_bytes += limits::program_memory_least;
    const auto trace = [](lua_State* lua) {
        luaL_traceback(lua, static_cast<lua_State*>(lua_touserdata(lua, 1)), nullptr, 0);
        return 1;
    };
    if (state.over) return turn;
    lua_rawgeti(thread, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    lua_State* other = lua_tothread(thread, -1);
    lua_pop(thread, 1);
    lua_pushcfunction(other, trace);
    lua_pushlightuserdata(other, thread);
    if (lua_pcall(other, 1, 1, 0) == LUA_OK && lua_type(other, -1) == LUA_TSTRING)
        turn.trace = printable(lua_tostring(other, -1));
    lua_pop(other, 1);
    return turn;
}

Turn ended_turn(RunState& state) {
    if (state.over)
        return {.standing = Standing::failed, .error = {*state.over, limit_text(state)}};
    if (state.no_form)
        return {.standing = Standing::failed, .error = *std::exchange(state.no_form, {})};
    return {.standing = Standing::done, .values = std::exchange(state.results, {})};
}

Turn yielded_turn(RunState& state) {
    switch (std::exchange(state.aside, Aside::none)) {
        case Aside::command:
            state.instructions = 0;
            state.ran = Duration{0};
            return {.standing = Standing::command,
                    .command = state.command,
                    .values = std::exchange(state.arguments, {})};
        case Aside::slice:
            return {.standing = Standing::slice};
        case Aside::none:
            break;
    }
    return {.standing = Standing::failed,
            .error = {ErrorCode::program_failed, "coroutine.yield outside a coroutine"}};
}

Turn resume(lua_State* thread, RunState& state) {
    state.in_slice = 0;
    state.turn_began = state.settings.clock->steady();
    int count = 0;
    const int status = lua_resume(thread, nullptr, 0, &count);
    state.ran = time_taken(state);
    if (status == LUA_YIELD) return yielded_turn(state);
    if (status != LUA_OK) return failed_turn(thread, state, status);
    lua_settop(thread, 0);
    return ended_turn(state);
}

}  // namespace

void set_hook(lua_State* lua) {
    lua_sethook(lua, look, LUA_MASKCOUNT, hook_step);
}

void look_soon(lua_State* lua) {
    lua_sethook(lua, look, LUA_MASKCOUNT, 1);
}

bool grow(RunState& state, std::size_t bytes) {
    const std::size_t after = state.memory + bytes;
    if (after > state.settings.limits.memory_bytes) {
        state.pool_is_empty = false;
        return false;
    }
    if (state.settings.pool != nullptr && after > state.reserved) {
        const std::size_t more = (after - state.reserved + pool_step - 1) / pool_step * pool_step;
        state.pool_is_empty = !state.settings.pool->take(more);
        if (state.pool_is_empty) return false;
        state.reserved += more;
    }
    state.memory = after;
    return true;
}

ErrorCode out_of_memory(const RunState& state) {
    return state.pool_is_empty ? ErrorCode::host_memory_full : ErrorCode::memory_limit;
}

void shrink(RunState& state, std::size_t bytes) {
    state.memory -= bytes;
    if (state.settings.pool == nullptr || state.reserved - state.memory <= pool_idle_max) return;
    const std::size_t kept = (state.memory + pool_step - 1) / pool_step * pool_step;
    state.settings.pool->give_back(state.reserved - kept);
    state.reserved = kept;
}

void charge(lua_State* lua, std::uint64_t instructions) {
    RunState& state = state_of(lua);
    state.instructions += instructions;
    if (state.instructions > state.settings.limits.instructions)
        exceed(lua, ErrorCode::instruction_limit);
}

// An error would go through the program's message handler, and within a hook that runs without
// hooks: it could loop for ever. Want of memory goes past all handlers, and from here on there is
// none.
void exceed(lua_State* lua, ErrorCode limit) {
    RunState& state = state_of(lua);
    if (!state.over) state.over = limit;
    lua_sethook(lua, look, LUA_MASKCOUNT, 1);
    lua_newuserdatauv(lua, 1, 0);
    __builtin_unreachable();
}

Machine::Machine(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
Machine::~Machine() = default;

Result<std::unique_ptr<Machine>> Machine::make(MachineSettings settings) {
    TASKD_ASSERT(settings.program != nullptr && settings.clock != nullptr);
    auto impl = std::make_unique<Impl>(std::move(settings));
    impl->lua = lua_newstate(allocate, &impl->state);
    if (impl->lua == nullptr) return fail(out_of_memory(impl->state), "to begin with");
    *static_cast<RunState**>(lua_getextraspace(impl->lua)) = &impl->state;
    lua_pushcfunction(impl->lua, open_all);
    if (lua_pcall(impl->lua, 0, 1, 0) != LUA_OK)
        return fail(out_of_memory(impl->state), "to begin with");
    impl->thread = static_cast<lua_State*>(lua_touserdata(impl->lua, -1));
    lua_pop(impl->lua, 1);
    return std::unique_ptr<Machine>{new Machine{std::move(impl)}};
}

Result<void> Machine::prepare(std::string method, std::vector<Value> arguments) {
    RunState& state = impl_->state;
    std::size_t bytes = 0;
    for (const Value& argument : arguments)
        bytes += bytes_of(argument);
    auto hold = MemoryHold::take(state.settings.pool, bytes);
    if (!hold) return fail(ErrorCode::host_memory_full, "no room for the arguments");
    state.call_hold = std::move(*hold);
    state.method = std::move(method);
    state.call_arguments = std::move(arguments);
    return {};
}

void Machine::forget_call() {
    impl_->state.call_arguments = {};
    impl_->state.call_hold = {};
}

Turn Machine::begin() {
    RunState& state = impl_->state;
    state.instructions = 0;
    state.ran = Duration{0};
    lua_pushcfunction(impl_->thread, run_program);
    return resume(impl_->thread, state);
}

void Machine::keep_answer(Result<Value> answer) {
    RunState& state = impl_->state;
    if (answer) state.answer_hold = MemoryHold::take_anyway(state.settings.pool, bytes_of(*answer));
    state.answer = std::move(answer);
}

Turn Machine::go_on() {
    shrink(impl_->state, std::exchange(impl_->state.lent, 0));
    return resume(impl_->thread, impl_->state);
}

Turn Machine::call(std::string method, std::vector<Value> arguments) {
    if (auto prepared = prepare(std::move(method), std::move(arguments)); !prepared)
        return {.standing = Standing::failed, .error = std::move(prepared.error())};
    return begin();
}

Turn Machine::answer(Result<Value> answer) {
    keep_answer(std::move(answer));
    return go_on();
}

std::size_t Machine::memory_bytes() const {
    return impl_->state.memory;
}

}  // namespace taskd::lua
