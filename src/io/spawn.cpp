#include "io/spawn.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>

#include "io/spawn_child.hpp"
#include "taskd/base/assert.hpp"

namespace taskd::io {
namespace {

std::unexpected<Error> fail_errno(const char* what) {
    return fail(ErrorCode::internal, std::string{what} + ": " + std::strerror(errno));
}

// Never in the place of standard input, output or error, nor of what is beside them.
Descriptor placed_high(int number) {
    static_assert(port::side_descriptor == STDERR_FILENO + 1);
    Descriptor made{number};
    if (number >= 0 && number <= port::side_descriptor)
        made = Descriptor{fcntl(number, F_DUPFD_CLOEXEC, port::side_descriptor + 1)};
    return made;
}

struct Pipe {
    Descriptor read;
    Descriptor write;
};

Result<Pipe> make_pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
    Pipe pipe;
    pipe.read = placed_high(ends[0]);
    pipe.write = placed_high(ends[1]);
    return pipe;
}

// A file in memory: nobody has to wait while it is read.
Result<Descriptor> make_input(const std::string& text) {
    if (text.empty()) return Descriptor{};
    Descriptor file = placed_high(memfd_create("input", MFD_CLOEXEC));
    if (file.get() < 0) return fail_errno("memfd");
    std::string_view rest = text;
    while (!rest.empty()) {
        const ssize_t size = write(file.get(), rest.data(), rest.size());
        if (size < 0 && errno != EINTR) return fail_errno("memfd");
        if (size > 0) rest.remove_prefix(static_cast<std::size_t>(size));
    }
    lseek(file.get(), 0, SEEK_SET);
    return file;
}

std::vector<std::string> environment_of(const port::ProcessSpec& spec) {
    std::map<std::string, std::string> all;
    for (char** each = environ; *each != nullptr && !spec.only_env; ++each) {
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

// The next number that the child told; 0 once it runs its program.
int read_report(int report) {
    int number = 0;
    ssize_t size = 0;
    while ((size = read(report, &number, sizeof number)) < 0 && errno == EINTR) {
    }
    return size == 0 ? 0 : number;
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
    auto side = spec.has_side ? make_pipe() : Result<Pipe>{Pipe{}};
    auto report = make_pipe();
    auto lifeline = make_pipe();
    for (auto* pipe : {&out, &err, &side, &report, &lifeline})
        if (!*pipe) return fail(std::move(*pipe));
    auto input = make_input(spec.input);
    if (!input) return fail(std::move(input));
    std::vector<std::string> arguments = spec.argv;
    std::vector<std::string> environment = environment_of(spec);
    const auto argv = pointers_to(arguments);
    const auto envp = pointers_to(environment);
    const ChildPlan plan{.parent = getpid(),
                         .argv = argv.data(),
                         .envp = envp.data(),
                         .in = input->get(),
                         .out = out->write.get(),
                         .err = err->write.get(),
                         .side = side->write.get(),
                         .report = report->write.get(),
                         .lifeline = lifeline->read.get(),
                         .dir = spec.dir.empty() ? nullptr : spec.dir.c_str(),
                         .limits = spec.limits};
    const pid_t pid = fork();
    if (pid < 0) return fail_errno("fork");
    if (pid == 0) spec.guarded ? run_guard(plan) : run_child(plan);
    report->write.reset();
    const int program = spec.guarded ? read_report(report->read.get()) : 0;
    int error = read_report(report->read.get());
    if (spec.guarded && program == 0 && error == 0) error = ECHILD;  // the guard is gone
    Descriptor watch{error == 0 ? static_cast<int>(syscall(SYS_pidfd_open, pid, 0)) : -1};
    if (watch.get() >= 0) {
        fcntl(out->read.get(), F_SETFL, O_NONBLOCK);
        fcntl(err->read.get(), F_SETFL, O_NONBLOCK);
        if (spec.has_side) fcntl(side->read.get(), F_SETFL, O_NONBLOCK);
        return Spawned{pid,
                       std::move(watch),
                       std::move(out->read),
                       std::move(err->read),
                       std::move(side->read),
                       spec.guarded ? std::move(lifeline->write) : Descriptor{},
                       program};
    }
    if (error == 0) error = errno;
    lifeline->write.reset();
    if (!spec.guarded) kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    const bool missing = error == ENOENT || error == EACCES || error == ENOTDIR;
    return fail(missing ? ErrorCode::file_missing : ErrorCode::internal,
                spec.argv[0] + ": " + std::strerror(error));
}

}  // namespace taskd::io
