// Functions by name: their pools, what they may hold, how calls end, and newer versions.
#include "taskd/lua/functions.hpp"

#include <algorithm>
#include <atomic>

#include "catch.hpp"
#include "lua_node.hpp"

using namespace taskd;
using namespace std::chrono_literals;
using support::SteadyNow;

namespace {

class FunctionBench {
  public:
    FunctionBench() : functions_{{scheduler_, alarms_, commands_, ids_, clock_, log_}} {
        REQUIRE(functions_.add_commands(commands_));
        REQUIRE(commands_.add(30, "test.hold", [this](runtime::CommandCall call) {
            const std::lock_guard lock{mutex_};
            held_.push_back(std::move(call.answer));
            changed_.notify_all();
        }));
        commands_.freeze();
        modules_ = {lua::Functions::module(), {"test", {{"hold", runtime::CommandId{30}}}}};
        functions_.set_modules(&modules_);
    }
    ~FunctionBench() { let_go(); }

    Result<void> set(const std::string& name, const std::string& source,
                     lua::PoolSettings settings = {}, lua::CallChecks checks = {}) {
        auto made =
            lua::Program::compile(name, source, {.modules = {"functions", "test"}, .imports = {}});
        REQUIRE(made);
        return functions_.set(name, {.program = *made, .method = ""}, settings, std::move(checks));
    }
    lua::Functions::CallId begin(const std::string& name, std::vector<Value> arguments = {}) {
        return functions_.call(name, std::move(arguments), [this](Result<Value> value) {
            const std::lock_guard lock{mutex_};
            ends_.push_back(value ? value->text : std::string{value.error().name()});
            changed_.notify_all();
        });
    }
    std::vector<std::string> ends(std::size_t count) {
        std::unique_lock lock{mutex_};
        changed_.wait_for(lock, 60s, [&] { return ends_.size() >= count; });
        return ends_;
    }
    std::string call(const std::string& name, std::vector<Value> arguments = {}) {
        const std::size_t before = ends(0).size();
        begin(name, std::move(arguments));
        return ends(before + 1).back();
    }
    void wait_for_held(std::size_t count) {
        std::unique_lock lock{mutex_};
        CHECK(changed_.wait_for(lock, 60s, [&] { return held_.size() >= count; }));
    }
    void let_go() {
        std::vector<std::function<void(Result<Value>)>> held;
        {
            const std::lock_guard lock{mutex_};
            held.swap(held_);
        }
        for (const auto& answer : held)
            answer(Value::of_text("go"));
    }
    lua::Functions& functions() { return functions_; }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> ends_;
    std::vector<std::function<void(Result<Value>)>> held_;
    SteadyNow clock_;
    support::SilentLog log_;
    std::vector<lua::Module> modules_;
    lua::Alarms alarms_;
    runtime::Commands commands_;
    runtime::ProcessIds ids_{"here"};
    lua::Scheduler scheduler_{2};
    lua::Functions functions_;
};

// Processes, and a function that sleeps as long as it is told.
struct SleepingNode {
    SleepingNode() {
        REQUIRE(host.add_commands(commands));
        REQUIRE(functions.add_commands(commands));
        commands.freeze();
        modules = host.modules();
        modules.push_back(lua::Functions::module());
        host.set_modules(&modules);
        functions.set_modules(&modules);
        const auto sleeper = lua::Program::compile(
            "sleeper", "return function(time) require('time').sleep(time) end",
            {.modules = {"time"}});
        REQUIRE(functions.set("sleeper", {.program = *sleeper}));
    }
    lua::Functions::CallId sleep(const char* time) {
        return functions.call("sleeper", {Value::of_text(time)},
                              [this](const Result<Value>&) { ++ended; });
    }
    static void wait_for(const std::function<bool()>& done) {
        for (int tries = 0; !done() && tries < 6'000; ++tries)
            std::this_thread::sleep_for(10ms);
    }
    void wait_for_alarms(std::size_t count) {
        wait_for([&] { return alarms.count() == count; });
        CHECK(alarms.count() == count);
    }
    void wait_for_ends(int count) {
        wait_for([&] { return ended == count; });
        CHECK(ended == count);
    }

    std::atomic<int> ended = 0;
    SteadyNow clock;
    support::SilentLog log;
    lua::Alarms alarms;
    runtime::Commands commands;
    runtime::Relay relay{{.node = "here"}, nullptr};
    runtime::ProcessIds ids{"here"};
    runtime::Topology topology{"here", "lua", nullptr};
    std::vector<lua::Module> modules;
    lua::Scheduler scheduler{1};
    lua::Host host{{}, {scheduler, alarms, commands, relay, topology, ids, clock, log}};
    lua::Functions functions{{scheduler, alarms, commands, ids, clock, log}};
};

const std::string counting = "local n = 0 return function() n = n + 1 return n end";
const std::string holding = "local test = require('test') return function() return test.hold() end";

// Than the sandbox itself: no machine can be made.
lua::ProgramSpec too_small() {
    return {*lua::Program::compile("small", holding), "", {.memory_bytes = 4096}};
}

}  // namespace

TEST_CASE("a pool makes machines as its kind says, and throws away those that failed") {
    FunctionBench bench;
    REQUIRE(bench.set("lazy", counting));
    CHECK(bench.functions().counts("lazy").made == 0);
    CHECK(bench.call("lazy") == "1");
    CHECK(bench.call("lazy") == "2");
    CHECK(bench.functions().counts("lazy").made == 1);

    REQUIRE(bench.set("fresh", counting, {.kind = lua::PoolKind::fresh}));
    CHECK(bench.call("fresh") == "1");
    CHECK(bench.call("fresh") == "1");

    REQUIRE(bench.set("fixed", counting, {.kind = lua::PoolKind::fixed, .machines_max = 3}));
    CHECK(bench.functions().counts("fixed").made == 3);
    CHECK(bench.functions().counts("fixed").machines == 3);

    REQUIRE(bench.set("fails",
                      "local n = 0 return function(x) n = n + 1 if x then error('x') end "
                      "return n end"));
    CHECK(bench.call("fails") == "1");
    CHECK(bench.call("fails", {Value::of_boolean(true)}) == "program_failed");
    CHECK(bench.call("fails") == "1");
    CHECK(bench.functions().counts("fails").made == 2);

    REQUIRE(bench.set("adaptive", counting, {.kind = lua::PoolKind::adaptive, .idle = 20ms}));
    CHECK(bench.call("adaptive") == "1");
    for (int tries = 0; bench.functions().counts("adaptive").machines > 0 && tries < 3'000; ++tries)
        std::this_thread::sleep_for(10ms);
    CHECK(bench.functions().counts("adaptive").machines == 0);
    CHECK(bench.call("adaptive") == "1");
}

TEST_CASE("calls beyond the pool wait their turn, or are refused") {
    FunctionBench bench;
    REQUIRE(bench.set("hold", holding, {.machines_max = 2, .waiting_max = 2}));
    for (int call = 0; call < 4; ++call)
        bench.begin("hold");
    bench.wait_for_held(2);
    CHECK(bench.functions().counts("hold").waiting == 2);
    CHECK(bench.call("hold") == "pool_full");
    const auto waiting = bench.begin("hold");
    CHECK(bench.ends(2).back() == "pool_full");
    bench.functions().stop(waiting, {ErrorCode::cancelled, {}});
    bench.let_go();
    bench.wait_for_held(2);
    bench.let_go();
    const auto ends = bench.ends(6);
    CHECK(std::ranges::count(ends, "go") == 4);
    CHECK(bench.call("none") == "function_not_found");
}

TEST_CASE("a call is stopped while it runs, waits for an answer, or waits for its turn") {
    FunctionBench bench;
    REQUIRE(bench.set("hold", holding, {.machines_max = 1}));
    REQUIRE(bench.set("loop", "return function() while true do end end"));
    const auto held = bench.begin("hold");
    const auto waits = bench.begin("hold");
    const auto loops = bench.begin("loop");
    bench.wait_for_held(1);
    bench.functions().stop(waits, {ErrorCode::cancelled, {}});
    CHECK(bench.ends(1) == std::vector<std::string>{"cancelled"});
    bench.functions().stop(held, {ErrorCode::attempt_timeout, {}});
    CHECK(bench.ends(2).back() == "attempt_timeout");
    bench.functions().stop(loops, {ErrorCode::crashed, {}});
    CHECK(bench.ends(3).back() == "crashed");
    bench.functions().stop(loops, {ErrorCode::crashed, {}});
}

TEST_CASE("a call is stopped while a newer version is to take it") {
    FunctionBench bench;
    REQUIRE(bench.set("hold", holding, {.machines_max = 1}));
    const auto held = bench.begin("hold");
    bench.wait_for_held(1);
    // The newer version has no machine for the first: its end stops the second.
    std::vector<std::string> told;
    lua::Functions::CallId second = 0;
    const auto tell = [&told](const Result<Value>& value) {
        told.push_back(value ? value->text : std::string{value.error().name()});
    };
    bench.functions().call("hold", {}, [&](const Result<Value>& value) {
        tell(value);
        bench.functions().stop(second, {ErrorCode::cancelled, {}});
    });
    second = bench.functions().call("hold", {}, tell);
    REQUIRE(bench.functions().set("hold", too_small(), {.machines_max = 1}));
    CHECK(told == std::vector<std::string>{"memory_limit", "cancelled"});
    bench.functions().stop(held, {ErrorCode::cancelled, {}});
    CHECK(bench.ends(1) == std::vector<std::string>{"cancelled"});
}

// Again and again, because the time between its wait and its run is short.
TEST_CASE("a call is stopped while a machine is made for it") {
    FunctionBench bench;
    REQUIRE(bench.set("either",
                      "local test = require('test')\n"
                      "return function(holds) if holds then return test.hold() end\n"
                      "while true do end end",
                      {.kind = lua::PoolKind::fresh, .machines_max = 1}));
    for (int round = 0; round < 50; ++round) {
        const auto before = bench.ends(0).size();
        bench.begin("either", {Value::of_boolean(true)});
        bench.wait_for_held(1);
        const auto loops = bench.begin("either");
        bench.let_go();
        while (bench.functions().counts("either").waiting > 0) {
        }
        bench.functions().stop(loops, {ErrorCode::attempt_timeout, {}});
        const auto ends = bench.ends(before + 2);
        REQUIRE(std::ranges::count(ends, "attempt_timeout") == round + 1);
    }
}

TEST_CASE("a newer version takes the next call, also of those that wait") {
    FunctionBench bench;
    REQUIRE(bench.set("hold", holding, {.machines_max = 1}));
    bench.begin("hold");
    bench.begin("hold");
    bench.wait_for_held(1);
    REQUIRE(bench.set("hold", "return function() return 'newer' end", {.machines_max = 1}));
    CHECK(bench.ends(1) == std::vector<std::string>{"newer"});
    bench.let_go();
    CHECK(bench.ends(2).back() == "go");
    bench.functions().remove("hold");
    CHECK(bench.call("hold") == "function_not_found");
}

TEST_CASE("where no machine can be made every call is told, also those that waited") {
    FunctionBench bench;
    REQUIRE(bench.set("hold", holding, {.machines_max = 1}));
    const auto held = bench.begin("hold");
    bench.wait_for_held(1);
    bench.begin("hold");
    bench.begin("hold");
    REQUIRE(bench.functions().set("hold", too_small(), {.machines_max = 1}));
    CHECK(bench.ends(2) == std::vector<std::string>{"memory_limit", "memory_limit"});
    CHECK(bench.functions().counts("hold").busy == 0);
    bench.functions().stop(held, {ErrorCode::cancelled, {}});
    CHECK(bench.ends(3).back() == "cancelled");
}

TEST_CASE("functions call each other") {
    FunctionBench bench;
    REQUIRE(bench.set("double", "return function(x) return x * 2 end"));
    REQUIRE(bench.set("outer",
                      "local functions = require('functions')\n"
                      "return function(x) local v, e = functions.call('double', x)\n"
                      "local _, missing = functions.call('none')\n"
                      "return v .. missing.kind end"));
    CHECK(bench.call("outer", {Value::of_number("21")}) == "42function_not_found");
}

TEST_CASE("a function that calls itself does not wait for a machine that waits for it") {
    FunctionBench bench;
    const std::string tree =
        "local functions = require('functions')\n"
        "return function(depth)\n"
        "  if depth == 0 then return 'leaf' end\n"
        "  local below, e = functions.call('tree', depth - 1)\n"
        "  return below or e.kind end";
    REQUIRE(bench.set("tree", tree, {.machines_max = 3}));
    CHECK(bench.call("tree", {Value::of_number("2")}) == "leaf");
    CHECK(bench.call("tree", {Value::of_number("3")}) == "pool_full");
    CHECK(bench.functions().counts("tree").busy == 0);
}

TEST_CASE("what a stopped call has called ends with it, also while it waits its turn") {
    FunctionBench bench;
    REQUIRE(bench.set("inner", "local test = require('test') return function() test.hold() end",
                      {.machines_max = 1}));
    REQUIRE(bench.set("outer",
                      "local functions = require('functions')\n"
                      "return function() return functions.call('inner') end"));
    const auto first = bench.begin("outer");
    bench.wait_for_held(1);
    const auto second = bench.begin("outer");
    while (bench.functions().counts("inner").waiting == 0)
        std::this_thread::yield();
    bench.functions().stop(second, Error{ErrorCode::timed_out, "outer"});
    CHECK(bench.ends(1).back() == "timed_out");
    while (bench.functions().counts("inner").waiting != 0)
        std::this_thread::yield();
    bench.functions().stop(first, Error{ErrorCode::timed_out, "outer"});
    CHECK(bench.ends(2).back() == "timed_out");
    while (bench.functions().counts("inner").busy != 0)
        std::this_thread::yield();
}

TEST_CASE("what a call is given and what it answers is held against what was said of both") {
    FunctionBench bench;
    const auto at_most = [](const std::string& text, ErrorCode code) -> Result<void> {
        if (text.size() <= 3) return {};
        return fail(code, text);
    };
    const std::string twice = "return function(text) return text .. text end";
    REQUIRE(bench.set(
        "twice", twice, {},
        {.arguments =
             [=](const std::vector<Value>& all) {
                 return at_most(all.at(0).text, ErrorCode::schema_mismatch);
             },
         .result =
             [=](const Value& value) { return at_most(value.text, ErrorCode::result_mismatch); }}));
    CHECK(bench.call("twice", {Value::of_text("a")}) == "aa");
    CHECK(bench.call("twice", {Value::of_text("abcd")}) == "schema_mismatch");
    CHECK(bench.call("twice", {Value::of_text("ab")}) == "result_mismatch");
    REQUIRE(bench.set("twice", twice));  // a newer one, of which nothing is said
    CHECK(bench.call("twice", {Value::of_text("ab")}) == "abab");
}

TEST_CASE("who calls a function when the node has let go of them is told that there is none") {
    SteadyNow clock;
    support::SilentLog log;
    lua::Alarms alarms;
    runtime::Commands commands;
    runtime::ProcessIds ids{"here"};
    lua::Scheduler scheduler{1};
    auto functions = std::make_unique<lua::Functions>(
        lua::FunctionPorts{scheduler, alarms, commands, ids, clock, log});
    REQUIRE(functions->add_commands(commands));
    commands.freeze();
    const auto call = std::get<runtime::CommandId>(lua::Functions::module().functions.front().does);
    REQUIRE(functions->set("count", {.program = *lua::Program::compile("count", counting)}));
    functions.reset();
    std::string told;
    commands.dispatch(call, {.process = 1,
                             .arguments = {Value::of_text("count")},
                             .answer = [&told](Result<Value> value) {
                                 told = value ? value->text : std::string{value.error().name()};
                             }});
    CHECK(told == "function_not_found");
}

TEST_CASE("a function that is stopped while it sleeps leaves no alarm behind") {
    SleepingNode node;
    for (const char* time : {"1h", "100d"}) {
        const auto call = node.sleep(time);
        node.wait_for_alarms(1);
        node.functions.stop(call, {ErrorCode::timed_out, {}});
    }
    node.wait_for_ends(2);
    CHECK(node.alarms.count() == 0);
    node.sleep("1ms");
    node.wait_for_ends(3);
    CHECK(node.alarms.count() == 0);
}

TEST_CASE("what a process has called ends with it") {
    SleepingNode node;
    const auto asks = lua::Program::compile(
        "asks", "return function() require('functions').call('sleeper', '1h') end",
        {.modules = {"functions"}});
    node.host.set_program("asks", {.program = *asks});
    const auto id = node.host.spawn({.program = "asks"});
    REQUIRE(id);
    node.wait_for_alarms(1);
    REQUIRE(node.host.terminate(id->number, ""));
    node.wait_for_alarms(0);
    SleepingNode::wait_for([&] { return node.functions.counts("sleeper").busy == 0; });
    CHECK(node.functions.counts("sleeper").busy == 0);
}

TEST_CASE("a node ends while its processes call functions without end") {
    SteadyNow clock;
    support::SilentLog log;
    lua::MemoryPool memory{limits::programs_memory_default};
    lua::Alarms alarms;
    runtime::Commands commands;
    runtime::Relay relay{{.node = "here"}, nullptr};
    runtime::ProcessIds ids{"here"};
    runtime::Topology topology{"here", "lua", nullptr};
    const std::vector<lua::Module> modules{lua::Functions::module()};
    {
        lua::Scheduler scheduler{2};
        lua::Host host{{},
                       {scheduler, alarms, commands, relay, topology, ids, clock, log, &memory}};
        lua::Functions functions{{scheduler, alarms, commands, ids, clock, log, &memory}};
        REQUIRE(functions.add_commands(commands));
        commands.freeze();
        host.set_modules(&modules);
        functions.set_modules(&modules);
        REQUIRE(functions.set("count", {.program = *lua::Program::compile("count", counting)}));
        const auto asks =
            lua::Program::compile("asks",
                                  "local functions = require('functions')\n"
                                  "return function() while true do functions.call('count') end end",
                                  {.modules = {"functions"}});
        host.set_program("asks", {.program = *asks});
        for (int process = 0; process < 4; ++process)
            REQUIRE(host.spawn({.program = "asks"}));
        while (functions.counts("count").calls < 100)
            std::this_thread::yield();
    }
    CHECK(memory.used() == 0);
}
