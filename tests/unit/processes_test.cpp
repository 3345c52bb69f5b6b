// Real child processes: what the kernel must do for us.
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>

#include "catch.hpp"
#include "taskd/io/open_files.hpp"
#include "taskd/io/processes.hpp"

using namespace taskd;
using namespace std::chrono_literals;

namespace {

port::ProcessSpec shell(std::string script) {
    return {.argv = {"/bin/sh", "-c", std::move(script)}, .env = {}};
}

bool ends_within(pid_t pid, int milliseconds) {
    const int watch = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    if (watch < 0) return errno == ESRCH;
    pollfd wait{watch, POLLIN, 0};
    const bool ended = poll(&wait, 1, milliseconds) == 1;
    close(watch);
    return ended;
}

}  // namespace

TEST_CASE("a child dies with its parent, even by kill -9", "[process]") {
    prctl(PR_SET_CHILD_SUBREAPER, 1);  // so that the orphan is ours to reap
    int told[2];
    REQUIRE(pipe(told) == 0);
    const pid_t parent = fork();
    REQUIRE(parent >= 0);
    if (parent == 0) {
        io::Loop loop;
        io::ProcessRunner runner{loop};
        auto child = runner.spawn({.argv = {"/bin/sleep", "1000"}, .env = {}}, {});
        const int pid = child ? (*child)->pid() : 0;
        if (write(told[1], &pid, sizeof pid) == sizeof pid) loop.run();
        _exit(1);
    }
    close(told[1]);
    int orphan = 0;
    REQUIRE(read(told[0], &orphan, sizeof orphan) == sizeof orphan);
    close(told[0]);
    REQUIRE(orphan > 0);
    REQUIRE(kill(orphan, 0) == 0);
    REQUIRE(kill(parent, SIGKILL) == 0);
    REQUIRE(waitpid(parent, nullptr, 0) == parent);
    CHECK(ends_within(orphan, 10'000));
    kill(orphan, SIGKILL);
    int status = 0;
    CHECK(waitpid(orphan, &status, 0) == orphan);
    CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST_CASE("a child has none of our files, its own group, and the usual signals", "[process]") {
    const int leaked = dup(STDERR_FILENO);  // without the close-on-exec flag
    std::signal(SIGPIPE, SIG_IGN);
    io::Loop loop;
    io::ProcessRunner runner{loop};
    std::vector<std::string> lines;
    bool ended = false;
    auto child = runner.spawn(
        shell("ls /proc/self/fd | tr '\\n' ' '; echo; cut -d' ' -f5 /proc/self/stat; "
              "grep SigIgn /proc/self/status; readlink /proc/self/fd/0"),
        {.line = [&](port::ProcessStream, std::string_view line) { lines.emplace_back(line); },
         .ended = [&](port::ProcessEnd) { ended = true; }});
    REQUIRE(child.has_value());
    const int pid = (*child)->pid();
    REQUIRE(loop.run_until([&] { return ended; }, 20s));
    close(leaked);
    REQUIRE(lines.size() == 4);
    CHECK(lines[0] == "0 1 2 3 ");  // 3 is ls's own
    CHECK(lines[1] == std::to_string(pid));
    const auto ignored = std::stoull(lines[2].substr(lines[2].find('\t') + 1), nullptr, 16);
    CHECK((ignored >> (SIGPIPE - 1)) % 2 == 0);
    CHECK(lines[3] == "/dev/null");
}

TEST_CASE("a child of a role that raised its open files has as many as before", "[process]") {
    const pid_t role = fork();  // of its own: the bound is the whole process's
    REQUIRE(role >= 0);
    if (role == 0) {
        rlimit few{};
        getrlimit(RLIMIT_NOFILE, &few);
        few.rlim_cur = 200;
        setrlimit(RLIMIT_NOFILE, &few);
        if (io::raise_open_files_max() != few.rlim_max) _exit(2);
        if (io::open_files_max() != few.rlim_max) _exit(3);
        io::Loop loop;
        io::ProcessRunner runner{loop};
        int status = -1;
        auto child = runner.spawn(
            shell("test $(ulimit -Sn) = 200"),
            {.line = nullptr, .ended = [&](port::ProcessEnd end) { status = end.status; }});
        if (!child || !loop.run_until([&] { return status >= 0; }, 20s)) _exit(4);
        _exit(status);
    }
    int status = -1;
    CHECK(waitpid(role, &status, 0) == role);
    CHECK(status == 0);
}

TEST_CASE("a grandchild that keeps the pipe open does not hide its parent's end", "[process]") {
    io::Loop loop;
    io::ProcessRunner runner{loop};
    std::optional<port::ProcessEnd> end;
    std::string grandchild;
    auto child = runner.spawn(
        shell("sleep 1000 & echo $!; exit 4"),
        {.line = [&](port::ProcessStream, std::string_view line) { grandchild = line; },
         .ended = [&](port::ProcessEnd how) { end = how; }});
    REQUIRE(child.has_value());
    REQUIRE(loop.run_until([&] { return end.has_value(); }, 20s));
    CHECK(end == port::ProcessEnd{.status = 4});
    kill(std::stoi(grandchild), SIGKILL);
}

TEST_CASE("a child that writes without end does not stop the loop", "[process]") {
    io::Loop loop;
    io::ProcessRunner runner{loop};
    std::size_t lines = 0;
    bool timer_ran = false;
    auto child = runner.spawn(
        shell("exec yes"),
        {.line = [&](port::ProcessStream, std::string_view) { ++lines; }, .ended = nullptr});
    REQUIRE(child.has_value());
    REQUIRE(loop.run_until([&] { return lines > 100'000; }, 20s));
    loop.post([&] { timer_ran = true; });
    REQUIRE(loop.run_until([&] { return timer_ran; }, 20s));
    const pid_t pid = (*child)->pid();
    child->reset();
    CHECK(ends_within(pid, 10'000));
}
