// Programs in their machine: what they may call, where they are stopped, and what gets in and out.
#include "taskd/lua/machine.hpp"

#include <fmt/format.h>

#include "catch.hpp"
#include "taskd/base/random.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/protocol/value_json.hpp"

using namespace taskd;
using namespace taskd::lua;
using Catch::Matchers::Contains;

namespace {

Value json(std::string_view text) {
    const auto value = protocol::read_json_value(text);
    REQUIRE(value);
    return *value;
}

std::vector<Module> test_modules() {
    return {{"test",
             {{"double", DirectFunction{[](const std::vector<Value>& arguments) -> Result<Value> {
                   if (arguments.size() != 1)
                       return fail(ErrorCode::invalid_field, "one argument, please");
                   return Value::of_text(arguments[0].text + arguments[0].text);
               }}},
              {"ask", runtime::CommandId{7}}}},
            {"secret", {}}};
}

class Bench {
  public:
    explicit Bench(std::string_view source, MachineLimits limits = {}) {
        Reach reach{.modules = {"test"}};
        auto imported = Program::compile("helper",
                                         "local n = 0\n"
                                         "return {next = function() n = n + 1 return n end}");
        REQUIRE(imported);
        reach.imports.emplace("helper", *imported);
        auto program = Program::compile("test.lua", source, reach);
        INFO(source);
        REQUIRE(program);
        auto made =
            Machine::make({.program = *program,
                           .limits = limits,
                           .modules = &modules_,
                           .clock = clock_.get(),
                           .print = [this](const std::string& line) { printed += line + "\n"; }});
        REQUIRE(made);
        machine = std::move(*made);
    }

    // Up to the end or a command, through all slices.
    Turn run(Turn turn) {
        while (turn.standing == Standing::slice) {
            ++slices;
            turn = machine->go_on();
        }
        return turn;
    }
    Turn call(std::vector<Value> arguments = {}, const std::string& method = "") {
        return run(machine->call(method, arguments));
    }
    std::string result(std::vector<Value> arguments = {}) {
        const Turn turn = call(std::move(arguments));
        INFO(turn.error.to_string());
        REQUIRE(turn.standing == Standing::done);
        std::string text;
        for (const Value& value : turn.values)
            text += (text.empty() ? "" : " ") + protocol::write_json_value(value);
        return text;
    }

    std::unique_ptr<Machine> machine;
    std::string printed;
    int slices = 0;

  private:
    std::vector<Module> modules_ = test_modules();
    std::unique_ptr<port::Clock> clock_ = io::make_system_clock();
};

std::string value_of(std::string_view expression) {
    return Bench{fmt::format("return function() return {} end", expression)}.result();
}

Error error_of(std::string_view body, MachineLimits limits = {}) {
    Bench bench{fmt::format("return function() {} end", body), limits};
    const Turn turn = bench.call();
    INFO(body);
    REQUIRE(turn.standing == Standing::failed);
    return turn.error;
}

}  // namespace

TEST_CASE("a program is called with values and returns values") {
    Bench bench{
        "local calls = 0\n"
        "return {main = function(a, b) calls = calls + 1; return a.x + b, calls end,\n"
        "        other = function() return 'o' end}"};
    const Turn first = bench.call({json(R"({"x":40})"), json("2")}, "main");
    REQUIRE(first.standing == Standing::done);
    REQUIRE(first.values.size() == 2);
    CHECK(first.values[0] == json("42"));
    CHECK(bench.call({json(R"({"x":1})"), json("2.5")}, "main").values[1] == json("2"));
    CHECK(bench.call({}, "other").values[0] == json(R"("o")"));
    const Turn missing = bench.call({}, "none");
    CHECK(missing.standing == Standing::failed);
    CHECK_THAT(missing.error.detail, Contains("no function 'none'"));
}

TEST_CASE("programs that are none are named with their line") {
    CHECK(Program::compile("p", "return 1 +").error().code == ErrorCode::bad_program);
    CHECK_THAT(Program::compile("p", "x =\n= 2").error().detail, Contains("p:2:"));
    CHECK_THAT(Program::compile("p", "\x1bLua").error().detail, Contains("bytecode"));
    const std::string large(limits::program_bytes_max + 1, ' ');
    CHECK(Program::compile("p", large).error().code == ErrorCode::bad_program);
}

TEST_CASE("an error has its text, its line and where it came from") {
    Bench bench{"local function inner() error('no flour') end\nreturn function() inner() end"};
    const Turn turn = bench.call();
    REQUIRE(turn.standing == Standing::failed);
    CHECK(turn.error.code == ErrorCode::program_failed);
    CHECK(turn.error.detail == "test.lua:1: no flour");
    CHECK_THAT(turn.trace, Contains("test.lua:2:"));
    const Error ours = error_of("error{kind='not_found', message='no such pizza'}");
    CHECK(ours.code == ErrorCode::not_found);
    CHECK(ours.detail == "no such pizza");
    CHECK_THAT(error_of("error(nil)").detail, Contains("nil"));
    CHECK(error_of("error('\\xff\\xfeodd', 0)").detail == "odd");
    CHECK_THAT(error_of("coroutine.yield(1)").detail, Contains("outside a coroutine"));
}

TEST_CASE("direct functions answer at once, or with nil and an error") {
    CHECK(value_of("require('test').double('ab')") == R"("abab")");
    Bench bench{
        "return function() local v, e = require('test').double()\n"
        "return v == nil, e.kind, tostring(e), e.retryable end"};
    CHECK(bench.result() ==
          R"x(true "invalid_field" "invalid_field: a field has a wrong type or value )x"
          R"x((one argument, please)" false)x");
    CHECK(error_of("require('secret')").code == ErrorCode::module_not_allowed);
    CHECK(error_of("require('os')").code == ErrorCode::module_not_allowed);
    Bench imports{
        "local a, b = require('helper'), require('helper')\n"
        "return function() return a.next(), b.next(), a == b end"};
    CHECK(imports.result() == "1 2 true");
}

TEST_CASE("a command puts the program aside until it is answered") {
    Bench bench{
        "local test = require('test')\nlocal first = test.ask('before')\n"
        "return function() local v, e = test.ask(1, {a = 2}); return first, v, e end"};
    Turn turn = bench.call();
    REQUIRE(turn.standing == Standing::command);
    CHECK(turn.command == 7);
    CHECK(turn.values == std::vector{json(R"("before")")});
    turn = bench.run(bench.machine->answer(json("[1,null]")));
    REQUIRE(turn.standing == Standing::command);
    CHECK(turn.values == std::vector{json("1"), json(R"({"a":2})")});
    turn = bench.run(bench.machine->answer(fail(ErrorCode::timed_out, "late")));
    REQUIRE(turn.standing == Standing::done);
    CHECK(turn.values[0] == json("[1,null]"));
    CHECK(turn.values[1] == Value{});
    CHECK(turn.values[2].fields[0].value == json(R"("timed_out")"));
}

TEST_CASE("whoever waits within coroutines and protected calls is put aside whole") {
    Bench bench{
        "local test = require('test')\nreturn function()\n"
        "  local inner = coroutine.wrap(function()\n"
        "    local got = test.ask('deep'); coroutine.yield(got)\n"
        "    for i = 1, 100000 do end\n"
        "    local ok, v = pcall(function() return test.ask('deeper') end)\n"
        "    return ok and v end)\n"
        "  local co = coroutine.create(function() return inner(), inner() end)\n"
        "  local ok, a, b = coroutine.resume(co)\n"
        "  return ok, a, b, coroutine.status(co), coroutine.resume(co) end"};
    Turn turn = bench.call();
    REQUIRE(turn.standing == Standing::command);
    CHECK(turn.values[0].text == "deep");
    turn = bench.run(bench.machine->answer(json("10")));
    REQUIRE(turn.standing == Standing::command);
    CHECK(turn.values[0].text == "deeper");
    CHECK(bench.slices > 0);
    turn = bench.run(bench.machine->answer(json("20")));
    INFO(turn.error.to_string());
    REQUIRE(turn.standing == Standing::done);
    REQUIRE(turn.values.size() == 6);
    CHECK(turn.values[1] == json("10"));
    CHECK(turn.values[2] == json("20"));
    CHECK(turn.values[3].text == "dead");
    CHECK(turn.values[4] == json("false"));
}

TEST_CASE("where Lua's own functions call back nobody can wait") {
    const std::string sort =
        "table.sort({3,2,1}, function(a, b) require('test').ask(1); return a < b end)";
    CHECK(error_of(sort).code == ErrorCode::cannot_wait);
    const std::string within =
        "table.sort({3,2,1}, function(a, b) coroutine.wrap(function() "
        "require('test').ask(1) end)(); return a < b end)";
    CHECK(error_of(within).code == ErrorCode::cannot_wait);
    // What only takes long there is no fault.
    CHECK(value_of(
              "(string.gsub('abc', '.', function(c) for i = 1, 50000 do end return c..c end))") ==
          R"("aabbcc")");
}

TEST_CASE("print goes to whoever looks after the program") {
    Bench bench{"print('a', 1, nil, true)\nreturn function() print({1} ~= nil) end"};
    bench.call();
    CHECK(bench.printed == "a\t1\tnil\ttrue\ntrue\n");
}

TEST_CASE("an endless loop is stopped and named, whatever it catches") {
    const MachineLimits few{.instructions = 1'000'000};
    for (const char* body :
         {"while true do end", "while true do pcall(function() while true do end end) end",
          "local function f() return pcall(f) end f() while true do pcall(f) end",
          "repeat local co = coroutine.wrap(function() while true do end end) pcall(co) until "
          "false",
          "while true do coroutine.wrap(function() for i = 1, 900 do end end)() end",
          "local t = setmetatable({}, {__index = function() while true do end end}) local x = t.a",
          "local t <close> = setmetatable({}, {__close = function() while true do end end})",
          "table.sort({1,2,3}, function() while true do end end)",
          "xpcall(error, function() while true do end end)",
          "string.gsub('a', 'a', function() while true do end end)",
          "for _ in function() return 1 end do end", "goto a ::a:: goto a",
          "string.find(('a'):rep(30), ('a?'):rep(30) .. ('a'):rep(30) .. 'b')",
          "string.match(('a'):rep(3000), ('.-'):rep(20) .. 'b')",
          "for k in pairs(setmetatable({}, {__pairs = function() return function() return 1 end "
          "end})) do end"}) {
        INFO(body);
        CHECK(error_of(body, few).code == ErrorCode::instruction_limit);
    }
}

TEST_CASE("what one instruction does is bounded too") {
    for (const char* body :
         {"string.rep('x', 1 << 40)", "string.rep('x', 1 << 62, 'yy')",
          "local s = 'x' while true do s = s .. s end",
          "local t = {} for i = 1, 1 << 40 do t[i] = {} end",
          "local t = {} while true do t = {t, t, t, t} end",
          "local function f(n) return {f(n + 1)} end f(1)",
          "local s = ('x'):rep(1000000) local t = {} for i = 1, 1000 do t[i] = s:upper() .. i end",
          "string.format(('%99d'):rep(100000), 1)",
          "string.gsub(('a'):rep(1000000), '.', ('b'):rep(1000))"}) {
        INFO(body);
        const Error error = error_of(body);
        const bool bounded = error.code == ErrorCode::memory_limit ||
                             error.detail.find("stack overflow") != std::string::npos ||
                             error.detail.find("bad argument") != std::string::npos;
        INFO(error.to_string());
        CHECK(bounded);
    }
    for (const char* body :
         {"table.move({}, 1, 1 << 60, 2)", "table.concat({}, '', 1, 1 << 60)",
          "table.insert(setmetatable({}, {__len = function() return 1 << 60 end}), 1, 1)",
          "table.remove(setmetatable({}, {__len = function() return 1 << 60 end}), 1)",
          "table.unpack({}, 1, 1 << 60)",
          "table.sort(setmetatable({}, {__len = function() return 1 << 60 end}))",
          "setmetatable({}, {__gc = function() while true do end end})",
          "local function f() return f() + 1 end f()",
          "local function f() pcall(f) error('x') end f()", "string.rep('', 1 << 60):bad()"}) {
        INFO(body);
        error_of(body);
    }
}

TEST_CASE("nothing leads out of the sandbox") {
    for (const char* name : {"io", "os", "debug", "package", "load", "loadstring", "loadfile",
                             "dofile", "collectgarbage", "string.dump", "warn", "module", "jit"})
        CHECK(value_of(fmt::format("{} == nil", name)) == "true");
    // The metatable of texts is each program's own, and so is everything else.
    Bench one{"string.upper = nil; getmetatable('').__index = nil\nreturn function() end"};
    one.call();
    CHECK(value_of("('a'):upper()") == R"("A")");
    CHECK(value_of("getmetatable(require('test')) == nil and rawlen({1}) == 1") == "true");
    CHECK(value_of("pcall(require('test').double, coroutine.create(print))") ==
          R"x(true null {"kind":"not_convertible","message":"a value has no form in the )x"
          R"x(format asked for (a thread)","retryable":false})x");
    // Garbage with a finalizer that came in later is not finalized either.
    CHECK(value_of("(function() local m = {} setmetatable({}, m) m.__gc = function() while true do "
                   "end end return 1 end)()") == "1");
}

TEST_CASE("memory counts what a program holds, and is given back") {
    Bench bench{
        "local held\nreturn {fill = function() held = ('x'):rep(1 << 20) end,\n"
        "drop = function() held = nil for i = 1, 200 do local t = ('y'):rep(1 << 16) end end}"};
    bench.call({}, "drop");
    const std::size_t before = bench.machine->memory_bytes();
    bench.call({}, "fill");
    CHECK(bench.machine->memory_bytes() > before + (1 << 19));
    for (int i = 0; i < 5; ++i)
        bench.call({}, "drop");
    CHECK(bench.machine->memory_bytes() < before + (1 << 20));
    const auto clock = io::make_system_clock();
    CHECK(Machine::make({.program = *Program::compile("p", "return 1"),
                         .limits = {.memory_bytes = 4096},
                         .clock = clock.get()})
              .error()
              .code == ErrorCode::memory_limit);
}

TEST_CASE("what a program is called with and answered counts until the program has it") {
    const auto clock = io::make_system_clock();
    const auto modules = test_modules();
    MemoryPool pool{8 * limits::mebibyte};
    const Value large = Value::of_text(std::string(3 * limits::mebibyte, 'x'));
    const auto program = Program::compile(
        "p", "return function() return #require('test').ask() end", {.modules = {"test"}});
    const auto make = [&] {
        return *Machine::make(
            {.program = *program, .modules = &modules, .clock = clock.get(), .pool = &pool});
    };
    auto machine = make();
    CHECK(machine->prepare("", {large, large, large}).error().code == ErrorCode::host_memory_full);
    CHECK(pool.used() < limits::mebibyte);
    REQUIRE(machine->prepare("", {large}));
    CHECK(pool.used() > large.text.size());
    machine.reset();  // never called
    CHECK(pool.used() == 0);

    machine = make();
    REQUIRE(machine->call("", {}).standing == Standing::command);
    machine->keep_answer(large);
    CHECK(pool.used() > large.text.size());
    CHECK(machine->go_on().standing == Standing::done);
    CHECK(pool.used() < large.text.size() + limits::mebibyte);  // Lua's own copy
    machine.reset();
    CHECK(pool.used() == 0);
}
