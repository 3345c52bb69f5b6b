#include "taskd/lua/program.hpp"

#include "lua_api.hpp"
#include "taskd/base/limits.hpp"

namespace taskd::lua {
namespace {

int append(lua_State*, const void* bytes, std::size_t size, void* out) {
    static_cast<std::string*>(out)->append(static_cast<const char*>(bytes), size);
    return 0;
}

}  // namespace

Result<ProgramPtr> Program::compile(std::string name, std::string_view source, Reach reach) {
    if (source.size() > limits::program_bytes_max)
        return fail(ErrorCode::bad_program, name + " is larger than 1 MiB");
    if (source.starts_with(LUA_SIGNATURE))
        return fail(ErrorCode::bad_program, name + " is bytecode: only text is taken");
    const std::unique_ptr<lua_State, decltype(&lua_close)> lua{luaL_newstate(), lua_close};
    if (!lua) return fail(ErrorCode::memory_limit, name);
    const std::string chunk = "=" + name;
    if (luaL_loadbufferx(lua.get(), source.data(), source.size(), chunk.c_str(), "t") != LUA_OK) {
        const char* why = lua_tostring(lua.get(), -1);
        return fail(ErrorCode::bad_program, why == nullptr ? name : why);
    }
    std::string bytecode;
    lua_dump(lua.get(), append, &bytecode, 0);
    return ProgramPtr{new Program{std::move(name), std::move(bytecode), std::move(reach)}};
}

}  // namespace taskd::lua
