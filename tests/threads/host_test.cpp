// Processes: messages, back-pressure, families, links, monitors, timers, upgrades, and their ends.
#include <algorithm>
#include <atomic>
#include <thread>

#include "catch.hpp"
#include "lua_node.hpp"

using namespace taskd;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using support::LuaNode;

TEST_CASE("processes begin others and talk to them") {
    LuaNode node;
    node.program("echo",
                 "return function()\n"
                 "  while true do\n"
                 "    local m = process.receive()\n"
                 "    if m.topic == 'stop' then return 'stopped' end\n"
                 "    process.send(m.from, 'echo', {m.payload, m.payload})\n"
                 "  end end");
    node.program(
        "asker",
        "return function(word)\n"
        "  local pid = process.spawn_monitored('echo')\n"
        "  process.send(pid, 'say', word)\n"
        "  local m = process.receive(5)\n"
        "  test.report(m.topic .. ' ' .. m.payload[1] .. m.payload[2])\n"
        "  test.report(m.from == pid)\n"
        "  process.send(pid, 'stop')\n"
        "  local e = process.receive(5)\n"
        "  test.report(e.topic .. ' ' .. tostring(e.payload.ok) .. ' ' .. e.payload.program)\n"
        "  end");
    node.spawn("asker", {Value::of_text("hi")});
    CHECK(node.reports(3) == std::vector<std::string>{"echo hihi", "true", "@exit true echo"});
    CHECK(node.wait_until_alone());
    CHECK(node.host().spawn({.program = "none"}).error().code == ErrorCode::function_not_found);
}

TEST_CASE("messages of one sender keep their order, and many senders work side by side") {
    LuaNode node;
    node.program("taker",
                 "return function(count)\n"
                 "  process.register('taker')\n"
                 "  local last, wrong = {}, 0\n"
                 "  for i = 1, count do\n"
                 "    local m = process.receive()\n"
                 "    if m.payload ~= (last[m.from] or 0) + 1 then wrong = wrong + 1 end\n"
                 "    last[m.from] = m.payload\n"
                 "  end\n"
                 "  test.report(wrong) end");
    node.program("sender",
                 "return function(count)\n"
                 "  for i = 1, count do\n"
                 "    local ok, e = process.send('taker', 'n', i, {wait = 30})\n"
                 "    if not ok then error(e) end\n"
                 "  end end");
    node.spawn("taker", {Value::of_number("5000")});
    while (node.topology().find_name("taker") == 0)
        std::this_thread::yield();
    for (int sender = 0; sender < 10; ++sender)
        node.spawn("sender", {Value::of_number("500")});
    CHECK(node.reports(1) == std::vector<std::string>{"0"});
    CHECK(node.wait_until_alone());
    CHECK(node.host().counts().failed == 0);
}

TEST_CASE("a full inbox refuses, or lets the sender wait") {
    LuaNode node{3, {.inbox_max = 4}};
    node.program("slow",
                 "return function()\n"
                 "  process.register('slow')\n"
                 "  process.receive{topic = 'go'}\n"
                 "  local got = 0\n"
                 "  while process.receive(0.2) do got = got + 1 end\n"
                 "  test.report('got ' .. got) end");
    node.program("pusher",
                 "return function()\n"
                 "  local refused\n"
                 "  for i = 1, 6 do\n"
                 "    local ok, e = process.send('slow', 'n', i)\n"
                 "    refused = refused or (not ok and i .. ' ' .. e.kind)\n"
                 "  end\n"
                 "  test.report(refused)\n"
                 "  local ok, e = process.send('slow', 'n', 7, {wait = 0.05})\n"
                 "  test.report(e.kind)\n"
                 "  process.spawn('waker')\n"
                 "  test.report(process.send('slow', 'n', 8, {wait = 10}))\n"
                 "  end");
    node.program("waker",
                 "return function() while not process.send('slow', 'go', 1, {wait = 10}) do "
                 "end end");
    node.spawn("slow");
    while (node.topology().find_name("slow") == 0)
        std::this_thread::yield();
    node.spawn("pusher");
    const auto reports = node.reports(2);
    REQUIRE(reports.size() >= 2);
    CHECK(reports[0] == "5 mailbox_full");
    CHECK(reports[1] == "mailbox_full");
    // Nobody can get the word to it through a full inbox: it ends when its node does.
}

TEST_CASE("a message whose sender has waited long enough does not come any more") {
    LuaNode node{2, {.inbox_max = 1}};
    node.program("slow",
                 "return function()\n"
                 "  process.register('slow')\n"
                 "  repeat process.receive{topic = 'never', timeout = 0.01}\n"
                 "  until process.send('pusher', 'over')\n"
                 "  local first, second = process.receive(0), process.receive(0.05)\n"
                 "  test.report(first.payload)\n"
                 "  test.report(second == nil) end");
    node.program("pusher",
                 "return function()\n"
                 "  process.send('slow', 'n', 1)\n"
                 "  local ok, e = process.send('slow', 'n', 2, {wait = 0.01})\n"
                 "  test.report(e.kind)\n"
                 "  process.register('pusher')\n"
                 "  process.receive{topic = 'over'} end");
    node.spawn("slow");
    while (node.topology().find_name("slow") == 0)
        std::this_thread::yield();
    node.spawn("pusher");
    CHECK(node.reports(3) == std::vector<std::string>{"mailbox_full", "1", "true"});
}

TEST_CASE("who waits for a message has it from a sender that waits for room") {
    LuaNode node{2, {.inbox_max = 1}};
    node.program("server",
                 "return function()\n"
                 "  process.register('server')\n"
                 "  process.send(process.id(), 'other', 1)\n"
                 "  time.sleep(0.3)  -- the sender comes meanwhile, and waits\n"
                 "  test.report(process.receive{topic = 'reply', timeout = 5}.payload)\n"
                 "  test.report(process.receive(5).topic) end");
    node.program("sender",
                 "return function()\n"
                 "  test.report(process.send('server', 'reply', 'here', {wait = '1m'})) end");
    node.spawn("server");
    while (node.topology().find_name("server") == 0)
        std::this_thread::yield();
    node.spawn("sender");
    const auto reports = node.reports(3);
    CHECK(std::ranges::count(reports, "here") == 1);
    CHECK(std::ranges::count(reports, "other") == 1);
    CHECK(std::ranges::count(reports, "true") == 1);
}

TEST_CASE("what is left of a time may be next to nothing, or less") {
    LuaNode node;
    node.program("reckoning",
                 "return function()\n"
                 "  test.report(tostring(time.sleep(0.00005)))\n"
                 "  test.report(select(2, process.receive(-0.001)).kind)\n"
                 "  test.report(select(2, process.receive(1e-7)).kind)\n"
                 "  test.report(select(2, process.receive(1e300)).kind) end");
    node.spawn("reckoning");
    const auto reports = node.reports(4);
    CHECK(reports[0] != "nil");
    CHECK(reports[1] == "timed_out");
    CHECK(reports[2] == "timed_out");
    CHECK(reports[3] == "invalid_field");
}

TEST_CASE("receiving waits for what was asked for, and no longer than that") {
    LuaNode node;
    node.program("picky",
                 "return function()\n"
                 "  process.send(process.id(), 'a', 1)\n"
                 "  process.send(process.id(), 'b', 2)\n"
                 "  test.report(process.receive{topic = 'b'}.payload)\n"
                 "  test.report(process.receive().payload)\n"
                 "  local m, e = process.receive(0.02)\n"
                 "  test.report(e.kind)\n"
                 "  test.report(select(2, process.receive(0)).kind)\n"
                 "  process.send_after(0.02, process.id(), 'later', 3)\n"
                 "  test.report(process.receive(5).payload)\n"
                 "  test.report(select(2, process.receive('soon')).kind)\n"
                 "  local before = time.steady(); time.sleep(0.03)\n"
                 "  test.report(time.steady() - before >= 0.03) end");
    node.spawn("picky");
    CHECK(node.reports(7) == std::vector<std::string>{"2", "1", "timed_out", "timed_out", "3",
                                                      "invalid_field", "true"});
}

TEST_CASE("children end with their parent, and links take down who does not trap") {
    LuaNode node;
    node.program("child", "return function() process.receive() end");
    node.program("parent",
                 "return function()\n"
                 "  for i = 1, 5 do process.spawn('child') end\n"
                 "  test.report('family') process.receive() end");
    const auto parent = node.spawn("parent");
    CHECK(node.reports(1).size() == 1);
    CHECK(node.host().counts().alive == 6);
    CHECK(node.topology().rows(0, 10).size() == 6);
    CHECK(node.topology().rows(parent.number, 10)[0].parent == parent.number);
    CHECK(node.host().terminate(parent.number, "enough"));
    CHECK(node.wait_until_alone());
    CHECK(node.host().terminate(parent.number, "").error().code == ErrorCode::process_not_found);

    node.program("fails", "return function(wait) time.sleep(wait) error('no dough') end");
    node.program("linked",
                 "return function() process.spawn_linked('fails', 0.02)\n"
                 "  process.receive() test.report('never') end");
    node.program("traps",
                 "return function() process.trap_links(true)\n"
                 "  local pid = process.spawn_linked('fails', 0.02)\n"
                 "  local m = process.receive()\n"
                 "  test.report(m.topic .. ' ' .. m.payload.kind .. ' ' .. m.payload.message)\n"
                 "  test.report(m.payload.pid == pid) end");
    node.spawn("linked");
    node.spawn("traps");
    CHECK(node.wait_until_alone());
    CHECK(node.reports(3) == std::vector<std::string>{
                                 "family", "@link_down program_failed fails:2: no dough", "true"});
}

TEST_CASE("an endless program holds up nobody, and is stopped from outside or by its limit") {
    LuaNode node{1};
    node.program("endless", "return function() while true do end end");
    node.program("quick", "return function(n) test.report(n) end");
    const auto endless = node.spawn("endless");
    for (int round = 0; round < 20; ++round)
        node.spawn("quick", {Value::of_number(std::to_string(round))});
    CHECK(node.reports(20).size() == 20);
    CHECK(node.wait_until_alive(1));
    CHECK(node.host().terminate(endless.number, "it goes on and on"));
    CHECK(node.wait_until_alone());
    node.program("limited", "return function() while true do end end", {.instructions = 200'000});
    node.spawn("limited");
    CHECK(node.wait_until_alone());
    const auto lines = node.log.lines();
    CHECK(std::ranges::any_of(lines, [](const std::string& line) {
        return line.find("instruction_limit") != std::string::npos;
    }));
}

TEST_CASE("cancel asks first, and then ends") {
    LuaNode node;
    node.program("polite",
                 "return function() process.register('polite')\n"
                 "  local m = process.receive()\n"
                 "  test.report(m.topic .. ' ' .. m.payload.reason) end");
    node.program("deaf",
                 "return function() process.register('deaf')\n"
                 "  while true do process.receive{topic = 'other'} end end");
    const auto polite = node.spawn("polite");
    const auto deaf = node.spawn("deaf");
    while (node.topology().find_name("polite") == 0 || node.topology().find_name("deaf") == 0)
        std::this_thread::yield();
    CHECK(node.host().cancel(polite.number, "closing", 10s));
    CHECK(node.host().cancel(deaf.number, "closing", 50ms));
    CHECK(node.reports(1) == std::vector<std::string>{"@cancel closing"});
    CHECK(node.wait_until_alone());
}

TEST_CASE("a process goes on as the newest version of its program with its state") {
    LuaNode node;
    const auto source = [](int version) {
        return "return function(count)\n"
               "  process.register('counter')\n"
               "  count = count or 0\n"
               "  while true do\n"
               "    local m = process.receive()\n"
               "    if m.topic == '@outdated' then process.upgrade(count) end\n"
               "    count = count + " +
               std::to_string(version) + "\n    test.report(count) end end";
    };
    node.program("counter", source(1));
    const auto id = node.spawn("counter");
    const auto tell = [&](const char* what) {
        node.relay().send({.from = {}, .to = id, .name = {}, .topic = what, .payload = {}},
                          [](const Result<void>&) {});
    };
    tell("n");
    CHECK(node.reports(1) == std::vector<std::string>{"1"});
    node.program("counter", source(100));
    tell("n");
    CHECK(node.reports(2) == std::vector<std::string>{"1", "101"});
    CHECK(node.topology().rows(0, 5)[0].name == "counter");
    CHECK(node.topology().rows(0, 5)[0].number == id.number);
}

TEST_CASE("a message to nobody is told to its sender") {
    LuaNode node;
    node.program("lost",
                 "return function()\n"
                 "  for _, to in ipairs{'nobody', '{here@lua|999}', '{here@other|1}',\n"
                 "      '{elsewhere@lua|1}', '{bad', 'x@faraway'} do\n"
                 "    local ok, e = process.send(to, 't', 1)\n"
                 "    test.report(e.kind) end\n"
                 "  test.report(select(2, process.send('x', '@exit')).kind)\n"
                 "  test.report(select(2, process.link(process.id())).kind)\n"
                 "  test.report(select(2, process.monitor('{here@lua|77}')).kind) end");
    node.spawn("lost");
    CHECK(node.reports(9) ==
          std::vector<std::string>{"process_not_found", "process_not_found", "process_not_found",
                                   "node_unknown", "invalid_field", "node_unknown", "invalid_field",
                                   "invalid_field", "process_not_found"});
}

TEST_CASE("no more processes than are allowed, and a node that ends leaves none") {
    LuaNode node{2, {.processes_max = 3}};
    node.program("waits", "return function() process.receive() end");
    for (int i = 0; i < 3; ++i)
        node.spawn("waits");
    CHECK(node.host().spawn({.program = "waits"}).error().code == ErrorCode::too_many_processes);
    node.program("fork", "return function() while true do process.spawn('fork') end end");
    LuaNode bombs{2, {.processes_max = 200}};
    bombs.program("fork", "return function() for i = 1, 20 do process.spawn('fork') end end");
    bombs.spawn("fork");
}

TEST_CASE("a large message that is taken makes room for all who wait and fit") {
    LuaNode node{2, {.inbox_bytes_max = 100'000}};
    node.program("takes",
                 "return function() process.receive{topic = 'go'}\n"
                 "  test.report(#process.receive{topic = 'large'}.payload)\n"
                 "  process.receive{topic = 'end'}\n"
                 "  for _ = 1, 3 do test.report(process.receive().payload:sub(1, 1)) end end");
    const auto to = node.spawn("takes");
    std::atomic<int> arrived = 0;
    const auto send = [&](const char* topic, const std::string& text) {
        node.host().deliver({.from = {},
                             .to = to,
                             .name = {},
                             .topic = topic,
                             .payload = Value::of_text(text),
                             .wait = 50s},
                            [&arrived](const Result<void>& sent) { arrived += sent ? 1 : 0; });
    };
    send("large", std::string(90'000, 'x'));
    for (const char* text : {"1", "2", "3"})
        send("small", text + std::string(15'000, 'x'));
    CHECK(arrived == 1);
    send("go", "");
    CHECK(node.reports(1) == std::vector<std::string>{"90000"});
    for (int tries = 0; arrived < 5 && tries < 500; ++tries)
        std::this_thread::sleep_for(10ms);
    CHECK(arrived == 5);
    send("end", "");
    CHECK(node.reports(4) == std::vector<std::string>{"90000", "1", "2", "3"});
}

TEST_CASE("a sleeper that is stopped leaves no alarm behind") {
    support::SteadyNow clock;
    support::SilentLog log;
    lua::Alarms alarms;
    runtime::Commands commands;
    runtime::Relay relay{{.node = "here"}, nullptr};
    runtime::ProcessIds ids{"here"};
    runtime::Topology topology{"here", "lua", nullptr};
    std::vector<lua::Module> modules;
    lua::Scheduler scheduler{1};
    lua::Host host{{}, {scheduler, alarms, commands, relay, topology, ids, clock, log}};
    REQUIRE(host.add_commands(commands));
    commands.freeze();
    modules = host.modules();
    host.set_modules(&modules);
    const auto program = lua::Program::compile(
        "sleeper", "return function() require('time').sleep('1h') end", {.modules = {"time"}});
    host.set_program("sleeper", {.program = *program});
    const auto id = host.spawn({.program = "sleeper"});
    REQUIRE(id);
    while (alarms.count() == 0)
        std::this_thread::yield();
    CHECK(host.terminate(id->number, ""));
    while (host.counts().alive > 0)
        std::this_thread::yield();
    CHECK(alarms.count() == 0);
}

TEST_CASE("links and monitors of a node have a bound, and those that end make room") {
    runtime::Topology topology{"here", "lua", nullptr, 3};
    for (runtime::ProcessNumber number = 1; number <= 4; ++number)
        REQUIRE(topology.begin(number, 0, "p"));
    REQUIRE(topology.link(1, 2));
    REQUIRE(topology.link(2, 1));  // the same one
    REQUIRE(topology.monitor(3, 1));
    REQUIRE(topology.monitor(3, 3));
    CHECK(topology.monitor(4, 1).error().code == ErrorCode::too_many_watches);
    CHECK(topology.link(4, 1).error().code == ErrorCode::too_many_watches);
    REQUIRE(topology.demonitor(3, 1));
    REQUIRE(topology.demonitor(3, 1));
    REQUIRE(topology.monitor(4, 1));
    CHECK_FALSE(topology.link(4, 2));
    topology.end(1, "");  // its link and who watches it
    topology.end(3, "");  // what it watches: itself
    REQUIRE(topology.monitor(4, 2));
    REQUIRE(topology.link(4, 2));
    REQUIRE(topology.monitor(2, 4));
    CHECK_FALSE(topology.monitor(2, 2));
}

TEST_CASE("the end of a process is told to whoever looks after it, with its result") {
    LuaNode node;
    node.program("sums", "return function(a, b) time.sleep(0.01) return a + b end");
    node.program("fails", "return function() error{kind = 'invalid_field', message = 'no'} end");
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<lua::ProcessEnded> ends;
    const auto tell = [&](const lua::ProcessEnded& end) {
        const std::lock_guard lock{mutex};
        ends.push_back(end);
        changed.notify_all();
    };
    REQUIRE(node.host().spawn({.program = "sums",
                               .arguments = {Value::of_number("2"), Value::of_number("3")},
                               .on_end = tell}));
    std::unique_lock lock{mutex};
    REQUIRE(changed.wait_for(lock, 60s, [&] { return ends.size() == 1; }));
    CHECK(ends[0].result->text == "5");
    lock.unlock();
    REQUIRE(node.host().spawn({.program = "fails", .on_end = tell}));
    lock.lock();
    REQUIRE(changed.wait_for(lock, 60s, [&] { return ends.size() == 2; }));
    CHECK(ends[1].result.error().code == ErrorCode::invalid_field);
}
