// Guarded programs: nothing of them is left, whoever dies first; and what the kernel holds them to.
#include <poll.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <sstream>

#include "catch.hpp"
#include "disk_worlds.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/io/processes.hpp"
#include "taskd/io/work_dir.hpp"

using namespace taskd;
using namespace std::chrono_literals;

namespace {

port::ProcessSpec guarded(std::string script) {
    port::ProcessSpec spec{.argv = {"/bin/sh", "-c", std::move(script)}, .env = {}};
    spec.guarded = true;
    return spec;
}

bool ends_within(pid_t pid, int milliseconds) {
    const int watch = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    if (watch < 0) return errno == ESRCH;
    pollfd wait{watch, POLLIN, 0};
    const bool ended = poll(&wait, 1, milliseconds) == 1;
    close(watch);
    return ended;
}

// A program that starts a child in its own group and one in a session of its own, and says all
// three pids.
const std::string family = "sleep 1000 & a=$!; setsid sleep 1000 & b=$!; echo $$ $a $b; wait";

std::vector<pid_t> pids_of(const std::string& line) {
    std::istringstream text{line};
    std::vector<pid_t> pids;
    for (pid_t pid = 0; text >> pid;)
        pids.push_back(pid);
    return pids;
}

struct Run {
    io::Loop loop;
    io::ProcessRunner runner{loop};
    std::string out;
    std::string err;
    std::optional<port::ProcessEnd> end;
    std::unique_ptr<port::Process> process;

    void start(const port::ProcessSpec& spec) {
        auto made =
            runner.spawn(spec, {.line = {},
                                .ended = [this](port::ProcessEnd how) { end = how; },
                                .bytes =
                                    [this](port::ProcessStream stream, std::string_view bytes) {
                                        (stream == port::ProcessStream::out ? out : err) += bytes;
                                    }});
        REQUIRE(made);
        process = std::move(*made);
    }
    port::ProcessEnd run(const port::ProcessSpec& spec) {
        start(spec);
        REQUIRE(loop.run_until([this] { return end.has_value(); }, 20s));
        return *end;
    }
    std::vector<pid_t> family_pids() {
        start(guarded(family));
        REQUIRE(loop.run_until([this] { return out.ends_with('\n'); }, 20s));
        const auto pids = pids_of(out);
        REQUIRE(pids.size() == 3);
        return pids;
    }
};

}  // namespace

TEST_CASE("a guarded program's whole family ends with its parent's kill -9", "[process]") {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    int told[2];
    REQUIRE(pipe(told) == 0);
    const pid_t parent = fork();
    REQUIRE(parent >= 0);
    if (parent == 0) {
        io::Loop loop;
        io::ProcessRunner runner{loop};
        auto child = runner.spawn(
            guarded(family),
            {.line = {}, .ended = {}, .bytes = [&](port::ProcessStream, std::string_view bytes) {
                 if (write(told[1], bytes.data(), bytes.size()) < 0) _exit(1);
             }});
        loop.run();
        _exit(child ? 0 : 1);
    }
    close(told[1]);
    char line[100];
    const ssize_t size = read(told[0], line, sizeof line);
    close(told[0]);
    REQUIRE(size > 0);
    const auto pids = pids_of({line, static_cast<std::size_t>(size)});
    REQUIRE(pids.size() == 3);
    for (const pid_t pid : pids)
        REQUIRE(kill(pid, 0) == 0);
    REQUIRE(kill(parent, SIGKILL) == 0);
    REQUIRE(waitpid(parent, nullptr, 0) == parent);
    for (const pid_t pid : pids)
        CHECK(ends_within(pid, 10'000));
    while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
    }
    for (const pid_t pid : pids)
        CHECK(kill(pid, 0) != 0);  // and nobody waits to be collected
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST_CASE("a guarded program's family ends with it, with a kill, and with its owner", "[process]") {
    Run run;
    std::vector<pid_t> pids = run.family_pids();
    SECTION("the program dies") {
        CHECK(kill(pids[0], SIGKILL) == 0);
    }
    SECTION("it is killed") {
        CHECK_NOTHROW(run.process->kill());
    }
    SECTION("it is asked to end") {
        CHECK_NOTHROW(run.process->terminate());
    }
    SECTION("nobody holds it any more") {
        run.process.reset();
        for (const pid_t pid : pids)
            CHECK(kill(pid, 0) != 0);
        return;
    }
    SECTION("its guard is killed") {
        kill(run.process->pid(), SIGKILL);
        pids.pop_back();  // a session of its own falls to whoever collects orphans
        const pid_t apart = pids_of(run.out)[2];
        REQUIRE(run.loop.run_until([&] { return run.end.has_value(); }, 20s));
        for (const pid_t pid : pids)
            CHECK(ends_within(pid, 10'000));
        kill(apart, SIGKILL);
        return;
    }
    REQUIRE(run.loop.run_until([&] { return run.end.has_value(); }, 20s));
    CHECK(run.end->signal != 0);
    for (const pid_t pid : pids)
        CHECK(kill(pid, 0) != 0);
}

TEST_CASE("a guarded program ends as it ended, and what it left behind is gone", "[process]") {
    CHECK(Run{}.run(guarded("exit 7")) == port::ProcessEnd{.status = 7});
    CHECK(Run{}.run(guarded("kill -USR1 $$")) == port::ProcessEnd{.signal = SIGUSR1});
    Run run;
    CHECK(run.run(guarded("setsid sleep 1000 & echo $!; exit 0")) == port::ProcessEnd{});
    CHECK(kill(std::stoi(run.out), 0) != 0);
    Run missing;
    auto spec = guarded("");
    spec.argv = {"/no/such/program"};
    const auto made = missing.runner.spawn(spec, {});
    REQUIRE_FALSE(made);
    CHECK(made.error().code == ErrorCode::file_missing);
}

TEST_CASE("a program asked to end may say a last word", "[process]") {
    Run run;
    run.start(guarded("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done"));
    REQUIRE(run.loop.run_until([&] { return run.out == "up\n"; }, 20s));
    run.process->terminate();
    REQUIRE(run.loop.run_until([&] { return run.end.has_value(); }, 20s));
    CHECK(run.end == port::ProcessEnd{.status = 3});
    CHECK(run.out == "up\nbye\n");
}

TEST_CASE("a program reads its input, sees its variables alone, and stands in its folder",
          "[process]") {
    const support::TempDir dir;
    auto spec = guarded("cat; pwd; env | sort; printf '\\377' >&2");
    spec.input = std::string(300'000, 'x') + "\n";
    spec.env = {{"ONE", "1"}, {"PATH", "/usr/bin:/bin"}};
    spec.only_env = true;
    spec.dir = dir.path();
    Run run;
    CHECK(run.run(spec) == port::ProcessEnd{});
    CHECK(run.out ==
          spec.input + dir.path() + "\nONE=1\nPATH=/usr/bin:/bin\nPWD=" + dir.path() + "\n");
    CHECK(run.err == "\xff");
}

TEST_CASE("the kernel holds a program to its limits", "[process]") {
    const support::TempDir dir;
    auto spec = guarded("");
    const auto run = [&](std::string script) {
        spec.argv[2] = std::move(script);
        spec.dir = dir.path();
        return Run{}.run(spec);
    };
    spec.limits.cpu_seconds = 1;
    const auto busy = run("while :; do :; done");
    CHECK((busy.signal == SIGXCPU || busy.signal == SIGKILL));
    spec.limits = {.file_bytes = 1'000};
    CHECK(run("head -c 5000 /dev/zero >file") != port::ProcessEnd{});
    CHECK(run("head -c 900 /dev/zero >file") == port::ProcessEnd{});
    spec.limits = {.memory_bytes = 64 * limits::mebibyte};
    CHECK(run("head -c 200000000 /dev/zero | tail -c 150000000 >/dev/null && exit 0; exit 5") ==
          port::ProcessEnd{.status = 5});
    spec.limits = {.files = 8};
    CHECK(run("ulimit -n | grep -qx 8") == port::ProcessEnd{});
    spec.limits = {.processes = 50};
    CHECK(run("ulimit -u 2>/dev/null | grep -qx 50 || grep -q 'Max processes *50 ' "
              "/proc/self/limits") == port::ProcessEnd{});
}

TEST_CASE("a work folder is this process's own, and takes away what dead ones left", "[process]") {
    const support::TempDir base;
    const std::string stale = base.path() + "/stale";
    REQUIRE(io::make_private_dir(stale));
    REQUIRE(io::make_private_dir(stale + "/run"));
    std::fclose(std::fopen((stale + "/lock").c_str(), "w"));
    auto first = io::WorkDir::make(base.path(), "first");
    REQUIRE(first);
    CHECK((*first)->path() == base.path() + "/first");
    CHECK(access(stale.c_str(), F_OK) != 0);
    {
        const auto second = io::WorkDir::make(base.path(), "second");
        REQUIRE(second);
        CHECK(access((*first)->path().c_str(), F_OK) == 0);  // its lock is held
        CHECK_FALSE(io::WorkDir::make(base.path(), "second"));
        REQUIRE(io::make_private_dir((*second)->path() + "/run"));
        REQUIRE(symlink((*first)->path().c_str(), ((*second)->path() + "/run/link").c_str()) == 0);
    }
    CHECK(access((base.path() + "/second").c_str(), F_OK) != 0);
    CHECK(access((*first)->path().c_str(), F_OK) == 0);  // a link is not followed
    CHECK(io::remove_tree(base.path() + "/nothing"));
}

TEST_CASE("a work folder that somebody cleaned away is made anew when it is needed", "[process]") {
    const support::TempDir base;
    const std::string work = base.path() + "/work";
    auto dir = io::WorkDir::make(work, "one");
    REQUIRE(dir);
    const std::string run = (*dir)->path() + "/run";
    for (const std::string& gone : {work, (*dir)->path(), (*dir)->path() + "/lock"}) {
        INFO(gone);
        REQUIRE((*dir)->make_dir(run));
        REQUIRE(io::remove_tree(run));
        REQUIRE(io::remove_tree(gone));
        REQUIRE((*dir)->make_dir(run));
        CHECK(io::WorkDir::make(work, "two"));  // it removes what nobody has locked
        CHECK(access(run.c_str(), F_OK) == 0);
        CHECK_FALSE((*dir)->make_dir(run));  // there is one
        REQUIRE(io::remove_tree(run));
    }
    // What is no folder stays what it is.
    REQUIRE(io::remove_tree(work));
    std::fclose(std::fopen(work.c_str(), "w"));
    CHECK_FALSE((*dir)->make_dir(run));
    CHECK(io::remove_tree(work));
    CHECK((*dir)->make_dir(run));
    dir->reset();
    CHECK(access((work + "/one").c_str(), F_OK) != 0);
}

TEST_CASE("a work folder whose maker was killed before its lock goes later", "[process]") {
    const support::TempDir base;
    const auto old = std::filesystem::file_time_type::clock::now() - std::chrono::hours{1};
    for (const char* name : {"empty", "full"})
        REQUIRE(io::make_private_dir(base.path() + "/" + name));
    REQUIRE(io::make_private_dir(base.path() + "/full/of-somebody"));
    std::filesystem::last_write_time(base.path() + "/empty", old);
    std::filesystem::last_write_time(base.path() + "/full", old);
    REQUIRE(io::WorkDir::make(base.path(), "next"));
    // In a folder that somebody named they may be anybody's.
    CHECK(access((base.path() + "/empty").c_str(), F_OK) == 0);
    CHECK(access((base.path() + "/full/of-somebody").c_str(), F_OK) == 0);
    // In a folder of its own nobody else has anything.
    const char* before = std::getenv("TMPDIR");
    const std::string kept = before == nullptr ? "" : before;
    setenv("TMPDIR", base.path().c_str(), 1);
    const std::string ours = base.path() + "/taskd-work-" + std::to_string(geteuid());
    REQUIRE(io::make_private_dir(ours));
    REQUIRE(io::make_private_dir(ours + "/new"));
    REQUIRE(io::make_private_dir(ours + "/full"));
    REQUIRE(io::make_private_dir(ours + "/full/more"));
    std::filesystem::last_write_time(ours + "/full", old);
    CHECK(io::WorkDir::make({}, "next"));
    CHECK(access((ours + "/full").c_str(), F_OK) != 0);
    CHECK(access((ours + "/new").c_str(), F_OK) == 0);  // its maker may be at it
    before == nullptr ? unsetenv("TMPDIR") : setenv("TMPDIR", kept.c_str(), 1);
}

TEST_CASE("the lock of a work folder goes last", "[process]") {
    const support::TempDir base;
    auto dir = io::WorkDir::make(base.path(), "one");
    REQUIRE(dir);
    const std::string path = (*dir)->path();
    for (int i = 0; i < 20; ++i)
        REQUIRE(io::make_private_dir(path + "/" + std::to_string(i)));
    const int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    REQUIRE(inotify_add_watch(watch, path.c_str(), IN_DELETE) >= 0);
    dir->reset();
    alignas(inotify_event) char room[8192];
    const ssize_t size = read(watch, room, sizeof room);
    close(watch);
    std::vector<std::string> gone;
    for (ssize_t at = 0; at < size;) {
        const auto* event = reinterpret_cast<const inotify_event*>(room + at);
        if ((event->mask & IN_DELETE) != 0) gone.emplace_back(event->name);
        at += static_cast<ssize_t>(sizeof *event + event->len);
    }
    REQUIRE(gone.size() == 21);
    CHECK(gone.back() == "lock");
    CHECK(access(path.c_str(), F_OK) != 0);
}

TEST_CASE("a program is found where it stands or in PATH", "[process]") {
    CHECK(io::find_program("/bin/sh") == "/bin/sh");
    CHECK(io::find_program("sh")->ends_with("/sh"));
    for (const char* none : {"no-such-program", "/bin", "./no", ""})
        CHECK(io::find_program(none).error().code == ErrorCode::file_missing);
}
