#include "taskd/io/shell.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace taskd::io {
namespace {

constexpr int grace_ms = 5'000;

std::unexpected<Error> failed(const char* what) {
    return fail(ErrorCode::io_failed, std::string{what} + ": " + std::strerror(errno));
}

// A file in memory, so that a command that does not read holds nobody up.
Result<int> as_file(std::string_view bytes) {
    const int file = memfd_create("input", MFD_CLOEXEC);
    if (file < 0) return failed("memfd_create");
    while (!bytes.empty()) {
        const ssize_t written = write(file, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            close(file);
            return failed("write");
        }
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    lseek(file, 0, SEEK_SET);
    return file;
}

// The group of the command that runs, and what we were told meanwhile: for the handler.
volatile std::sig_atomic_t group = 0;
volatile std::sig_atomic_t told = 0;

// A terminal tells us alone: the command is in a session of its own.
void pass_on(int signal) {
    const int why = errno;
    told = signal;
    if (group > 0) kill(-group, signal);
    errno = why;
}

// While it lives, what would end us goes to the command first.
class SignalsPassedOn {
  public:
    SignalsPassedOn() {
        struct sigaction passing{};
        passing.sa_handler = pass_on;
        for (std::size_t i = 0; i < std::size(signals); ++i) {
            sigaction(signals[i], nullptr, &before_[i]);
            if (before_[i].sa_handler == SIG_DFL) sigaction(signals[i], &passing, nullptr);
        }
    }
    // Ends us after all when we were told to.
    ~SignalsPassedOn() {
        group = 0;
        for (std::size_t i = 0; i < std::size(signals); ++i)
            sigaction(signals[i], &before_[i], nullptr);
        if (told != 0) raise(told);
    }
    SignalsPassedOn(const SignalsPassedOn&) = delete;
    SignalsPassedOn& operator=(const SignalsPassedOn&) = delete;

  private:
    static constexpr int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction before_[std::size(signals)]{};
};

// After fork, with nothing but what may be called there. The command ends when we do, however that
// is, and has the signals that a shell would give it.
[[noreturn]] void become(const char* command, int input, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);  // it has ended meanwhile
    setsid();  // a command that asked at the terminal would stop there, unseen
    std::signal(SIGPIPE, SIG_DFL);
    dup2(input, STDIN_FILENO);
    execl("/bin/sh", "sh", "-c", command, static_cast<char*>(nullptr));
    _exit(127);
}

Result<pid_t> begin(const ShellRun& run) {
    const auto input = as_file(run.input);
    if (!input) return std::unexpected{input.error()};
    for (const auto& [name, value] : run.environment)
        setenv(name.c_str(), value.c_str(), 1);
    int begun[2];  // closed by the command's exec, in its own session by then
    if (pipe2(begun, O_CLOEXEC) != 0) {
        close(*input);
        return failed("pipe");
    }
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child == 0) become(run.command.c_str(), *input, parent);
    const auto why = errno;
    close(*input);
    close(begun[1]);
    char none = 0;
    while (child > 0 && read(begun[0], &none, 1) < 0 && errno == EINTR) {
    }
    close(begun[0]);
    errno = why;
    if (child < 0) return failed("fork");
    group = child;
    if (told != 0) kill(-child, told);
    return child;
}

// Until it has ended. Once we are told to end it has a moment for it.
void look_after(pid_t child, const ShellRun& run) {
    const int watch = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
    while (watch >= 0) {
        pollfd ended{watch, POLLIN, 0};
        const bool ending = told != 0;
        int timeout = -1;
        if (ending)
            timeout = grace_ms;
        else if (run.meanwhile)
            timeout = static_cast<int>(run.interval / std::chrono::milliseconds{1});
        const int ready = poll(&ended, 1, timeout);
        if (ready > 0 || (ready < 0 && errno != EINTR)) break;
        if (ready < 0) continue;
        if (ending)
            kill(-child, SIGKILL);
        else
            run.meanwhile();
    }
    if (watch >= 0) close(watch);
}

}  // namespace

Result<int> run_shell(const ShellRun& run) {
    const SignalsPassedOn signals;
    const auto child = begin(run);
    if (!child) return std::unexpected{child.error()};
    look_after(*child, run);
    int status = 0;
    while (waitpid(*child, &status, 0) < 0)
        if (errno != EINTR) return failed("waitpid");
    if (told != 0) kill(-*child, SIGKILL);  // what it left behind
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace taskd::io
