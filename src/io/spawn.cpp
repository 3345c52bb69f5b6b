#include "io/spawn.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>

#include "taskd/base/assert.hpp"

namespace taskd::io {
namespace {

struct Pipe {
    Descriptor read;
    Descriptor write;
};

// Closed on exec, and never in the place of standard input, output or error.
Result<Pipe> make_pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return fail(ErrorCode::internal, std::string{"pipe: "} + std::strerror(errno));
    Pipe pipe{Descriptor{ends[0]}, Descriptor{ends[1]}};
    for (Descriptor* end : {&pipe.read, &pipe.write})
        if (end->get() <= STDERR_FILENO)
            *end = Descriptor{fcntl(end->get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1)};
    return pipe;
}

std::vector<std::string> environment_of(const port::ProcessSpec& spec) {
    std::map<std::string, std::string> all;
    for (char** each = environ; *each != nullptr; ++each) {
        const std::string_view text{*each};
        const auto equals = std::min(text.find('='), text.size());
        all[std::string{text.substr(0, equals)}] = text;
    }
    for (const auto& [name, value] : spec.env)
        all[name] = name + "=" + value;
    std::vector<std::string> lines;
    for (auto& [name, line] : all)
        lines.push_back(std::move(line));
    return lines;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (auto& text : texts)
        pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

struct ChildPlan {
    pid_t parent;
    char* const* argv;
    char* const* envp;
    int out;
    int err;
    int report;
};

// After fork only what is safe in a signal handler: another thread may have held any lock.
[[noreturn]] void run_child(const ChildPlan& plan) {
    // Asked for first and checked after: the parent may have ended in between.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != plan.parent) _exit(127);
    setpgid(0, 0);
    struct sigaction usual{};
    usual.sa_handler = SIG_DFL;
    sigaction(SIGPIPE, &usual, nullptr);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const bool placed = dup2(nothing, STDIN_FILENO) >= 0 && dup2(plan.out, STDOUT_FILENO) >= 0 &&
                        dup2(plan.err, STDERR_FILENO) >= 0;
    // Whatever a library opened without the flag.
    close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    if (placed) execve(plan.argv[0], plan.argv, plan.envp);
    const int error = errno;
    [[maybe_unused]] const ssize_t told = write(plan.report, &error, sizeof error);
    _exit(127);
}

}  // namespace

void Descriptor::reset() {
    if (number_ >= 0) close(number_);
    number_ = -1;
}

Result<Spawned> spawn_child(const port::ProcessSpec& spec) {
    TASKD_ASSERT(!spec.argv.empty());
    TASKD_ASSERT(gettid() == getpid());
    auto out = make_pipe();
    auto err = make_pipe();
    auto report = make_pipe();
    for (auto* pipe : {&out, &err, &report})
        if (!*pipe) return fail(std::move(*pipe));
    std::vector<std::string> arguments = spec.argv;
    std::vector<std::string> environment = environment_of(spec);
    const auto argv = pointers_to(arguments);
    const auto envp = pointers_to(environment);
    const ChildPlan plan{getpid(),         argv.data(),      envp.data(),
                         out->write.get(), err->write.get(), report->write.get()};
    const pid_t pid = fork();
    if (pid < 0) return fail(ErrorCode::internal, std::string{"fork: "} + std::strerror(errno));
    if (pid == 0) run_child(plan);
    report->write.reset();
    // Ends without a byte when exec succeeds.
    int error = 0;
    ssize_t size = 0;
    while ((size = read(report->read.get(), &error, sizeof error)) < 0 && errno == EINTR) {
    }
    Descriptor watch{size == 0 ? static_cast<int>(syscall(SYS_pidfd_open, pid, 0)) : -1};
    if (watch.get() >= 0) {
        fcntl(out->read.get(), F_SETFL, O_NONBLOCK);
        fcntl(err->read.get(), F_SETFL, O_NONBLOCK);
        return Spawned{pid, std::move(watch), std::move(out->read), std::move(err->read)};
    }
    if (size == 0) error = errno;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    const bool missing = error == ENOENT || error == EACCES || error == ENOTDIR;
    return fail(missing ? ErrorCode::file_missing : ErrorCode::internal,
                spec.argv[0] + ": " + std::strerror(error));
}

}  // namespace taskd::io
