// Whether a call ends the process as TASKD_ASSERT does: tried in a child.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace taskd::test {

template <class Call>
bool aborts(Call call) {
    const pid_t child = ::fork();
    if (child == 0) {
        std::signal(SIGABRT, SIG_DFL);  // not the test's own report
        ::close(2);
        call();
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

}  // namespace taskd::test
