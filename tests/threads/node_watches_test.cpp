// Monitors and links between two nodes: each end is told once, a node that is gone is named, and
// neither side keeps what nobody needs any more.
#include "taskd/lua/node_watches.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

#include "catch.hpp"
#include "lua_node.hpp"
#include "memory_log.hpp"
#include "thread_loop.hpp"

using namespace taskd;
using namespace std::chrono_literals;
using support::LuaNode;

namespace {

class NoMessages final : public runtime::NodeLink {
  public:
    void send(const std::string& base_url, runtime::Package, runtime::Delivered told) override {
        told(fail(ErrorCode::unreachable, base_url));
    }
};

// What one node asks another, without a network: by their base urls.
class Wire final : public port::HttpExchange {
  public:
    explicit Wire(port::Timers& timers) : timers_{timers} {}

    void send(const std::string& base_url, port::HttpRequest request, Duration,
              std::function<void(Result<port::HttpResponse>)> then) override {
        timers_.post([this, base_url, body = std::move(request.body), then] {
            ++asked;
            lua::WatchDesk* desk = desks[base_url];
            auto question = lua::read_watch_question(body);
            if (!question) return then(fail(std::move(question)));
            if (cut) lost.push_back(*question);
            if (desk == nullptr || cut) return then(fail(ErrorCode::unreachable, base_url));
            questions.push_back(*question);
            desk->take(
                std::move(*question), [] { return false; },
                [this, then](const Result<lua::WatchAnswer>& answer) {
                    if (cut) return then(fail(ErrorCode::unreachable, "cut"));
                    if (!answer) return then(std::unexpected{answer.error()});
                    then(port::HttpResponse{200, {}, lua::write_watch_answer(*answer)});
                });
        });
    }

    std::map<std::string, lua::WatchDesk*> desks;
    std::vector<lua::WatchQuestion> questions;  // that arrived
    std::vector<lua::WatchQuestion> lost;
    int asked = 0;
    bool cut = false;

  private:
    port::Timers& timers_;
};

// A node with both halves.
class Side {
  public:
    Side(const std::string& name, const std::string& other, test::ThreadLoop& loop, Wire& wire,
         std::uint64_t session)
        : node{2, {}, {.name = name, .link = &link_, .peers = {{other, "http://" + other}}}},
          settings_{.session = SessionId{session}, .bearer = {}, .look = 200ms, .lost_after = 2s},
          ports_{node.host(),
                 node.relay(),
                 node.topology(),
                 wire,
                 loop,
                 clock_,
                 log_,
                 [&loop](std::function<void()> job) { loop.post(std::move(job)); }},
          watcher{settings_, ports_},
          desk{settings_, ports_} {
        wire.desks["http://" + name] = &desk;
    }

  private:
    NoMessages link_;
    test::RealClock clock_;
    test::MemoryLog log_;

  public:
    LuaNode node;

  private:
    lua::NodeWatchSettings settings_;
    lua::NodeWatchPorts ports_;

  public:
    lua::NodeWatcher watcher;
    lua::WatchDesk desk;

    std::size_t lost() const { return log_.count("a node is lost"); }
};

struct Pair {
    Pair() { tick(); }
    // What happens on other threads is looked at so often.
    void tick() {
        ticker->set(clock.steady() + 2ms, [this] { tick(); });
    }
    // Reports of `a`, while the loop turns.
    std::vector<std::string> reports(std::size_t count) {
        loop.run_until([&] { return a.node.reports(0).size() >= count; }, 20s);
        return a.node.reports(0);
    }
    // That says that `a` has no links any more.
    void wait_for_a_lost_question() {
        CHECK(until([&] { return !wire.lost.empty() && wire.lost.back().links.empty(); }));
    }
    bool until(const std::function<bool()>& done) { return loop.run_until(done, 20s); }

    test::ThreadLoop loop;
    test::RealClock clock;
    std::unique_ptr<port::Timer> ticker = loop.make();
    Wire wire{loop};
    Side a{"a", "b", loop, wire, 1};
    Side b{"b", "a", loop, wire, 2};
};

const std::string waiting = "return function() process.receive() end";
const std::string failing = "return function() process.receive{topic = 'go'} error('no dough') end";

void tell(LuaNode& node, const runtime::ProcessId& to, const char* topic) {
    node.relay().send({.from = {}, .to = to, .name = {}, .topic = topic, .payload = {}},
                      [](const Result<void>&) {});
}

Value pid(const runtime::ProcessId& id) {
    return Value::of_text(to_text(id));
}

}  // namespace

TEST_CASE("a monitor is told of an end on another node, once") {
    Pair pair;
    pair.b.node.program("fails", failing);
    pair.b.node.program("waits", waiting);
    pair.a.node.program(
        "watcher",
        "return function(first, second)\n"
        "  test.report(process.monitor(first))\n"
        "  test.report(process.monitor(second))\n"
        "  while true do\n"
        "    local m = process.receive()\n"
        "    test.report(m.topic .. ' ' .. tostring(m.payload.pid == first) .. ' '\n"
        "      .. tostring(m.payload.ok) .. ' ' .. tostring(m.payload.kind)\n"
        "      .. ' ' .. tostring(m.payload.message)\n"
        "      .. ' ' .. tostring(m.payload.program))\n"
        "  end end");
    const auto fails = pair.b.node.spawn("fails");
    const auto waits = pair.b.node.spawn("waits");
    const auto watcher = pair.a.node.spawn("watcher", {pid(fails), pid(waits)});
    CHECK(pair.reports(2) == std::vector<std::string>{"true", "true"});
    CHECK(pair.a.watcher.ties() == 2);
    tell(pair.b.node, fails, "go");
    CHECK(pair.reports(3).at(2) == "@exit true false program_failed fails:2: no dough fails");
    tell(pair.b.node, waits, "end");
    CHECK(pair.reports(4).at(3) == "@exit false true nil nil waits");
    CHECK(pair.until([&] { return pair.a.watcher.ties() == 0 && pair.b.desk.askers() == 0; }));
    const int asked = pair.wire.asked;
    pair.loop.run_until([] { return false; }, 300ms);
    CHECK(pair.wire.asked == asked);  // nobody is asked about nothing
    CHECK(pair.a.node.reports(0).size() == 4);
    (void)pair.a.node.host().terminate(watcher.number, "");
}

TEST_CASE("what is not there is said to who would watch it") {
    Pair pair;
    pair.a.node.program("watcher",
                        "return function()\n"
                        "  for _, to in ipairs{'{b@lua|99}', '{b@other|1}', '{c@lua|1}'} do\n"
                        "    test.report(select(2, process.monitor(to)).kind)\n"
                        "    test.report(select(2, process.link(to)).kind) end\n"
                        "  test.report(process.demonitor('{b@lua|99}'))\n"
                        "  test.report(select(2, process.monitor('{b@lua|1')).kind) end");
    pair.a.node.spawn("watcher");
    CHECK(pair.reports(8) == std::vector<std::string>{"process_not_found", "process_not_found",
                                                      "process_not_found", "process_not_found",
                                                      "node_unknown", "node_unknown", "true",
                                                      "invalid_field"});
    pair.wire.cut = true;
    pair.a.node.program("late",
                        "return function()\n"
                        "  test.report(select(2, process.monitor('{b@lua|1}')).kind) end");
    pair.a.node.spawn("late");
    CHECK(pair.reports(9).at(8) == "unreachable");
    CHECK(pair.until([&] { return pair.a.watcher.ties() == 0; }));
}

TEST_CASE("a link takes down both ways, and only by a failure") {
    Pair pair;
    pair.b.node.program("fails", failing);
    pair.b.node.program("waits", waiting);
    pair.a.node.program("linked",
                        "return function(other) test.report(process.link(other))\n"
                        "process.receive{topic = 'go'} error('mine') end");
    pair.a.node.program("traps",
                        "return function(other) process.trap_links(true)\n"
                        "  test.report(process.link(other))\n"
                        "  local m = process.receive()\n"
                        "  test.report(m.topic .. ' ' .. m.payload.kind) end");
    // There it fails: here it ends, or is told.
    const auto first = pair.b.node.spawn("fails");
    pair.a.node.spawn("linked", {pid(first)});
    pair.a.node.spawn("traps", {pid(first)});
    CHECK(pair.reports(2) == std::vector<std::string>{"true", "true"});
    tell(pair.b.node, first, "go");
    CHECK(pair.reports(3).at(2) == "@link_down program_failed");
    CHECK(pair.until([&] { return pair.a.node.host().counts().alive == 0; }));
    // Here it fails: there it ends.
    const auto second = pair.b.node.spawn("waits");
    const auto linked = pair.a.node.spawn("linked", {pid(second)});
    CHECK(pair.reports(4).size() == 4);
    tell(pair.a.node, linked, "go");
    CHECK(pair.until([&] { return pair.b.node.host().counts().alive == 0; }));
    const auto lines = pair.b.node.log.lines();
    CHECK(std::ranges::any_of(lines, [&](const std::string& line) {
        return line.find("linked to " + to_text(linked)) != std::string::npos;
    }));
    // There it is done: nobody is taken down.
    const auto third = pair.b.node.spawn("waits");
    const auto kept = pair.a.node.spawn("linked", {pid(third)});
    CHECK(pair.reports(5).size() == 5);
    tell(pair.b.node, third, "end");
    CHECK(pair.until([&] { return pair.a.watcher.ties() == 0 && pair.b.desk.askers() == 0; }));
    CHECK(pair.a.node.topology().has(kept.number));
    (void)pair.a.node.host().terminate(kept.number, "");
}

TEST_CASE("a link is taken back, and who has let go or ended leaves nothing behind") {
    Pair pair;
    pair.b.node.program("fails", failing);
    const auto other = pair.b.node.spawn("fails");
    pair.a.node.program("fickle",
                        "return function(other)\n"
                        "  process.link(other) process.monitor(other)\n"
                        "  process.unlink(other) process.demonitor(other)\n"
                        "  test.report('let go') process.receive() end");
    pair.a.node.program("short",
                        "return function(other) process.monitor(other)\n"
                        "process.link(other) test.report('done') end");
    const auto fickle = pair.a.node.spawn("fickle", {pid(other)});
    pair.a.node.spawn("short", {pid(other)});
    CHECK(pair.reports(2).size() == 2);
    CHECK(pair.until([&] { return pair.a.watcher.ties() == 0 && pair.b.desk.askers() == 0; }));
    tell(pair.b.node, other, "go");
    CHECK(pair.until([&] { return pair.b.node.host().counts().alive == 0; }));
    CHECK(pair.a.node.topology().has(fickle.number));
    (void)pair.a.node.host().terminate(fickle.number, "");
}

TEST_CASE("a link that fails while the network is away is told of when it is back") {
    Pair pair;
    pair.b.node.program("traps",
                        "return function() process.trap_links(true)\n"
                        "  local m = process.receive()\n"
                        "  test.report(m.topic .. ' ' .. m.payload.kind) end");
    const auto other = pair.b.node.spawn("traps");
    pair.a.node.program("linked",
                        "return function(other) test.report(process.link(other))\n"
                        "process.receive() error('mine') end");
    const auto linked = pair.a.node.spawn("linked", {pid(other)});
    CHECK(pair.reports(1).size() == 1);
    pair.wire.cut = true;
    tell(pair.a.node, linked, "go");
    pair.wait_for_a_lost_question();
    pair.wire.cut = false;
    pair.until([&] { return !pair.b.node.reports(0).empty(); });
    CHECK(pair.b.node.reports(0) == std::vector<std::string>{"@link_down program_failed"});
    CHECK(pair.until([&] { return pair.b.desk.askers() == 0; }));
}

TEST_CASE("a link that is let go while the network is away takes nobody down") {
    Pair pair;
    pair.b.node.program("waits", waiting);
    const auto other = pair.b.node.spawn("waits");
    pair.a.node.program("fickle",
                        "return function(other) test.report(process.link(other))\n"
                        "process.receive() process.unlink(other) test.report('let go') end");
    const auto fickle = pair.a.node.spawn("fickle", {pid(other)});
    CHECK(pair.reports(1).size() == 1);
    pair.wire.cut = true;
    tell(pair.a.node, fickle, "go");
    CHECK(pair.reports(2).size() == 2);
    pair.wait_for_a_lost_question();
    pair.wire.cut = false;
    CHECK(pair.until([&] { return pair.b.desk.askers() == 0; }));
    CHECK(pair.b.lost() == 0);
    CHECK(pair.b.node.topology().has(other.number));
    (void)pair.b.node.host().terminate(other.number, "");
}

TEST_CASE("who asks while an end is on its way is told how it ended") {
    test::ThreadLoop loop;
    test::RealClock clock;
    test::MemoryLog log;
    Wire wire{loop};
    std::atomic<bool> ends = false;
    std::atomic<bool> goes_on = false;
    LuaNode node;
    // Told before the desk is: the process is not there any more, and its end is not yet known.
    node.host().watch_ends([&](runtime::ProcessNumber, const std::string&, const Error*) {
        ends = true;
        while (!goes_on)
            std::this_thread::yield();
    });
    lua::WatchDesk desk{{.session = SessionId{1}, .bearer = {}},
                        {node.host(), node.relay(), node.topology(), wire, loop, clock, log,
                         [&loop](std::function<void()> job) { loop.post(std::move(job)); }}};
    node.program("waits", waiting);
    const auto process = node.spawn("waits");
    std::vector<lua::WatchAnswer> answers;
    const auto ask = [&](std::uint64_t number, Duration wait) {
        desk.take(
            {.node = "a",
             .session = SessionId{2},
             .number = number,
             .wait = wait,
             .watch = {process.number}},
            [] { return false; },
            [&](const Result<lua::WatchAnswer>& answer) { answers.push_back(*answer); });
    };
    ask(1, 0s);
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].ended.empty());
    tell(node, process, "end");
    while (!ends)
        std::this_thread::yield();
    CHECK_FALSE(node.topology().has(process.number));
    ask(2, 20s);
    goes_on = true;
    CHECK(loop.run_until([&] { return answers.size() == 2; }, 20s));
    REQUIRE(answers.back().ended.size() == 1);
    CHECK(answers.back().ended[0].ok);
    CHECK(answers.back().ended[0].program == "waits");
}

TEST_CASE("a node that cannot be reached is lost to both sides after a while") {
    Pair pair;
    pair.b.node.program("waits", waiting);
    const auto other = pair.b.node.spawn("waits");
    pair.a.node.program("traps",
                        "return function(other)\n"
                        "  process.trap_links(true)\n"
                        "  process.link(other) process.monitor(other) test.report('both')\n"
                        "  for i = 1, 2 do local m = process.receive()\n"
                        "    test.report(m.topic .. ' ' .. m.payload.kind) end end");
    pair.a.node.spawn("traps", {pid(other)});
    CHECK(pair.reports(1).size() == 1);
    pair.wire.cut = true;
    auto told = pair.reports(3);
    REQUIRE(told.size() == 3);
    std::ranges::sort(told);
    CHECK(told == std::vector<std::string>{"@exit node_lost", "@link_down node_lost", "both"});
    // The other side has not been asked for as long: its process, which does not trap, ends.
    CHECK(pair.until([&] { return pair.b.node.host().counts().alive == 0; }));
    CHECK(pair.until([&] { return pair.b.desk.askers() == 0; }));
    CHECK(pair.a.watcher.ties() == 0);
}

TEST_CASE("a short silence loses nothing, and a node that was started again is another one") {
    Pair pair;
    pair.b.node.program("waits", waiting);
    const auto other = pair.b.node.spawn("waits");
    pair.a.node.program("watcher",
                        "return function(other) process.monitor(other) test.report('watches')\n"
                        "  local m = process.receive()\n"
                        "  test.report(m.payload.kind .. ' ' .. m.payload.message) end");
    pair.a.node.spawn("watcher", {pid(other)});
    CHECK(pair.reports(1).size() == 1);
    pair.wire.cut = true;
    const int asked = pair.wire.asked;
    CHECK(pair.until([&] { return pair.wire.asked > asked; }));
    pair.wire.cut = false;
    const int later = pair.wire.asked;
    CHECK(pair.until([&] { return pair.wire.asked > later + 2; }));
    CHECK(pair.a.watcher.ties() == 1);
    CHECK(pair.a.node.reports(0).size() == 1);
    {
        // Another life of b at the same address, with a process of the same number.
        Side again{"b", "a", pair.loop, pair.wire, 3};
        again.node.program("waits", waiting);
        CHECK(again.node.spawn("waits") == other);
        pair.b.desk.let_go();  // the old one answers, and is not asked any more
        CHECK(pair.reports(2).at(1).starts_with("node_lost "));
        CHECK(pair.reports(2).at(1).find("started again") != std::string::npos);
        CHECK(pair.until([&] { return pair.a.watcher.ties() == 0; }));
        pair.wire.desks["http://b"] = nullptr;
    }
}

TEST_CASE("questions and answers are read as they are written") {
    const lua::WatchQuestion question{.node = "a",
                                      .session = SessionId{7},
                                      .number = 3,
                                      .wait = 20s,
                                      .watch = {4, 5},
                                      .links = {{6, 1}},
                                      .failed = {{{8, 2}, "program_failed", "no dough"}}};
    const auto read = lua::read_watch_question(lua::write_watch_question(question));
    REQUIRE(read);
    CHECK(lua::write_watch_question(*read) == lua::write_watch_question(question));
    CHECK(read->watch == question.watch);
    CHECK(read->links == question.links);
    CHECK(read->wait == 20s);
    const auto error = [](const std::string& json) {
        const auto wrong = lua::read_watch_question(json);
        return wrong ? std::string{"none"} : std::string{wrong.error().name()};
    };
    const std::string head = R"({"node":"a","session":"0000000000000007","number":1)";
    CHECK(error(head + "}") == "none");
    CHECK(error("{") == "bad_json");
    CHECK(error("[]") == "invalid_field");
    CHECK(error("{}") == "missing_field");
    CHECK(error(head + R"(,"more":1})") == "unknown_field");
    CHECK(error(head + R"(,"watch":[0]})") == "invalid_field");
    CHECK(error(head + R"(,"watch":["x"]})") == "invalid_field");
    CHECK(error(head + R"(,"links":[{"here":1}]})") == "missing_field");
    CHECK(error(head + R"(,"links":{}})") == "invalid_field");
    CHECK(error(head + R"(,"wait_ms":30001})") == "invalid_field");
    std::string many = head + R"(,"watch":[1)";
    for (std::size_t count = 0; count < limits::node_watches_max; ++count)
        many += ",1";
    CHECK(error(many + "]}") == "too_many_watches");
    CHECK(lua::read_watch_answer("{}").error().code == ErrorCode::bad_answer);
    CHECK(lua::read_watch_answer("x").error().code == ErrorCode::bad_answer);
}
