#include "taskd/io/shell.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace taskd::io {
namespace {

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

// After fork, with nothing but what may be called there.
[[noreturn]] void become(const char* command, int input) {
    dup2(input, STDIN_FILENO);
    execl("/bin/sh", "sh", "-c", command, static_cast<char*>(nullptr));
    _exit(127);
}

}  // namespace

Result<int> run_shell(const ShellRun& run) {
    const auto input = as_file(run.input);
    if (!input) return std::unexpected{input.error()};
    for (const auto& [name, value] : run.environment)
        setenv(name.c_str(), value.c_str(), 1);
    const pid_t child = fork();
    if (child == 0) become(run.command.c_str(), *input);
    const auto why = errno;
    close(*input);
    if (child < 0) {
        errno = why;
        return failed("fork");
    }
    const int watch = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
    int status = 0;
    while (watch >= 0) {
        pollfd ended{watch, POLLIN, 0};
        const int timeout =
            run.meanwhile ? static_cast<int>(run.interval / std::chrono::milliseconds{1}) : -1;
        const int ready = poll(&ended, 1, timeout);
        if (ready == 0 && run.meanwhile) run.meanwhile();
        if (ready > 0 || (ready < 0 && errno != EINTR)) break;
    }
    if (watch >= 0) close(watch);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return failed("waitpid");
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace taskd::io
