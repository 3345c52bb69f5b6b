// The subcommands: each is a page and a function, in a file of its own. commands.cpp has the table.
#pragma once

#include <span>

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

// The pizza platform: applications on what the dispatcher offers to anybody.
const Command& pizza_order_command();
const Command& pizza_payment_command();
const Command& pizza_kitchen_command();
const Command& pizza_delivery_command();
const Command& pizza_identity_command();
const Command& pizza_demo_command();

// For people and scripts.
const Command& submit_command();
const Command& result_command();
const Command& task_command();
const Command& list_command();
const Command& logs_command();
const Command& events_command();
const Command& cancel_command();
const Command& queue_command();
const Command& dead_command();
const Command& redrive_command();
const Command& operation_command();
const Command& group_command();
const Command& publish_command();
const Command& subscribe_command();
const Command& topic_command();
const Command& trace_command();
const Command& workflow_command();
const Command& doctor_command();
const Command& simulate_command();
const Command& schedule_command();
const Command& explain_command();
const Command& stats_command();
const Command& workers_command();
const Command& load_command();
const Command& health_command();
const Command& store_command();
const Command& backup_command();
const Command& restore_command();
const Command& config_command();
const Command& registry_command();
const Command& call_command();
const Command& completion_command();
const Command& man_command();

// All of them, in the order the overview shows them.
std::span<const Command* const> commands();
// Of one word, or of two ("pizza order"; also "pizza-order"); nullptr when there is none.
const Command* find_command(std::string_view name);
// bad_usage: there is no such command; with the one that may be meant.
Error no_such_command(std::string_view name);
std::vector<const Page*> pages_of(PageKind kind);

// The built-in types of tasks.
std::vector<std::string_view> type_names();

// Flags, environment and files of this process.
const OptionSources& process_sources();

std::string_view program_version();  // "0.1.0"
std::string_view release_date();     // "2026-01-02"

// Says on stderr what went wrong; returns the exit code of the error table.
int report(const Error& error);

}  // namespace taskd::roles
