// The subcommands: each is a page and a function, in a file of its own. main.cpp has the table.
#pragma once

#include "options.hpp"

namespace taskd::roles {

struct Command {
    Page page;
    // Returns the exit code. Faults go to stderr by report().
    int (*run)(const Options& options);
};

// Long-running roles.
const Command& dispatcher_command();
const Command& nameservice_command();
const Command& worker_command();
const Command& monitor_command();
const Command& up_command();
const Command& compose_command();

// For people and scripts.
const Command& submit_command();
const Command& result_command();
const Command& task_command();
const Command& list_command();
const Command& cancel_command();
const Command& stats_command();
const Command& workers_command();
const Command& load_command();
const Command& health_command();
const Command& store_command();

// Says on stderr what went wrong; returns the exit code of the error table.
int report(const Error& error);

}  // namespace taskd::roles
