// The functions of Lua's `string` that search, on a matcher that can be stopped.
#include <algorithm>
#include <string_view>
#include <utility>

#include "pattern.hpp"
#include "run_state.hpp"
#include "taskd/base/limits.hpp"

namespace taskd::lua {
namespace {

constexpr std::string_view specials = "^$*+?.([%-";
// What took that long lets others have their turn.
constexpr std::size_t long_text = 16 * limits::kibibyte;
constexpr std::uint64_t many_steps = 100'000;

std::string_view text_argument(lua_State* lua, int index) {
    std::size_t size = 0;
    const char* text = luaL_checklstring(lua, index, &size);
    return {text, size};
}

// What is left of the program's instructions is what a search may take in steps.
class Search {
  public:
    explicit Search(lua_State* lua) : lua_{lua} {
        const RunState& state = state_of(lua);
        const std::uint64_t max = state.settings.limits.instructions;
        steps_ = before_ = max - std::min(max, state.instructions);
    }
    std::uint64_t& steps() { return steps_; }

    // After each match: counts it, and throws what went wrong.
    void settle(const Pattern& pattern) {
        if (pattern.out_of_steps()) exceed(lua_, ErrorCode::instruction_limit);
        const std::uint64_t taken = std::exchange(before_, steps_) - steps_;
        charge(lua_, taken);
        if (taken > many_steps) look_soon(lua_);
        if (!pattern.error().empty()) throw_text(pattern.error());
    }

  private:
    [[noreturn]] void throw_text(const std::string& text) {
        lua_pushlstring(lua_, text.data(), text.size());
        luaL_where(lua_, 1);
        lua_insert(lua_, -2);
        lua_concat(lua_, 2);
        lua_error(lua_);
        __builtin_unreachable();
    }

    lua_State* lua_;
    std::uint64_t steps_ = 0;
    std::uint64_t before_ = 0;
};

// From where a search begins: `init` counts from 1, or from the end when it is negative. Past the
// end: nowhere.
std::optional<std::size_t> begin_of(lua_Integer init, std::size_t size) {
    const auto length = static_cast<lua_Integer>(size);
    if (init < 0) init = init < -length ? 1 : length + init + 1;
    if (init == 0) init = 1;
    if (init > length + 1) return std::nullopt;
    return static_cast<std::size_t>(init - 1);
}

void push_capture(lua_State* lua, const Pattern& pattern, std::size_t index, std::string_view text,
                  std::size_t begin, std::size_t end) {
    if (index >= pattern.count()) {
        if (index != 0) luaL_error(lua, "invalid capture index %%%d", static_cast<int>(index + 1));
        lua_pushlstring(lua, text.data() + begin, end - begin);
        return;
    }
    const Pattern::Capture& capture = pattern.capture(index);
    if (capture.open) luaL_error(lua, "unfinished capture");
    if (capture.is_position)
        lua_pushinteger(lua, static_cast<lua_Integer>(capture.begin + 1));
    else
        lua_pushlstring(lua, text.data() + capture.begin, capture.length);
}

int push_captures(lua_State* lua, const Pattern& pattern, bool whole_if_none, std::string_view text,
                  std::size_t begin, std::size_t end) {
    const std::size_t count =
        pattern.count() == 0 && whole_if_none ? std::size_t{1} : pattern.count();
    luaL_checkstack(lua, static_cast<int>(count), "too many captures");
    for (std::size_t index = 0; index < count; ++index)
        push_capture(lua, pattern, index, text, begin, end);
    return static_cast<int>(count);
}

int find_plain(lua_State* lua, std::string_view text, std::string_view wanted, std::size_t begin) {
    const std::size_t found = find_text(text, wanted, begin);
    const std::size_t looked = (found == std::string_view::npos ? text.size() : found) - begin;
    // The search is linear in both, with a factor for words of middling length.
    const bool middling = wanted.size() > 16 && wanted.size() <= 256;
    charge(lua, (middling ? looked : looked / 16) + wanted.size() / 16);
    if (looked + wanted.size() > long_text) look_soon(lua);
    if (found == std::string_view::npos) {
        lua_pushnil(lua);
        return 1;
    }
    lua_pushinteger(lua, static_cast<lua_Integer>(found + 1));
    lua_pushinteger(lua, static_cast<lua_Integer>(found + wanted.size()));
    return 2;
}

int find_or_match(lua_State* lua, bool find) {
    const std::string_view text = text_argument(lua, 1);
    std::string_view wanted = text_argument(lua, 2);
    auto begin = begin_of(luaL_optinteger(lua, 3, 1), text.size());
    if (!begin) {
        lua_pushnil(lua);
        return 1;
    }
    charge(lua, wanted.size() / 8);
    if (wanted.size() > long_text) look_soon(lua);
    if (find &&
        (lua_toboolean(lua, 4) != 0 || wanted.find_first_of(specials) == std::string_view::npos))
        return find_plain(lua, text, wanted, *begin);
    const bool anchored = wanted.starts_with('^');
    if (anchored) wanted.remove_prefix(1);
    Search search{lua};
    Pattern pattern{text, wanted, search.steps()};
    for (std::size_t at = *begin; at <= text.size(); ++at) {
        const auto end = pattern.match(at);
        search.settle(pattern);
        if (end) {
            if (!find) return push_captures(lua, pattern, true, text, at, *end);
            lua_pushinteger(lua, static_cast<lua_Integer>(at + 1));
            lua_pushinteger(lua, static_cast<lua_Integer>(*end));
            return 2 + push_captures(lua, pattern, false, text, at, *end);
        }
        if (anchored) break;
    }
    lua_pushnil(lua);
    return 1;
}

int find(lua_State* lua) {
    return find_or_match(lua, true);
}
int match(lua_State* lua) {
    return find_or_match(lua, false);
}

// Upvalues: text, pattern, where to go on, the end of the newest match (0: none yet; from 1).
int next_match(lua_State* lua) {
    const std::string_view text = text_argument(lua, lua_upvalueindex(1));
    const std::string_view wanted = text_argument(lua, lua_upvalueindex(2));
    const auto newest = static_cast<std::size_t>(lua_tointeger(lua, lua_upvalueindex(4)));
    Search search{lua};
    Pattern pattern{text, wanted, search.steps()};
    for (auto at = static_cast<std::size_t>(lua_tointeger(lua, lua_upvalueindex(3)));
         at <= text.size(); ++at) {
        const auto end = pattern.match(at);
        search.settle(pattern);
        if (!end || *end + 1 == newest) continue;
        lua_pushinteger(lua, static_cast<lua_Integer>(*end));
        lua_replace(lua, lua_upvalueindex(3));
        lua_pushinteger(lua, static_cast<lua_Integer>(*end + 1));
        lua_replace(lua, lua_upvalueindex(4));
        return push_captures(lua, pattern, true, text, at, *end);
    }
    return 0;
}

int gmatch(lua_State* lua) {
    const std::string_view text = text_argument(lua, 1);
    text_argument(lua, 2);
    const auto begin = begin_of(luaL_optinteger(lua, 3, 1), text.size());
    lua_settop(lua, 2);
    lua_pushinteger(lua, static_cast<lua_Integer>(begin.value_or(text.size() + 1)));
    lua_pushinteger(lua, 0);
    lua_pushcclosure(lua, next_match, 4);
    return 1;
}

// ---- gsub ---------------------------------------------------------------------------------------

struct Match {
    const Pattern& pattern;
    std::string_view text;
    std::size_t begin;
    std::size_t end;
};

// "%1" and the like in a text that takes a match's place.
void add_template(lua_State* lua, luaL_Buffer& out, const Match& match) {
    const std::string_view form = text_argument(lua, 3);
    charge(lua, form.size() / 8);
    for (std::size_t at = 0; at < form.size(); ++at) {
        if (form[at] != '%') {
            luaL_addchar(&out, form[at]);
            continue;
        }
        const char sign = ++at < form.size() ? form[at] : '\0';
        if (sign == '%') {
            luaL_addchar(&out, '%');
        } else if (sign == '0') {
            luaL_addlstring(&out, match.text.data() + match.begin, match.end - match.begin);
        } else if (sign >= '1' && sign <= '9') {
            push_capture(lua, match.pattern, static_cast<std::size_t>(sign - '1'), match.text,
                         match.begin, match.end);
            luaL_tolstring(lua, -1, nullptr);  // a position becomes text
            lua_remove(lua, -2);
            luaL_addvalue(&out);
        } else {
            luaL_error(lua, "invalid use of '%%' in replacement string");
        }
    }
}

// Whether the match was replaced.
bool add_replacement(lua_State* lua, luaL_Buffer& out, const Match& match, int type) {
    if (type == LUA_TSTRING || type == LUA_TNUMBER) {
        add_template(lua, out, match);
        return true;
    }
    if (type == LUA_TTABLE) {
        push_capture(lua, match.pattern, 0, match.text, match.begin, match.end);
        lua_gettable(lua, 3);
    } else {
        lua_pushvalue(lua, 3);
        const int count =
            push_captures(lua, match.pattern, true, match.text, match.begin, match.end);
        lua_call(lua, count, 1);
    }
    if (lua_toboolean(lua, -1) == 0) {
        lua_pop(lua, 1);
        luaL_addlstring(&out, match.text.data() + match.begin, match.end - match.begin);
        return false;
    }
    if (lua_isstring(lua, -1) == 0)
        luaL_error(lua, "invalid replacement value (a %s)", luaL_typename(lua, -1));
    luaL_addvalue(&out);
    return true;
}

int gsub(lua_State* lua) {
    const std::string_view text = text_argument(lua, 1);
    std::string_view wanted = text_argument(lua, 2);
    const int type = lua_type(lua, 3);
    luaL_argexpected(
        lua,
        type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TTABLE || type == LUA_TFUNCTION,
        3, "string/function/table");
    const lua_Integer count_max =
        luaL_optinteger(lua, 4, static_cast<lua_Integer>(text.size() + 1));
    const bool anchored = wanted.starts_with('^');
    if (anchored) wanted.remove_prefix(1);
    Search search{lua};
    Pattern pattern{text, wanted, search.steps()};
    luaL_Buffer out;
    luaL_buffinit(lua, &out);
    std::size_t at = 0;
    std::optional<std::size_t> newest;
    lua_Integer count = 0;
    while (count < count_max) {
        const auto end = pattern.match(at);
        search.settle(pattern);
        if (end && end != newest) {
            ++count;
            add_replacement(lua, out, {pattern, text, at, *end}, type);
            // What was called has counted its own instructions: the search goes on with the rest.
            search = Search{lua};
            at = *end;
            newest = end;
        } else if (at < text.size()) {
            luaL_addchar(&out, text[at++]);
        } else {
            break;
        }
        if (anchored) break;
    }
    luaL_addlstring(&out, text.data() + at, text.size() - at);
    luaL_pushresult(&out);
    lua_pushinteger(lua, count);
    return 2;
}

// A text of nothing would be repeated for ever within one instruction.
int rep(lua_State* lua) {
    const std::string_view text = text_argument(lua, 1);
    const lua_Integer count = luaL_checkinteger(lua, 2);
    const std::size_t between = lua_isnoneornil(lua, 3) ? 0 : text_argument(lua, 3).size();
    if (text.size() + between == 0 || count < 1) {
        lua_pushliteral(lua, "");
        return 1;
    }
    const std::size_t most = state_of(lua).settings.limits.memory_bytes;
    if (static_cast<lua_Unsigned>(count) > most / (text.size() + between) + 1)
        exceed(lua, ErrorCode::memory_limit);
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, 1);
    return 1;
}

}  // namespace

void open_strings(lua_State* lua) {
    const luaL_Reg functions[] = {
        {"find", find}, {"match", match}, {"gmatch", gmatch}, {"gsub", gsub}, {nullptr, nullptr}};
    luaL_setfuncs(lua, functions, 0);
    lua_getfield(lua, -1, "rep");
    lua_pushcclosure(lua, rep, 1);
    lua_setfield(lua, -2, "rep");
    lua_pushnil(lua);
    lua_setfield(lua, -2, "dump");
}

}  // namespace taskd::lua
