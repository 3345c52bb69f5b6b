// Patterns find what Lua's own functions find, and can be stopped.
#include "lua/pattern.hpp"

#include <fmt/format.h>

#include "catch.hpp"
#include "lua/lua_api.hpp"
#include "taskd/base/random.hpp"

using namespace taskd;
using lua::Pattern;

namespace {

// As string.find of ours and of Lua say it: begin, end, captures; or the error.
std::string ours(const std::string& text, std::string pattern) {
    if (pattern.find_first_of("^$*+?.([%-") == std::string::npos) {  // then it is no pattern
        const std::size_t found = text.find(pattern);
        return found == std::string::npos ? "none"
                                          : fmt::format("{} {}", found + 1, found + pattern.size());
    }
    const bool anchored = pattern.starts_with('^');
    if (anchored) pattern.erase(0, 1);
    std::uint64_t steps = 1'000'000;
    Pattern search{text, pattern, steps};
    for (std::size_t at = 0; at <= text.size(); ++at) {
        const auto end = search.match(at);
        if (!search.error().empty()) return search.error();
        if (end) {
            std::string found = fmt::format("{} {}", at + 1, *end);
            for (std::size_t index = 0; index < search.count(); ++index) {
                const auto& capture = search.capture(index);
                if (capture.open) return "unfinished capture";
                found += capture.is_position
                             ? fmt::format(" {}", capture.begin + 1)
                             : " '" + text.substr(capture.begin, capture.length) + "'";
            }
            return found;
        }
        if (anchored) break;
    }
    return "none";
}

class Judge {
  public:
    Judge() : lua_{luaL_newstate(), lua_close} { luaL_openlibs(lua_.get()); }

    std::string find(const std::string& text, const std::string& pattern) {
        lua_State* lua = lua_.get();
        lua_settop(lua, 0);
        lua_getglobal(lua, "string");
        lua_getfield(lua, -1, "find");
        lua_remove(lua, -2);
        lua_pushlstring(lua, text.data(), text.size());
        lua_pushlstring(lua, pattern.data(), pattern.size());
        if (lua_pcall(lua, 2, LUA_MULTRET, 0) != LUA_OK) return lua_tostring(lua, -1);
        if (lua_isnil(lua, 1)) return "none";
        std::string found = fmt::format("{} {}", lua_tointeger(lua, 1), lua_tointeger(lua, 2));
        for (int index = 3; index <= lua_gettop(lua); ++index)
            found += lua_type(lua, index) == LUA_TNUMBER
                         ? fmt::format(" {}", lua_tointeger(lua, index))
                         : fmt::format(" '{}'", lua_tostring(lua, index));
        return found;
    }

  private:
    std::unique_ptr<lua_State, decltype(&lua_close)> lua_;
};

}  // namespace

TEST_CASE("patterns find what Lua's own find") {
    Judge judge;
    const char* const texts[] = {
        "",         "abc",      "hello world", "key = value", "(a(b)c)",   "THE (quick) fox",
        "  trim  ", "x=1, y=2", "a.b-c",       "aaab",        "2026-11-21"};
    const char* const patterns[] = {"a",
                                    "^a",
                                    "$",
                                    "^$",
                                    ".-",
                                    "(.-)%s*$",
                                    "(%w+)%s*=%s*(%w+)",
                                    "%b()",
                                    "%f[%w]%w+",
                                    "()b()",
                                    "[%a_][%w_]*",
                                    "[^%s]+",
                                    "[]]",
                                    "[^]]",
                                    "[a-]",
                                    "[-a]",
                                    "[%-a]",
                                    "(a*(.)%w(%s*))",
                                    "%d+-%d+",
                                    "(%d+)%-(%d+)",
                                    "(.)%1",
                                    "a?b",
                                    "a-b",
                                    "%",
                                    "[a",
                                    "(a",
                                    "a)",
                                    "%1",
                                    "%f",
                                    "%b",
                                    "%bx",
                                    "[%",
                                    "[]",
                                    "[^",
                                    "(()",
                                    "%0",
                                    "x*y?z+",
                                    "%x+",
                                    "%U+",
                                    "[a-c]+$",
                                    "a$b",
                                    "^^a",
                                    "%.",
                                    "%g+",
                                    "%p",
                                    "[%d%.]+",
                                    "((a)(b))",
                                    "%f[]a"};
    for (const char* text : texts)
        for (const char* pattern : patterns) {
            INFO(text << " with " << pattern);
            const std::string wanted = judge.find(text, pattern);
            const std::string found = ours(text, pattern);
            CHECK((wanted.find(found) != std::string::npos || wanted == found));
        }
}

TEST_CASE("random patterns find what Lua's own find") {
    Judge judge;
    Random random{42};
    const char* const parts[] = {
        "a", "b", ".", "%a", "%d", "[ab]", "[^a]",  "%s", "(", ")",  "()",     "*", "+", "-",
        "?", "^", "$", "%1", "%2", "%b()", "%f[a]", "1",  " ", "%w", "[a-c1]", "%", "[", "]"};
    for (int round = 0; round < 30'000; ++round) {
        std::string pattern;
        std::string text;
        for (std::size_t count = random.below(7); count > 0; --count)
            pattern += parts[random.below(std::size(parts))];
        for (std::size_t count = random.below(9); count > 0; --count)
            text += "ab1 ()c"[random.below(7)];
        const std::string wanted = judge.find(text, pattern);
        const std::string found = ours(text, pattern);
        INFO("'" << text << "' with '" << pattern << "': " << wanted << " and " << found);
        REQUIRE(
            (wanted == found || (wanted.find(found) != std::string::npos && found.find(' ') > 1)));
    }
}

TEST_CASE("a pattern that would take for ever is stopped") {
    std::uint64_t steps = 100'000;
    const std::string text(30, 'a');
    std::string many;
    for (int i = 0; i < 15; ++i)
        many += "a-";
    many += "b";
    Pattern search{text, many, steps};
    CHECK_FALSE(search.match(0));
    CHECK(search.out_of_steps());
    CHECK(steps == 0);
    std::uint64_t enough = 1'000'000;
    const std::string deep(300, '(');
    Pattern nested{"a", deep, enough};
    CHECK_FALSE(nested.match(0));
    CHECK(nested.error() == "too many captures");
}
