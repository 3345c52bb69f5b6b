// The real loop, its helper lanes and the kernel's random bits: what the twin cannot say.
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "catch.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/lane.hpp"
#include "taskd/io/loop.hpp"
#include "taskd/io/memory.hpp"
#include "taskd/io/work_dir.hpp"

using namespace taskd;
using namespace std::chrono_literals;

TEST_CASE("a signal reaches its handler on the loop, each time") {
    io::Loop loop;
    std::vector<int> seen;
    REQUIRE(loop.on_signal({SIGUSR1, SIGUSR2}, [&](int number) { seen.push_back(number); }));
    std::raise(SIGUSR1);
    REQUIRE(loop.run_until([&] { return seen.size() == 1; }, 10s));
    std::raise(SIGUSR2);
    REQUIRE(loop.run_until([&] { return seen.size() == 2; }, 10s));
    std::raise(SIGUSR1);
    REQUIRE(loop.run_until([&] { return seen.size() == 3; }, 10s));
    CHECK(seen == std::vector{SIGUSR1, SIGUSR2, SIGUSR1});
}

TEST_CASE("other threads post to the loop and stop it") {
    io::Loop loop;
    int ran = 0;
    std::jthread helper{[&] {
        for (int i = 0; i < 1000; ++i)
            loop.post_from_any_thread([&] { ++ran; });
        loop.post_from_any_thread([&] { loop.stop(); });
    }};
    loop.run();
    CHECK(ran == 1000);
    loop.post([&] {
        ++ran;
        loop.stop();
    });
    loop.run();
    CHECK(ran == 1001);
}

TEST_CASE("run_until gives up at its limit") {
    io::Loop loop;
    CHECK_FALSE(loop.run_until([] { return false; }, 1ms));
}

TEST_CASE("jobs of a lane run off the loop, answers on it") {
    io::Loop loop;
    std::thread::id job;
    std::thread::id then;
    io::Lane lane{loop, "a name longer than the kernel keeps"};
    lane.run([&] { job = std::this_thread::get_id(); }, [&] { then = std::this_thread::get_id(); });
    REQUIRE(loop.run_until([&] { return then != std::thread::id{}; }, 10s));
    CHECK(then == std::this_thread::get_id());
    CHECK(job != then);
}

TEST_CASE("a nice lane gives way, and it alone") {
    io::Loop loop;
    const int own = ::getpriority(PRIO_PROCESS, 0);
    int seen = own;
    bool over = false;
    io::Lane lane{loop, "nice", own + 5};
    lane.run([&] { seen = ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid())); },
             [&] { over = true; });
    REQUIRE(loop.run_until([&] { return over; }, 10s));
    CHECK(seen == own + 5);
    CHECK(::getpriority(PRIO_PROCESS, 0) == own);
}

TEST_CASE("the memory there is the machine's or less") {
    const auto machine = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                         static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    CHECK(io::memory_there() > 0);
    CHECK(io::memory_there() <= machine);
}

TEST_CASE("memory is bounded by the control group, and by those above it") {
    const auto dir = io::WorkDir::make({}, "taskd-groups").value();
    const auto write = [&](const std::string& folder, const std::string& file,
                           const std::string& text) {
        std::filesystem::create_directories(dir->path() + folder);
        std::ofstream{dir->path() + folder + "/" + file} << text;
    };
    const auto found = [&](const std::string& groups) {
        std::istringstream in{groups};
        return io::memory_of_groups(in, dir->path());
    };
    CHECK(found("0::/\n") == UINT64_MAX);
    write("/a.slice/b.service", "memory.max", "max\n");
    CHECK(found("0::/a.slice/b.service\n") == UINT64_MAX);
    write("/a.slice", "memory.max", "2000\n");
    CHECK(found("0::/a.slice/b.service\n") == 2000);
    write("/a.slice/b.service", "memory.max", "1000\n");
    CHECK(found("0::/a.slice/b.service\n") == 1000);
    CHECK(found("0::/c\n") == UINT64_MAX);
    write("/memory/d", "memory.limit_in_bytes", "500\n");
    CHECK(found("5:cpu,cpuacct:/d\n3:memory:/d\n0::/\n") == 500);
    write("", "memory.max", "100\n");  // as a container sees its own
    CHECK(found("0::/\n") == 100);
    CHECK(found("nonsense\n:\n\n") == UINT64_MAX);
    CHECK(found("0::nowhere\n") == 100);
}

TEST_CASE("sessions are never zero and never the same") {
    std::set<SessionId> seen;
    for (int i = 0; i < 1000; ++i) {
        const SessionId id = io::make_session_id();
        CHECK(id.value != 0);
        CHECK(seen.insert(id).second);
    }
}
