#include "values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "taskd/base/limits.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::lua {
namespace {

// Their addresses are what counts.
constexpr char null_mark = 0;
constexpr char list_mark = 0;
constexpr char error_mark = 0;

const void* address(const char& mark) {
    return &mark;
}
void* null_pointer() {
    return const_cast<char*>(&null_mark);
}

// ---- to Lua -------------------------------------------------------------------------------------

// A whole number that is no 64-bit integer is a float when that holds all of its digits.
Result<double> float_of(const std::string& text) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = text.find_first_of(".eE") == std::string::npos;
    if (error != std::errc{} || end != text.data() + text.size() ||
        (whole && text != "-0" && fmt::format("{:.0f}", number) != text))
        return fail(ErrorCode::not_convertible, "Lua has no number for " + text);
    return number;
}

Result<void> push_number(lua_State* lua, const std::string& text) {
    lua_Integer whole = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
    if (error == std::errc{} && end == text.data() + text.size() && text != "-0") {
        lua_pushinteger(lua, whole);
        return {};
    }
    const auto number = float_of(text);
    if (!number) return std::unexpected{number.error()};
    lua_pushnumber(lua, *number);
    return {};
}

Result<void> push_list(lua_State* lua, const Value& value) {
    const int base = lua_gettop(lua);
    lua_createtable(lua, static_cast<int>(value.items.size()), 0);
    lua_rawgetp(lua, LUA_REGISTRYINDEX, address(list_mark));
    lua_setmetatable(lua, -2);
    lua_Integer at = 0;
    for (const Value& item : value.items) {
        if (auto pushed = push_value(lua, item); !pushed) {
            lua_settop(lua, base);
            return pushed;
        }
        lua_rawseti(lua, -2, ++at);
    }
    return {};
}

Result<void> push_map(lua_State* lua, const Value& value) {
    const int base = lua_gettop(lua);
    lua_createtable(lua, 0, static_cast<int>(value.fields.size()));
    for (const ValueField& field : value.fields) {
        lua_pushlstring(lua, field.name.data(), field.name.size());
        if (auto pushed = push_value(lua, field.value); !pushed) {
            lua_settop(lua, base);
            return pushed;
        }
        lua_rawset(lua, -3);
    }
    return {};
}

// ---- from Lua -----------------------------------------------------------------------------------

class Reader {
  public:
    Reader(lua_State* lua, std::size_t bytes_max) : lua_{lua}, left_{bytes_max} {}

    Result<Value> read(int index) {
        if (auto taken = take(sizeof(Value)); !taken) return std::unexpected{taken.error()};
        switch (lua_type(lua_, index)) {
            case LUA_TNIL:
                return Value{};
            case LUA_TBOOLEAN:
                return Value::of_boolean(lua_toboolean(lua_, index) != 0);
            case LUA_TNUMBER:
                return number(index);
            case LUA_TSTRING:
                return text(index);
            case LUA_TTABLE:
                return table(lua_absindex(lua_, index));
            case LUA_TLIGHTUSERDATA:
                if (lua_touserdata(lua_, index) == null_pointer()) return Value{};
                [[fallthrough]];
            default:
                return fail(ErrorCode::not_convertible,
                            fmt::format("a {}{}", luaL_typename(lua_, index), where()));
        }
    }

    std::size_t left() const { return left_; }

  private:
    std::string where() const { return path_.empty() ? "" : " at " + path_; }

    Result<void> take(std::size_t bytes) {
        if (bytes > left_) return fail(ErrorCode::not_convertible, "a value this large" + where());
        left_ -= bytes;
        return {};
    }

    Result<Value> number(int index) {
        if (lua_isinteger(lua_, index) != 0)
            return Value::of_number(std::to_string(lua_tointeger(lua_, index)));
        const double number = lua_tonumber(lua_, index);
        if (!std::isfinite(number))
            return fail(ErrorCode::not_convertible,
                        fmt::format("the number {}{}", number, where()));
        return Value::of_number(fmt::format("{}", number));
    }

    Result<std::string> utf8(int index) {
        std::size_t size = 0;
        const char* data = lua_tolstring(lua_, index, &size);
        if (!protocol::is_utf8({data, size}))
            return fail(ErrorCode::not_convertible, "a text that is not UTF-8" + where());
        if (auto taken = take(size); !taken) return std::unexpected{taken.error()};
        return std::string{data, size};
    }
    Result<Value> text(int index) {
        auto read = utf8(index);
        if (!read) return std::unexpected{read.error()};
        return Value::of_text(std::move(*read));
    }

    bool is_marked_list(int index) {
        if (lua_getmetatable(lua_, index) == 0) return false;
        lua_rawgetp(lua_, LUA_REGISTRYINDEX, address(list_mark));
        const bool marked = lua_rawequal(lua_, -1, -2) != 0;
        lua_pop(lua_, 2);
        return marked;
    }

    Result<Value> table(int index) {
        if (depth_ == limits::program_value_depth_max)
            return fail(ErrorCode::not_convertible, "a table this deep, or within itself");
        luaL_checkstack(lua_, 8, "a table too deep");
        ++depth_;
        lua_pushnil(lua_);
        const bool any = lua_next(lua_, index) != 0;
        const bool numbered = any && lua_isinteger(lua_, -2) != 0;
        lua_settop(lua_, any ? lua_gettop(lua_) - 2 : lua_gettop(lua_));
        auto made = numbered || (!any && is_marked_list(index)) ? list(index) : map(index);
        --depth_;
        return made;
    }

    Result<Value> list(int index) {
        Value made;
        made.kind = ValueKind::list;
        const lua_Unsigned count = lua_rawlen(lua_, index);
        lua_Unsigned keys = 0;
        lua_pushnil(lua_);
        while (lua_next(lua_, index) != 0) {
            lua_pop(lua_, 1);
            const lua_Integer key = lua_isinteger(lua_, -1) != 0 ? lua_tointeger(lua_, -1) : 0;
            if (key < 1 || static_cast<lua_Unsigned>(key) > count)
                return fail(ErrorCode::not_convertible,
                            "a table that is neither list nor map" + where());
            ++keys;
        }
        if (keys != count) return fail(ErrorCode::not_convertible, "a list with gaps" + where());
        const std::size_t path = path_.size();
        for (lua_Unsigned at = 1; at <= count; ++at) {
            path_ += fmt::format("[{}]", at);
            lua_rawgeti(lua_, index, static_cast<lua_Integer>(at));
            auto item = read(-1);
            if (!item) return item;
            lua_pop(lua_, 1);
            made.items.push_back(std::move(*item));
            path_.resize(path);
        }
        return made;
    }

    // In order of the names: Lua has none of its own.
    Result<Value> map(int index) {
        Value made;
        made.kind = ValueKind::map;
        const std::size_t path = path_.size();
        lua_pushnil(lua_);
        while (lua_next(lua_, index) != 0) {
            if (lua_type(lua_, -2) != LUA_TSTRING)
                return fail(
                    ErrorCode::not_convertible,
                    fmt::format("a {} as the name of a field{}", luaL_typename(lua_, -2), where()));
            auto name = utf8(-2);
            if (!name) return std::unexpected{name.error()};
            path_ += "." + *name;
            auto value = read(-1);
            if (!value) return value;
            path_.resize(path);
            made.fields.push_back({std::move(*name), std::move(*value)});
            lua_pop(lua_, 1);
        }
        std::ranges::sort(made.fields, {}, &ValueField::name);
        return made;
    }

    lua_State* lua_;
    std::size_t left_;
    std::size_t depth_ = 0;
    std::string path_;
};

int make_list(lua_State* lua) {
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_settop(lua, 1);
    lua_rawgetp(lua, LUA_REGISTRYINDEX, address(list_mark));
    lua_setmetatable(lua, 1);
    return 1;
}

// What is thrown may be as long as memory: logs and messages have its beginning.
std::string beginning(std::string_view text) {
    if (text.size() <= limits::program_error_bytes_max) return std::string{text};
    std::size_t end = limits::program_error_bytes_max;
    while (end > 0 && (text[end] & 0xC0) == 0x80)
        --end;
    return std::string{text.substr(0, end)} + "…";
}

std::string raw_text(lua_State* lua, int table, const char* name) {
    lua_pushstring(lua, name);
    lua_rawget(lua, table);
    std::size_t size = 0;
    const char* text = lua_type(lua, -1) == LUA_TSTRING ? lua_tolstring(lua, -1, &size) : nullptr;
    std::string copy = text == nullptr ? std::string{} : beginning({text, size});
    lua_pop(lua, 1);
    return copy;
}

// Whether it is one of ours: a program must not get at what all its lists and errors share.
bool is_mark(lua_State* lua, int index) {
    for (const char* mark : {&list_mark, &error_mark}) {
        lua_rawgetp(lua, LUA_REGISTRYINDEX, mark);
        const bool same = lua_rawequal(lua, index, -1) != 0;
        lua_pop(lua, 1);
        if (same) return true;
    }
    return false;
}

// As Lua's own, but for lists and errors: with their metatable at hand a program could give them
// finalizers, which run without hooks.
int get_metatable(lua_State* lua) {
    luaL_checkany(lua, 1);
    if (lua_getmetatable(lua, 1) == 0 || is_mark(lua, lua_gettop(lua))) {
        lua_pushnil(lua);
        return 1;
    }
    luaL_getmetafield(lua, 1, "__metatable");
    return 1;
}

int error_to_text(lua_State* lua) {
    luaL_checktype(lua, 1, LUA_TTABLE);
    const std::string text = raw_text(lua, 1, "kind") + ": " + raw_text(lua, 1, "message");
    lua_pushlstring(lua, text.data(), text.size());
    return 1;
}

}  // namespace

void open_values(lua_State* lua) {
    lua_createtable(lua, 0, 1);
    lua_pushliteral(lua, "list");
    lua_setfield(lua, -2, "__name");
    lua_rawsetp(lua, LUA_REGISTRYINDEX, address(list_mark));
    lua_createtable(lua, 0, 2);
    lua_pushliteral(lua, "error");
    lua_setfield(lua, -2, "__name");
    lua_pushcfunction(lua, error_to_text);
    lua_setfield(lua, -2, "__tostring");
    lua_rawsetp(lua, LUA_REGISTRYINDEX, address(error_mark));
    lua_pushlightuserdata(lua, null_pointer());
    lua_setglobal(lua, "null");
    lua_pushcfunction(lua, make_list);
    lua_setglobal(lua, "list");
    lua_pushcfunction(lua, get_metatable);
    lua_setglobal(lua, "getmetatable");
}

Result<std::string> number_text(const std::string& json) {
    lua_Integer whole = 0;
    const auto [end, error] = std::from_chars(json.data(), json.data() + json.size(), whole);
    const bool is_whole = json.find_first_of(".eE") == std::string::npos;
    if (is_whole && error == std::errc{} && json != "-0")
        return whole == LUA_MININTEGER ? "math.mininteger" : json;
    const auto number = float_of(json);
    if (!number) return std::unexpected{number.error()};
    return is_whole ? json + ".0" : json;
}

Result<void> push_value(lua_State* lua, const Value& value) {
    luaL_checkstack(lua, 4, "a value too deep");
    switch (value.kind) {
        case ValueKind::null:
            lua_pushlightuserdata(lua, null_pointer());
            return {};
        case ValueKind::boolean:
            lua_pushboolean(lua, value.boolean ? 1 : 0);
            return {};
        case ValueKind::number:
            return push_number(lua, value.text);
        case ValueKind::text:
            lua_pushlstring(lua, value.text.data(), value.text.size());
            return {};
        case ValueKind::list:
            return push_list(lua, value);
        case ValueKind::map:
            return push_map(lua, value);
    }
    return {};
}

Result<Value> read_value(lua_State* lua, int index, std::size_t bytes_max) {
    const int top = lua_gettop(lua);
    auto value = Reader{lua, bytes_max}.read(index);
    lua_settop(lua, top);
    return value;
}

Result<std::vector<Value>> read_values(lua_State* lua, int first, std::size_t bytes_max,
                                       std::size_t* bytes) {
    std::vector<Value> values;
    Reader reader{lua, bytes_max};
    const int top = lua_gettop(lua);
    for (int index = first; index <= top; ++index) {
        auto value = reader.read(index);
        lua_settop(lua, top);
        if (bytes != nullptr) *bytes = bytes_max - reader.left();
        if (!value) return std::unexpected{value.error()};
        values.push_back(std::move(*value));
    }
    return values;
}

std::size_t bytes_of(const Value& value) {
    std::size_t bytes = sizeof(Value) + value.text.size();
    for (const Value& item : value.items)
        bytes += bytes_of(item);
    for (const ValueField& field : value.fields)
        bytes += sizeof(std::string) + field.name.size() + bytes_of(field.value);
    return bytes;
}

void push_error(lua_State* lua, const Error& error) {
    const ErrorRow& row = row_of(error.code);
    lua_createtable(lua, 0, 3);
    lua_pushlstring(lua, row.name.data(), row.name.size());
    lua_setfield(lua, -2, "kind");
    const std::string message = error.detail.empty()
                                    ? std::string{row.text}
                                    : fmt::format("{} ({})", row.text, error.detail);
    lua_pushlstring(lua, message.data(), message.size());
    lua_setfield(lua, -2, "message");
    lua_pushboolean(lua, row.retryable ? 1 : 0);
    lua_setfield(lua, -2, "retryable");
    lua_rawgetp(lua, LUA_REGISTRYINDEX, address(error_mark));
    lua_setmetatable(lua, -2);
}

Error read_error(lua_State* lua, int index) {
    const int at = lua_absindex(lua, index);
    if (lua_type(lua, at) == LUA_TSTRING) {
        std::size_t size = 0;
        const char* text = lua_tolstring(lua, at, &size);
        return {ErrorCode::program_failed, beginning({text, size})};
    }
    if (lua_type(lua, at) != LUA_TTABLE)
        return {ErrorCode::program_failed, fmt::format("a {} was thrown", luaL_typename(lua, at))};
    const ErrorRow* row = find_error(raw_text(lua, at, "kind"));
    std::string message = raw_text(lua, at, "message");
    if (row == nullptr) return {ErrorCode::program_failed, std::move(message)};
    // One that was handed in and is thrown on has its text in front already.
    const std::string front = fmt::format("{} (", row->text);
    if (message == row->text) message.clear();
    if (message.starts_with(front) && message.ends_with(')'))
        message = message.substr(front.size(), message.size() - front.size() - 1);
    return {row->code, std::move(message)};
}

}  // namespace taskd::lua
