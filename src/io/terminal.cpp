#include "taskd/io/terminal.hpp"

#include <poll.h>
#include <unistd.h>

namespace taskd::io {

bool is_terminal(int descriptor) {
    return ::isatty(descriptor) != 0;
}

bool terminal_is_gone() {
    pollfd asked{STDERR_FILENO, POLLOUT, 0};
    if (::poll(&asked, 1, 0) <= 0 || (asked.revents & POLLHUP) == 0) return false;
    return ::ttyname(STDERR_FILENO) == nullptr || ::isatty(STDERR_FILENO) == 0;
}

}  // namespace taskd::io
