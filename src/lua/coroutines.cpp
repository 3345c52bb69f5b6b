// Coroutines of programs. One that waits for a command, or has had its slice, puts aside all that
// resumed it up to the machine, and nobody between sees a yield.
#include <cstdlib>

#include "run_state.hpp"

namespace taskd::lua {
namespace {

// Lua counts how deep it is on this thread's stack by coroutine, and begins anew in one that is
// closed: up to 200 calls of 2 KiB and more each. Those that close each other in their __close
// would go as deep as there are any.
constexpr std::ptrdiff_t closing_stack_max = 512 * 1024;

class Closing {
  public:
    explicit Closing(RunState& state) : state_{state}, is_first_{state.closing_from == nullptr} {
        if (is_first_) state.closing_from = here();
    }
    ~Closing() {
        if (is_first_) state_.closing_from = nullptr;
    }
    Closing(const Closing&) = delete;
    Closing& operator=(const Closing&) = delete;

    bool is_too_deep() const { return std::abs(state_.closing_from - here()) > closing_stack_max; }

  private:
    static const char* here() { return static_cast<const char*>(__builtin_frame_address(0)); }

    RunState& state_;
    bool is_first_;
};

enum class Form : lua_KContext { resume, wrap };

int resume_on(lua_State* lua, lua_State* coroutine, int arguments, Form form);

int resumed_again(lua_State* lua, int, lua_KContext context) {
    const auto form = static_cast<Form>(context);
    lua_State* coroutine =
        form == Form::wrap ? lua_tothread(lua, lua_upvalueindex(1)) : lua_tothread(lua, 1);
    return resume_on(lua, coroutine, 0, form);
}

int hand_over_failure(lua_State* lua, lua_State* coroutine, Form form) {
    lua_xmove(coroutine, lua, 1);
    if (form == Form::wrap) {
        const int status = lua_status(coroutine);
        if (status != LUA_OK && status != LUA_YIELD) {  // its pending variables are closed
            const Closing closing{state_of(lua)};
            if (closing.is_too_deep()) return luaL_error(lua, "C stack overflow");
            if (lua_resetthread(coroutine) != LUA_OK) {
                lua_pop(lua, 1);
                lua_xmove(coroutine, lua, 1);
            }
        }
        if (lua_type(lua, -1) == LUA_TSTRING) {
            luaL_where(lua, 1);
            lua_insert(lua, -2);
            lua_concat(lua, 2);
        }
        return lua_error(lua);
    }
    lua_pushboolean(lua, 0);
    lua_insert(lua, -2);
    return 2;
}

// Whether the coroutine is to run on at once: it cannot be put aside here.
bool goes_on(RunState& state) {
    if (state.aside == Aside::command) {
        state.arguments.clear();
        shrink(state, std::exchange(state.lent, 0));
        state.answer = fail(ErrorCode::cannot_wait, "within a function that Lua itself calls");
        state.answer_is_thrown = true;
    }
    state.aside = Aside::none;
    return true;
}

int resume_on(lua_State* lua, lua_State* coroutine, int arguments, Form form) {
    RunState& state = state_of(lua);
    for (;;) {
        int count = 0;
        const int status = lua_resume(coroutine, lua, arguments, &count);
        if (status == LUA_YIELD && state.aside != Aside::none) {
            if (lua_isyieldable(lua) != 0)
                return lua_yieldk(lua, 0, static_cast<lua_KContext>(form), resumed_again);
            arguments = 0;
            if (goes_on(state)) continue;
        }
        if (status != LUA_OK && status != LUA_YIELD) return hand_over_failure(lua, coroutine, form);
        if (lua_checkstack(lua, count + 1) == 0) {
            lua_pop(coroutine, count);
            lua_pushliteral(coroutine, "too many results to resume");
            return hand_over_failure(lua, coroutine, form);
        }
        if (form == Form::resume) lua_pushboolean(lua, 1);
        lua_xmove(coroutine, lua, count);
        return form == Form::resume ? count + 1 : count;
    }
}

bool move_arguments(lua_State* lua, lua_State* coroutine, int count) {
    if (lua_checkstack(coroutine, count) == 0) return false;
    lua_xmove(lua, coroutine, count);
    return true;
}

int resume(lua_State* lua) {
    lua_State* coroutine = lua_tothread(lua, 1);
    luaL_argexpected(lua, coroutine, 1, "coroutine");
    const int count = lua_gettop(lua) - 1;
    if (!move_arguments(lua, coroutine, count)) {
        lua_pushboolean(lua, 0);
        lua_pushliteral(lua, "too many arguments to resume");
        return 2;
    }
    return resume_on(lua, coroutine, count, Form::resume);
}

int call_wrapped(lua_State* lua) {
    lua_State* coroutine = lua_tothread(lua, lua_upvalueindex(1));
    const int count = lua_gettop(lua);
    if (!move_arguments(lua, coroutine, count))
        return luaL_error(lua, "too many arguments to resume");
    return resume_on(lua, coroutine, count, Form::wrap);
}

// Each has its own count of instructions, so a new one costs what it could hide.
int create(lua_State* lua) {
    charge(lua, hook_step);
    luaL_checktype(lua, 1, LUA_TFUNCTION);
    lua_State* coroutine = lua_newthread(lua);
    set_hook(coroutine);
    lua_pushvalue(lua, 1);
    lua_xmove(lua, coroutine, 1);
    return 1;
}

// Upvalue: the original.
int close(lua_State* lua) {
    const Closing closing{state_of(lua)};
    if (closing.is_too_deep()) return luaL_error(lua, "C stack overflow");
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
    return lua_gettop(lua);
}

int wrap(lua_State* lua) {
    create(lua);
    lua_pushcclosure(lua, call_wrapped, 1);
    return 1;
}

}  // namespace

void open_coroutines(lua_State* lua) {
    const luaL_Reg functions[] = {
        {"create", create}, {"wrap", wrap}, {"resume", resume}, {nullptr, nullptr}};
    luaL_setfuncs(lua, functions, 0);
    lua_getfield(lua, -1, "close");
    lua_pushcclosure(lua, close, 1);
    lua_setfield(lua, -2, "close");
}

}  // namespace taskd::lua
