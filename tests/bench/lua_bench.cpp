// Figures of programs: messages through a mailbox, spawning, memory of many, stealing, calls.
//
//     build/release/tests/bench_lua
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <fstream>

#include "lua_node.hpp"
#include "taskd/lua/functions.hpp"

using namespace taskd;
using support::LuaNode;
using Clock = std::chrono::steady_clock;

namespace {

double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

double resident_bytes() {
    std::ifstream file{"/proc/self/statm"};
    double pages = 0;
    double resident = 0;
    file >> pages >> resident;
    return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

Value number(std::uint64_t value) {
    return Value::of_number(std::to_string(value));
}

void messages(unsigned senders) {
    constexpr std::uint64_t each = 40'000;
    LuaNode node{2};
    node.program("taker",
                 "return function(count) process.register('taker')\n"
                 "for i = 1, count do process.receive() end test.report(1) end");
    node.program("sender",
                 "return function(count)\n"
                 "for i = 1, count do process.send('taker', 'n', i, {wait = 30}) end end");
    node.spawn("taker", {number(each * senders)});
    while (node.topology().find_name("taker") == 0)
        std::this_thread::yield();
    const auto begin = Clock::now();
    for (unsigned sender = 0; sender < senders; ++sender)
        node.spawn("sender", {number(each)});
    node.reports(1);
    const double took = seconds_since(begin);
    fmt::print("messages, {} senders to one: {:.0f} k a second\n", senders,
               static_cast<double>(each * senders) / took / 1e3);
}

void many_processes() {
    constexpr int count = 100'000;
    LuaNode node{2, {}, {.memory_max = 16'384 * std::uint64_t{limits::mebibyte}}};
    node.program("waits", "return function() process.receive() end");
    const double before = resident_bytes();
    const auto begin = Clock::now();
    for (int process = 0; process < count; ++process)
        node.spawn("waits");
    const double spawned = seconds_since(begin);
    // Each has begun once it waits: the last message goes behind them all.
    node.program("last", "return function() test.report(1) end");
    node.spawn("last");
    node.reports(1);
    const double bytes = (resident_bytes() - before) / count;
    fmt::print("spawn: {:.0f} k a second; {} alive: {:.1f} KiB each\n", count / spawned / 1e3,
               count, bytes / 1024);
    const auto end = Clock::now();
    for (const auto& row : node.topology().rows(0, count + 10))
        (void)node.host().terminate(row.number, "");
    TASKD_ASSERT(node.wait_until_alone());
    fmt::print("ending them: {:.2f} s\n", seconds_since(end));
}

class Work final : public lua::Job {
  public:
    Work(std::function<void()> does) : does_{std::move(does)} {}
    void run() override { does_(); }

  private:
    std::function<void()> does_;
};

// One root with all the work; each piece begins as much again, twice.
double uneven(bool stealing) {
    constexpr int roots = 400;
    constexpr int children = 500;
    std::atomic<int> left = roots * children;
    lua::Scheduler scheduler{2};
    const auto give = [&](std::shared_ptr<lua::Job> job) {
        stealing ? scheduler.submit(std::move(job)) : scheduler.submit_last(std::move(job));
    };
    const auto begin = Clock::now();
    give(std::make_shared<Work>([&] {
        for (int root = 0; root < roots; ++root)
            give(std::make_shared<Work>([&] {
                for (int child = 0; child < children; ++child)
                    give(std::make_shared<Work>([&] {
                        volatile int spin = 0;
                        for (int i = 0; i < 300; ++i)
                            spin = spin + i;
                        left.fetch_sub(1);
                    }));
            }));
    }));
    while (left.load() > 0)
        std::this_thread::sleep_for(std::chrono::microseconds{200});
    return roots * children / seconds_since(begin) / 1e3;
}

void calls() {
    support::SteadyNow clock;
    support::SilentLog log;
    lua::Alarms alarms;
    runtime::Commands commands;
    commands.freeze();
    runtime::ProcessIds ids{"here"};
    lua::Scheduler scheduler{2};
    lua::Functions functions{{scheduler, alarms, commands, ids, clock, log}};
    const auto program = lua::Program::compile(
        "sum",
        "return function(list) local s = 0 for _, v in ipairs(list) do s = s + v end "
        "return s end");
    TASKD_ASSERT(program && functions.set("sum", {.program = *program, .method = ""}));
    Value list;
    list.kind = ValueKind::list;
    for (int item = 1; item <= 3; ++item)
        list.items.push_back(number(static_cast<std::uint64_t>(item)));
    constexpr int count = 200'000;
    std::atomic<int> done = 0;
    const auto begin = Clock::now();
    for (int call = 0; call < count; ++call) {
        while (call - done.load() > 500)
            std::this_thread::yield();
        functions.call("sum", {list}, [&](Result<Value> value) {
            TASKD_ASSERT(value && value->text == "6");
            done.fetch_add(1);
        });
    }
    while (done.load() < count)
        std::this_thread::yield();
    fmt::print("function calls: {:.0f} k a second\n", count / seconds_since(begin) / 1e3);
}

}  // namespace

int main() {
    for (const unsigned senders : {1U, 2U, 8U})
        messages(senders);
    for (int round = 0; round < 3; ++round)
        fmt::print("uneven load: stealing {:.0f} k jobs a second, one shared queue {:.0f} k\n",
                   uneven(true), uneven(false));
    calls();
    many_processes();
}
