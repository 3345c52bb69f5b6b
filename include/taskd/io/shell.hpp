// Runs one command of a shell and waits for it. Blocking.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"

namespace taskd::io {

struct ShellRun {
    std::string command;                                           // for /bin/sh -c
    std::vector<std::pair<std::string, std::string>> environment;  // beside our own
    std::string_view input;                                        // its stdin
    Duration interval{0};                                          // `meanwhile` is called so often
    std::function<void()> meanwhile;
};

// Its exit code, 128 and the signal's number when one ended it; io_failed when it cannot be
// started.
Result<int> run_shell(const ShellRun& run);

}  // namespace taskd::io
