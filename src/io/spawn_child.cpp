#include "io/spawn_child.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "taskd/io/open_files.hpp"

namespace taskd::io {
namespace {

constexpr int cannot_run = 127;
// How long what was killed may take to be gone; a process in the kernel's hands may take longer.
constexpr int killing_rounds = 500;
constexpr int round_milliseconds = 10;

void tell(int report, int number) {
    [[maybe_unused]] const ssize_t told = write(report, &number, sizeof number);
}

void limit(__rlimit_resource which, std::uint64_t value) {
    if (value == 0) return;
    rlimit both{value, value};
    rlimit now{};
    if (getrlimit(which, &now) == 0 && now.rlim_max < value) both = {now.rlim_max, now.rlim_max};
    setrlimit(which, &both);
}

void set_limits(const port::ProcessLimits& limits) {
    limit(RLIMIT_CPU, limits.cpu_seconds);
    limit(RLIMIT_AS, limits.memory_bytes);
    restore_open_files_max();
    limit(RLIMIT_NOFILE, limits.files);
    limit(RLIMIT_NPROC, limits.processes);
    limit(RLIMIT_FSIZE, limits.file_bytes);
}

void unblock_signals() {
    struct sigaction usual{};
    usual.sa_handler = SIG_DFL;
    sigaction(SIGPIPE, &usual, nullptr);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Those who fell back to us.
void kill_children() {
    const int list = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    if (list < 0) return;
    char text[4096];
    const ssize_t size = read(list, text, sizeof text);
    close(list);
    pid_t pid = 0;
    for (ssize_t i = 0; i < size; ++i) {
        if (text[i] >= '0' && text[i] <= '9') {
            pid = pid * 10 + (text[i] - '0');
        } else {
            if (pid > 0) kill(pid, SIGKILL);
            pid = 0;
        }
    }
}

// Collects who has ended; false when nobody is left. The program's own end goes to `status`.
bool collect(pid_t program, int& status) {
    for (;;) {
        int ended = 0;
        const pid_t pid = waitpid(-1, &ended, WNOHANG);
        if (pid == program) status = ended;
        if (pid == 0) return true;
        if (pid < 0 && errno != EINTR) return false;
    }
}

void kill_all(pid_t program, int signals, int& status) {
    for (int round = 0; round < killing_rounds; ++round) {
        kill(-program, SIGKILL);
        kill_children();
        if (!collect(program, status)) return;
        pollfd wait{signals, POLLIN, 0};
        poll(&wait, 1, round_milliseconds);
        signalfd_siginfo info{};
        while (read(signals, &info, sizeof info) > 0) {
        }
    }
}

[[noreturn]] void end_as(int status) {
    if (WIFSIGNALED(status)) {
        const rlimit none{0, 0};
        setrlimit(RLIMIT_CORE, &none);
        struct sigaction usual{};
        usual.sa_handler = SIG_DFL;
        sigaction(WTERMSIG(status), &usual, nullptr);
        unblock_signals();
        kill(getpid(), WTERMSIG(status));
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : cannot_run);
}

// Until the program has ended or nobody holds the lifeline any more.
void watch(pid_t program, int lifeline, int signals, int& status) {
    constexpr int running = -1;
    status = running;
    while (status == running) {
        pollfd waits[] = {{lifeline, POLLIN, 0}, {signals, POLLIN, 0}};
        if (poll(waits, 2, -1) < 0) continue;
        if (waits[0].revents != 0) break;
        signalfd_siginfo info{};
        while (read(signals, &info, sizeof info) > 0)
            if (info.ssi_signo == SIGTERM) kill(-program, SIGTERM);
        collect(program, status);
    }
    if (status == running) status = SIGKILL;  // as a wait status: killed
}

}  // namespace

void run_child(const ChildPlan& plan) {
    // Asked for first and checked after: the parent may have ended in between.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != plan.parent) _exit(cannot_run);
    setpgid(0, 0);
    unblock_signals();
    const int in = plan.in >= 0 ? plan.in : open("/dev/null", O_RDONLY | O_CLOEXEC);
    const bool placed = dup2(in, STDIN_FILENO) >= 0 && dup2(plan.out, STDOUT_FILENO) >= 0 &&
                        dup2(plan.err, STDERR_FILENO) >= 0;
    const bool has_side = plan.side >= 0;
    const bool beside = !has_side || dup2(plan.side, port::side_descriptor) >= 0;
    // Whatever a library opened without the flag.
    close_range(STDERR_FILENO + 1U + (has_side ? 1U : 0U), ~0U, CLOSE_RANGE_CLOEXEC);
    const bool there = plan.dir == nullptr || chdir(plan.dir) == 0;
    if (placed && beside && there) {
        set_limits(plan.limits);
        execve(plan.argv[0], plan.argv, plan.envp);
    }
    tell(plan.report, errno);
    _exit(cannot_run);
}

void run_guard(const ChildPlan& plan) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    setpgid(0, 0);
    sigset_t heard;
    sigemptyset(&heard);
    sigaddset(&heard, SIGTERM);
    sigaddset(&heard, SIGCHLD);
    sigprocmask(SIG_SETMASK, &heard, nullptr);
    ChildPlan own = plan;
    own.parent = getpid();
    const pid_t program = fork();
    if (program == 0) {
        tell(plan.report, getpid());
        run_child(own);
    }
    if (program < 0) {
        const int error = errno;
        tell(plan.report, 0);
        tell(plan.report, error);
        _exit(cannot_run);
    }
    setpgid(program, program);  // both do: whoever comes first
    // Nothing of ours is held beyond our end but the lifeline: no socket, and no lock.
    const int lifeline = dup2(plan.lifeline, STDIN_FILENO);
    close_range(STDOUT_FILENO, ~0U, 0);
    const int signals = signalfd(-1, &heard, SFD_NONBLOCK | SFD_CLOEXEC);
    int status = 0;
    watch(program, lifeline, signals, status);
    kill_all(program, signals, status);
    end_as(status);
}

}  // namespace taskd::io
