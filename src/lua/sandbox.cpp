// The global functions of a program: Lua's own without what reaches outside, and with bounds where
// one instruction could run for ever.
#include <fmt/format.h>

#include "run_state.hpp"
#include "values.hpp"

namespace taskd::lua {
namespace {

// More elements than memory could ever hold; a `__len` may say anything.
constexpr lua_Integer elements_max = 100'000'000;
constexpr lua_Integer many_elements = 1'000;
constexpr std::size_t long_text = 16 * limits::kibibyte;

// A finalizer runs without hooks: one that loops could not be stopped.
int set_metatable(lua_State* lua) {
    if (lua_type(lua, 2) == LUA_TTABLE) {
        lua_pushliteral(lua, "__gc");
        lua_rawget(lua, 2);
        if (!lua_isnil(lua, -1)) return luaL_error(lua, "a metatable with __gc is not allowed");
        lua_pop(lua, 1);
    }
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, 1);
    return 1;
}

// What is longer than a line may be is cut.
int print(lua_State* lua) {
    std::string line;
    for (int index = 1; index <= lua_gettop(lua); ++index) {
        std::size_t size = 0;
        const char* text = luaL_tolstring(lua, index, &size);
        if (index > 1) line += '\t';
        line.append(text, std::min(size, limits::program_line_bytes_max));
        lua_pop(lua, 1);
        if (line.size() >= limits::program_line_bytes_max) break;
    }
    line.resize(std::min(line.size(), limits::program_line_bytes_max));
    charge(lua, hook_step / 10 + line.size());
    const RunState& state = state_of(lua);
    if (state.settings.print) state.settings.print(line);
    return 0;
}

int call_original(lua_State* lua) {
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
    return lua_gettop(lua);
}

// What a function of Lua's goes through within one instruction.
void charge_elements(lua_State* lua, lua_Integer count) {
    if (count < many_elements) return;
    charge(lua, static_cast<std::uint64_t>(count));
    look_soon(lua);
}

lua_Integer bounded_length(lua_State* lua) {
    if (lua_type(lua, 1) != LUA_TTABLE) return 0;
    const lua_Integer length = luaL_len(lua, 1);
    if (length > elements_max) luaL_error(lua, "a table of more than %I elements", elements_max);
    return length;
}

// The original function behind a look at how long its table says it is.
int with_bounded_length(lua_State* lua) {
    bounded_length(lua);
    return call_original(lua);
}

int sort(lua_State* lua) {
    charge_elements(lua, 4 * bounded_length(lua));
    return call_original(lua);
}

// table.insert(t, at, value) and table.remove(t, at) move what lies behind.
int with_moved_elements(lua_State* lua) {
    const lua_Integer length = bounded_length(lua);
    const bool is_insert = lua_toboolean(lua, lua_upvalueindex(2)) != 0;
    if (lua_gettop(lua) >= (is_insert ? 3 : 2) && lua_isinteger(lua, 2) != 0) {
        const lua_Integer at = lua_tointeger(lua, 2);
        if (at > 0 && at < length) charge_elements(lua, length - at);
    }
    return call_original(lua);
}

// table.move(a1, f, e, t) and table.concat(t, sep, i, j) go through whatever range they are told.
int with_bounded_range(lua_State* lua) {
    const bool is_move = lua_toboolean(lua, lua_upvalueindex(2)) != 0;
    const int from = is_move ? 2 : 3;
    if (is_move || !lua_isnoneornil(lua, 4)) {
        const lua_Integer first = luaL_optinteger(lua, from, 1);
        const lua_Integer last = luaL_checkinteger(lua, from + 1);
        if (last >= first && static_cast<lua_Unsigned>(last) - static_cast<lua_Unsigned>(first) >
                                 static_cast<lua_Unsigned>(elements_max))
            return luaL_error(lua, "more than %I elements", elements_max);
        if (last > first) charge(lua, static_cast<std::uint64_t>(last - first));
    }
    return with_bounded_length(lua);
}

// A function that goes through a whole text within one instruction.
int with_charged_text(lua_State* lua) {
    if (lua_type(lua, 1) == LUA_TSTRING) {
        const std::size_t size = lua_rawlen(lua, 1);
        if (size > long_text) {
            charge(lua, size / 16);
            look_soon(lua);
        }
    }
    return call_original(lua);
}

// Puts the original of the field on top behind `wrapper`.
void wrap(lua_State* lua, const char* name, lua_CFunction wrapper, bool second = false) {
    lua_getfield(lua, -1, name);
    lua_pushboolean(lua, second ? 1 : 0);
    lua_pushcclosure(lua, wrapper, 2);
    lua_setfield(lua, -2, name);
}

void open_base(lua_State* lua) {
    luaL_requiref(lua, LUA_GNAME, luaopen_base, 1);
    for (const char* name : {"collectgarbage", "dofile", "load", "loadfile", "warn"}) {
        lua_pushnil(lua);
        lua_setfield(lua, -2, name);
    }
    wrap(lua, "setmetatable", set_metatable);
    lua_pushcfunction(lua, print);
    lua_setfield(lua, -2, "print");
    lua_pop(lua, 1);
}

void open_tables(lua_State* lua) {
    luaL_requiref(lua, LUA_TABLIBNAME, luaopen_table, 1);
    wrap(lua, "insert", with_moved_elements, true);
    wrap(lua, "remove", with_moved_elements);
    wrap(lua, "sort", sort);
    wrap(lua, "unpack", with_bounded_length);
    wrap(lua, "move", with_bounded_range, true);
    wrap(lua, "concat", with_bounded_range);
    lua_pop(lua, 1);
}

// ---- modules ------------------------------------------------------------------------------------

int push_outcome(lua_State* lua, const Result<Value>& outcome) {
    if (outcome) {
        if (outcome->kind == ValueKind::null) {
            lua_pushnil(lua);
            return 1;
        }
        const auto pushed = push_value(lua, *outcome);
        if (pushed) return 1;
        lua_pushnil(lua);
        push_error(lua, pushed.error());
        return 2;
    }
    lua_pushnil(lua);
    push_error(lua, outcome.error());
    return 2;
}

// Upvalues: the module and the function's place in it.
int call_module(lua_State* lua) {
    RunState& state = state_of(lua);
    const auto* module = static_cast<const Module*>(lua_touserdata(lua, lua_upvalueindex(1)));
    const auto at = static_cast<std::size_t>(lua_tointeger(lua, lua_upvalueindex(2)));
    const ModuleFunction& function = module->functions[at];
    std::size_t bytes = 0;
    auto arguments = read_values(lua, 1, state.settings.limits.memory_bytes, &bytes);
    if (!arguments) {  // what was refused was read all the same
        charge(lua, hook_step / 10 + bytes / 16);
        if (bytes > long_text) look_soon(lua);
        return push_outcome(lua, std::unexpected{arguments.error()});
    }
    if (const auto* direct = std::get_if<DirectFunction>(&function.does)) {
        charge(lua, hook_step / 10 + bytes / 16);
        if (bytes > long_text) look_soon(lua);
        return push_outcome(lua, (*direct)(*arguments));
    }
    return wait_for(lua, std::get<runtime::CommandId>(function.does), std::move(*arguments), bytes);
}

void push_module(lua_State* lua, const Module& module) {
    lua_createtable(lua, 0, static_cast<int>(module.functions.size()));
    for (std::size_t at = 0; at < module.functions.size(); ++at) {
        lua_pushlightuserdata(lua, const_cast<Module*>(&module));
        lua_pushinteger(lua, static_cast<lua_Integer>(at));
        lua_pushcclosure(lua, call_module, 2);
        lua_setfield(lua, -2, module.functions[at].name.c_str());
    }
}

// Stack: name, what the import returned. It is kept for all who import that program.
int keep_import(lua_State* lua, int, lua_KContext program) {
    if (lua_isnil(lua, -1)) {
        lua_pop(lua, 1);
        lua_pushboolean(lua, 1);
    }
    lua_pushvalue(lua, -1);
    lua_rawsetp(lua, LUA_REGISTRYINDEX, reinterpret_cast<const void*>(program));
    return 1;
}

[[noreturn]] void throw_error(lua_State* lua, const Error& error) {
    push_error(lua, error);
    lua_error(lua);
    __builtin_unreachable();
}

int require(lua_State* lua);

// A function `require` for what that program may reach.
void push_require(lua_State* lua, const Program& program) {
    lua_pushlightuserdata(lua, const_cast<Program*>(&program));
    lua_pushcclosure(lua, require, 1);
}

// Its globals are everybody's, but for a `require` of its own.
int load_import(lua_State* lua, const Program& program) {
    lua_rawgetp(lua, LUA_REGISTRYINDEX, &program);
    if (!lua_isnil(lua, -1)) return 1;
    lua_settop(lua, 1);
    const std::string chunk = "=" + program.name();
    if (luaL_loadbufferx(lua, program.bytecode().data(), program.bytecode().size(), chunk.c_str(),
                         "b") != LUA_OK)
        lua_error(lua);
    lua_createtable(lua, 0, 1);
    push_require(lua, program);
    lua_setfield(lua, -2, "require");
    lua_createtable(lua, 0, 2);
    lua_pushglobaltable(lua);
    lua_setfield(lua, -2, "__index");
    lua_setmetatable(lua, -2);
    lua_setupvalue(lua, -2, 1);
    const auto context = reinterpret_cast<lua_KContext>(&program);
    lua_callk(lua, 0, 1, context, keep_import);
    return keep_import(lua, LUA_OK, context);
}

int require(lua_State* lua) {  // upvalue: the program that asks
    const std::string name = luaL_checkstring(lua, 1);
    lua_settop(lua, 1);
    const RunState& state = state_of(lua);
    const auto& asking = *static_cast<const Program*>(lua_touserdata(lua, lua_upvalueindex(1)));
    const Reach& reach = asking.reach();
    if (const auto found = reach.imports.find(name); found != reach.imports.end())
        return load_import(lua, *found->second);
    if (state.settings.modules != nullptr && reach.modules.contains(name))
        for (const Module& module : *state.settings.modules) {
            if (module.name != name) continue;
            lua_rawgetp(lua, LUA_REGISTRYINDEX, &module);
            if (!lua_isnil(lua, -1)) return 1;
            push_module(lua, module);
            lua_pushvalue(lua, -1);
            lua_rawsetp(lua, LUA_REGISTRYINDEX, &module);
            return 1;
        }
    throw_error(lua, {ErrorCode::module_not_allowed, name});
}

int answered(lua_State* lua, int, lua_KContext) {
    RunState& state = state_of(lua);
    const MemoryHold hold = std::exchange(state.answer_hold, {});
    const Result<Value> answer = std::exchange(state.answer, Value{});
    if (std::exchange(state.answer_is_thrown, false)) throw_error(lua, answer.error());
    return push_outcome(lua, answer);
}

}  // namespace

int wait_for(lua_State* lua, runtime::CommandId command, std::vector<Value> arguments,
             std::size_t bytes) {
    if (lua_isyieldable(lua) == 0) throw_error(lua, {ErrorCode::cannot_wait, {}});
    RunState& state = state_of(lua);
    if (!grow(state, bytes)) exceed(lua, out_of_memory(state));
    state.lent = bytes;
    state.aside = Aside::command;
    state.command = command;
    state.arguments = std::move(arguments);
    return lua_yieldk(lua, 0, 0, answered);
}

void open_modules(lua_State* lua) {
    push_require(lua, *state_of(lua).settings.program);
    lua_setglobal(lua, "require");
}

void open_sandbox(lua_State* lua) {
    open_base(lua);
    open_tables(lua);
    luaL_requiref(lua, LUA_STRLIBNAME, luaopen_string, 1);
    open_strings(lua);
    for (const char* name : {"lower", "reverse", "upper"})
        wrap(lua, name, with_charged_text);
    lua_pop(lua, 1);
    luaL_requiref(lua, LUA_MATHLIBNAME, luaopen_math, 1);
    luaL_requiref(lua, LUA_UTF8LIBNAME, luaopen_utf8, 1);
    wrap(lua, "len", with_charged_text);
    lua_pop(lua, 2);
    luaL_requiref(lua, LUA_COLIBNAME, luaopen_coroutine, 1);
    open_coroutines(lua);
    lua_pop(lua, 1);
    open_values(lua);
    open_modules(lua);
    // The list of loaded libraries has the originals.
    lua_pushnil(lua);
    lua_setfield(lua, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
}

}  // namespace taskd::lua
