// Programs that mean harm: each attack ends by name, takes no more than its share, and the node
// goes on with the others.
#include <algorithm>

#include "catch.hpp"
#include "lua_node.hpp"

using namespace taskd;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using support::LuaNode;

namespace {

constexpr std::size_t mebibyte = limits::mebibyte;

// A program runs to its end: what it returned, or the name of its error.
class Trial {
  public:
    explicit Trial(LuaNode& node) : node_{node} {}

    // Its number.
    int begin(const std::string& body, lua::MachineLimits limits = {}) {
        const int number = ++programs_;
        const std::string name = "p" + std::to_string(number);
        node_.program(name, body, limits);
        const auto id = node_.host().spawn(
            {.program = name, .on_end = [this, number](const lua::ProcessEnded& end) {
                 const std::lock_guard lock{mutex_};
                 ends_.emplace(number, end.result);
                 changed_.notify_all();
             }});
        REQUIRE(id);
        return number;
    }
    Result<Value> run(const std::string& body, lua::MachineLimits limits = {}) {
        const int number = begin(body, limits);
        std::unique_lock lock{mutex_};
        REQUIRE(changed_.wait_for(lock, 60s, [&] { return ends_.contains(number); }));
        return ends_.at(number);
    }
    std::string ends_as(const std::string& body, lua::MachineLimits limits = {}) {
        const auto end = run(body, limits);
        return end ? end->text : std::string{end.error().name()};
    }

  private:
    LuaNode& node_;
    std::mutex mutex_;
    std::condition_variable changed_;
    int programs_ = 0;
    std::map<int, Result<Value>> ends_;
};

}  // namespace

TEST_CASE("coroutines that close each other do not use up the thread's stack") {
    LuaNode node;
    Trial trial{node};
    CHECK(trial.ends_as("return function()\n"
                        "  local before\n"
                        "  for i = 1, 8000 do\n"
                        "    local inner = before\n"
                        "    local co = coroutine.create(function()\n"
                        "      local x <close> = setmetatable({}, {__close = function()\n"
                        "        if inner then coroutine.close(inner) end end})\n"
                        "      coroutine.yield() end)\n"
                        "    coroutine.resume(co)\n"
                        "    before = co\n"
                        "  end\n"
                        "  local ok = coroutine.close(before)\n"
                        "  return 'alive' end") == "alive");
    // Each of them goes deep itself, through a function that needs much of the stack.
    for (const char* end : {"coroutine.close(inner)", "coroutine.wrap(function() error('x') end)"})
        CHECK(trial.ends_as("return function()\n"
                            "  local before\n"
                            "  local function deep(n, last)\n"
                            "    if n == 0 then last()\n"
                            "    else ('x'):gsub('x', function() deep(n - 1, last) end) end end\n"
                            "  for i = 1, 200 do\n"
                            "    local inner = before\n"
                            "    local co = coroutine.create(function()\n"
                            "      local x <close> = setmetatable({}, {__close = function()\n"
                            "        deep(180, function() if inner then " +
                            std::string{end} +
                            " end end) end})\n"
                            "      coroutine.yield() end)\n"
                            "    coroutine.resume(co)\n"
                            "    before = co\n"
                            "  end\n"
                            "  coroutine.close(before)\n"
                            "  return 'alive' end") == "alive");
    // A wrapped one that fails closes what it has too.
    CHECK(trial.ends_as("return function()\n"
                        "  local function deep(n, last)\n"
                        "    if n == 0 then last()\n"
                        "    else ('x'):gsub('x', function() deep(n - 1, last) end) end end\n"
                        "  local function failing(k)\n"
                        "    coroutine.wrap(function()\n"
                        "      local x <close> = setmetatable({}, {__close = function()\n"
                        "        if k > 0 then deep(150, function() failing(k - 1) end) end end})\n"
                        "      error('on purpose') end)() end\n"
                        "  pcall(failing, 100)\n"
                        "  return 'alive' end") == "alive");
    // Closed one after the other is no fault, and what was closed is dead.
    CHECK(trial.ends_as("return function()\n"
                        "  local closed = 0\n"
                        "  for i = 1, 500 do\n"
                        "    local co = coroutine.create(function()\n"
                        "      local x <close> = setmetatable({}, {__close = function()\n"
                        "        closed = closed + 1 end})\n"
                        "      coroutine.yield() end)\n"
                        "    coroutine.resume(co)\n"
                        "    assert(coroutine.close(co) and coroutine.status(co) == 'dead')\n"
                        "  end\n"
                        "  return 'closed ' .. closed end") == "closed 500");
    CHECK(trial.ends_as("return function()\n"
                        "  local co = coroutine.create(function()\n"
                        "    local x <close> = setmetatable({}, {__close = function()\n"
                        "      while true do end end})\n"
                        "    coroutine.yield() end)\n"
                        "  coroutine.resume(co) coroutine.close(co) end",
                        {.instructions = 1'000'000}) == "instruction_limit");
}

TEST_CASE("no program gets a finalizer, by whatever table") {
    LuaNode node;
    Trial trial{node};
    CHECK(trial.ends_as("return function()\n"
                        "  local _, e = require('json').decode('{')\n"
                        "  for _, each in ipairs{list{}, require('json').decode('[]'), e} do\n"
                        "    local mt = getmetatable(each)\n"
                        "    if mt then mt.__gc = function() while true do end end end\n"
                        "  end\n"
                        "  for i = 1, 20000 do local t = list{i} end\n"
                        "  return 'no way' end") == "no way");
    CHECK(trial.ends_as("return function()\n"
                        "  return tostring(getmetatable(list{})) .. type(getmetatable(''))\n"
                        "    .. getmetatable(setmetatable({}, {__metatable = 'mine'})) end") ==
          "niltablemine");
}

TEST_CASE("what is handed out counts together, however often it is named") {
    LuaNode node;
    Trial trial{node};
    const std::string many =
        "return function()\n"
        "  local s, all = ('x'):rep(1000000), {}\n"
        "  for i = 1, 200 do all[i] = s end\n";
    CHECK(trial.ends_as(many + "return table.unpack(all) end") == "not_convertible");
    CHECK(trial.ends_as(many + "local _, e = process.send('x', 't', table.unpack(all))\n"
                               "return e.kind end") == "not_convertible");
    CHECK(trial.ends_as("return function() local s = ('x'):rep(2000000)\n"
                        "local _, e = process.send('x', 't', {s, s, s}) return e.kind end") ==
          "message_too_large");
    // What a command was given is the program's own until it is answered.
    CHECK(trial.ends_as("return function() local s = ('x'):rep(3000000)\n"
                        "process.receive{timeout = 0, topic = s} end",
                        {.memory_bytes = 4 * mebibyte}) == "memory_limit");
}

TEST_CASE("long texts are cut where people read them") {
    LuaNode node;
    Trial trial{node};
    const auto thrown = trial.run("return function() error(('ß'):rep(1000000), 0) end");
    REQUIRE_FALSE(thrown);
    CHECK(thrown.error().detail.size() < 5'000);
    CHECK(thrown.error().detail.ends_with("ß…"));
    const auto table =
        trial.run("return function() error{kind = 'not_found', message = ('x'):rep(1000000)} end");
    CHECK(table.error().code == ErrorCode::not_found);
    CHECK(table.error().detail.size() < 5'000);
    CHECK(trial.ends_as("return function() print(('x'):rep(1000000), 1) return 'ok' end") == "ok");
    for (const std::string& line : node.log.lines())
        CHECK(line.size() < 20'000);
}

TEST_CASE("an error that is thrown on says what it says once") {
    LuaNode node;
    Trial trial{node};
    const auto thrown =
        trial.run("return function() local _, e = process.monitor('{here@lua|99}') error(e) end");
    REQUIRE_FALSE(thrown);
    CHECK(thrown.error().code == ErrorCode::process_not_found);
    CHECK(thrown.error().detail == "{here@lua|99}");
    const auto bare = trial.run(
        "return function() error{kind = 'timed_out', message = 'no answer came in time'} end");
    CHECK(bare.error().detail.empty());
}

TEST_CASE("what a module makes of a text is bounded") {
    LuaNode node;
    Trial trial{node};
    const std::string head =
        "local json, text = require('json'), require('text')\nreturn function()\n";
    CHECK(trial.ends_as(head + "local _, e = json.decode('[' .. ('0,'):rep(3000000) .. '0]')\n"
                               "return e.kind end") == "not_convertible");
    CHECK(trial.ends_as(head + "local _, e = text.split((','):rep(1000000), ',')\n"
                               "return e.kind end") == "not_convertible");
    CHECK(trial.ends_as(head + "local _, e = text.lines(('\\n'):rep(1000000))\n"
                               "return e.kind end") == "not_convertible");
    CHECK(trial.ends_as(head + "return #text.split((','):rep(1000), ',') end") == "1001");
}

TEST_CASE("searches count by what they look at, whatever comes of them") {
    LuaNode node;
    Trial trial{node};
    const std::string calls[] = {"s:find(p)", "s:match(p)", "s:gsub(p, '')", "s:gmatch(p)()",
                                 "pcall(string.find, s, '^.-[^x]-[^x]-[^x]-y%')"};
    for (const std::string& call : calls) {
        INFO(call);
        const std::string body =
            "return function()\n"
            "  local s, p = ('a'):rep(40) .. 'xy', '.-[^x]-[^x]-z'\n"
            "  for round = 1, 20 do " +
            call + " end return 'through' end";
        CHECK(trial.ends_as(body) == "through");
        CHECK(trial.ends_as(body, {.instructions = 1'000'000}) == "instruction_limit");
    }
}

TEST_CASE("slow instructions count, and others have their turn between them") {
    LuaNode node{1};
    Trial trial{node};
    const std::string bodies[] = {
        "local s = ('x'):rep(3000000) while true do s:upper() end",
        "local s = ('x'):rep(3000000) while true do s:reverse() end",
        "local s = ('x'):rep(3000000) while true do utf8.len(s) end",
        "local t = {} for i = 1, 100000 do t[i] = i end\n"
        "while true do table.insert(t, 1, table.remove(t, 1)) end",
        "local t = {} for i = 1, 100000 do t[i] = i end while true do table.sort(t) end",
        "local t, s = require('text'), ('x'):rep(1000000) while true do t.upper(s) end",
        "local s = ('a'):rep(3000000) while true do string.find('x', s) end",
        "local s = ('a'):rep(500) .. 'xy'\n"
        "while true do pcall(string.find, s, '.-[^x]-[^x]-y%') end"};
    for (const std::string& body : bodies) {
        INFO(body);
        trial.begin("return function() " + body + " end", {.time = 2s});
        // One thread: this one gets through because the other is put aside in time.
        CHECK(trial.ends_as("return function() return 'quick' end") == "quick");
    }
    CHECK(node.wait_until_alone());
    // Within one instruction nobody is put aside: what it does counts by all that it looks at.
    const std::string single[] = {
        "string.find(('a'):rep(2000000), ('a'):rep(1000000) .. 'b', 1, true)",
        "require('text').split(('a'):rep(2000000), ('a'):rep(1000000) .. 'b')",
        "(('b'):rep(1000000)):find('[' .. ('a'):rep(1000000) .. ']+')",
        "(('b'):rep(1000000)):find('[' .. ('a'):rep(1000000) .. ']*c')",
        "('x'):rep(1000000):gsub('y*', ('%0'):rep(1000000))",
        "local t = {1} for i = 1, 40 do t = {t, t} end\n"
        "for i = 1, 100000 do require('json').encode(t) end"};
    for (const std::string& body : single) {
        INFO(body);
        const auto before = std::chrono::steady_clock::now();
        trial.ends_as("return function() " + body + " return 'over' end",
                      {.instructions = 20'000'000, .time = 1s});
        CHECK(std::chrono::steady_clock::now() - before < 10s);
    }
    // What is quick costs no more than it did: 100,000 steps with a long text and table at hand.
    CHECK(trial.ends_as("return function()\n"
                        "  local s, t = ('x'):rep(1000000), {}\n"
                        "  for i = 1, 100000 do t[#t + 1] = s:byte(i) end\n"
                        "  for i = 1, 100000 do table.insert(t, i) end\n"
                        "  for i = 1, 100000 do table.remove(t) end\n"
                        "  return 'done' end",
                        {.instructions = 5'000'000}) == "done");
}

TEST_CASE("all programs together have a bound, and give back what they held") {
    LuaNode node{2, {}, {.memory_max = 40 * mebibyte}};
    Trial trial{node};
    CHECK(trial.ends_as("return function() return 'small' end") == "small");
    node.program("hoarder",
                 "return function()\n"
                 "  local held = {}\n"
                 "  for i = 1, 10 do held[i] = (tostring(i)):rep(1000000) end\n"
                 "  test.report('full') process.receive() end");
    std::vector<runtime::ProcessId> hoarders;
    for (int count = 0; count < 3; ++count)
        hoarders.push_back(node.spawn("hoarder"));
    CHECK(node.reports(3).size() == 3);
    CHECK(trial.ends_as("return function() local s = 'x' while true do s = s .. s end end") ==
          "host_memory_full");
    // A program that catches it goes on with what it has.
    CHECK(trial.ends_as("return function()\n"
                        "  local ok = pcall(function()\n"
                        "    local held = {} for i = 1, 1000 do held[i] = ('x'):rep(20000) .. i "
                        "end end)\n"
                        "  return ok and 'room' or 'caught' end") == "caught");
    // Nothing new begins where there is no room at all.
    std::vector<runtime::ProcessId> small;
    node.program("waits", "return function() process.receive() end");
    Result<runtime::ProcessId> refused;
    while (refused && small.size() < 2'000) {
        refused = node.host().spawn({.program = "waits"});
        if (refused) small.push_back(*refused);
    }
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::host_memory_full);
    CHECK(node.memory().used() <= node.memory().max());
    for (const auto* each : {&hoarders, &small})
        for (const auto& id : *each)
            (void)node.host().terminate(id.number, "");
    CHECK(node.wait_until_alone());
    CHECK(node.memory().used() == 0);
    CHECK(node.spawn("waits").number > 0);
}

TEST_CASE("what a process is begun with counts as the node's before it runs") {
    LuaNode node{2, {}, {.memory_max = 16 * mebibyte}};
    node.program("waits", "return function() process.receive() end");
    const Value large = Value::of_text(std::string(4 * mebibyte, 'x'));
    REQUIRE(node.fill_memory(mebibyte));
    const auto refused = node.host().spawn({.program = "waits", .arguments = {large}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::host_memory_full);
    CHECK(node.host().counts().alive == 0);
    node.empty_memory();
    CHECK(node.memory().used() == 0);
    const auto id = node.spawn("waits", {large});
    CHECK(node.host().terminate(id.number, ""));
    CHECK(node.wait_until_alone());
    CHECK(node.memory().used() == 0);
}

TEST_CASE("an inbox has room for so many bytes, and they count as the node's") {
    LuaNode node{2, {.inbox_bytes_max = 3'000'000}, {.memory_max = 64 * mebibyte}};
    node.program("deaf",
                 "return function() process.register('deaf')\n"
                 "process.receive{topic = 'never'} end");
    const auto deaf = node.spawn("deaf");
    while (node.topology().find_name("deaf") == 0)
        std::this_thread::yield();
    Trial trial{node};
    CHECK(trial.ends_as("return function()\n"
                        "  local s = ('x'):rep(1000000)\n"
                        "  for i = 1, 10 do\n"
                        "    local ok, e = process.send('deaf', 't', s)\n"
                        "    if not ok then return i .. ' ' .. e.kind end\n"
                        "  end end") == "3 mailbox_full");
    CHECK(node.memory().used() > 2'000'000);
    CHECK(node.host().terminate(deaf.number, ""));
    CHECK(node.wait_until_alone());
    CHECK(node.memory().used() == 0);
}

TEST_CASE("timers, names and topics have their bounds") {
    LuaNode node;
    Trial trial{node};
    CHECK(trial.ends_as("return function()\n"
                        "  for i = 1, 2000 do\n"
                        "    local ok, e = process.send_after('1h', process.id(), 't', i)\n"
                        "    if not ok then return i .. ' ' .. e.kind end\n"
                        "  end end") == "1025 too_many_timers");
    CHECK(node.memory().used() == 0);  // its timers have gone with it
    CHECK(trial.ends_as("return function()\n"
                        "  for i = 1, 3000 do\n"
                        "    process.send_after(0, process.id(), 't', i) process.receive()\n"
                        "  end return 'all' end") == "all");
    CHECK(trial.ends_as("return function()\n"
                        "  local _, e = process.register(('n'):rep(257)) return e.kind end") ==
          "invalid_field");
    CHECK(trial.ends_as("return function()\n"
                        "  local _, e = process.send('x', ('t'):rep(257)) return e.kind end") ==
          "invalid_field");
}

TEST_CASE("a wait of thousands of years does not end at once") {
    LuaNode node;
    node.program("sleeper", "return function() time.sleep('200000000000s') end");
    node.program("receiver", "return function() process.receive('200000000000s') end");
    const auto sleeper = node.spawn("sleeper");
    const auto receiver = node.spawn("receiver");
    Trial trial{node};
    CHECK(trial.ends_as("return function() time.sleep(0.05) return 'later' end") == "later");
    CHECK(node.wait_until_alive(2));
    CHECK(node.host().terminate(sleeper.number, ""));
    CHECK(node.host().terminate(receiver.number, ""));
}

TEST_CASE("who asks others to end again and again fills no inbox") {
    LuaNode node;
    node.program("deaf",
                 "return function() process.register('deaf')\n"
                 "while true do process.receive{topic = 'never'} end end");
    const auto deaf = node.spawn("deaf");
    while (node.topology().find_name("deaf") == 0)
        std::this_thread::yield();
    Trial trial{node};
    CHECK(trial.ends_as("return function()\n"
                        "  for i = 1, 5000 do process.cancel('deaf', 'x', {grace = '1h'}) end\n"
                        "  return 'asked' end") == "asked");
    CHECK(node.memory().used() < mebibyte);
    CHECK(node.host().cancel(deaf.number, "now", 1ms));  // the newest time counts
    CHECK(node.wait_until_alone());
}

TEST_CASE("who does not read what the node tells it ends, and so do those it began") {
    LuaNode node{3, {.signals_max = 500}};
    Trial trial{node};
    node.program("short", "return function() end");
    CHECK(trial.ends_as("return function()\n"
                        "  while true do process.spawn_monitored('short') end end") ==
          "mailbox_full");
    CHECK(node.wait_until_alone());
    CHECK(node.memory().used() == 0);
}
