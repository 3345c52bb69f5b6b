// The table of subcommands, and what their options are read from.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "client.hpp"
#include "taskd/base/nearest.hpp"
#include "taskd/io/yaml.hpp"
#include "taskd/work/work.hpp"

namespace taskd::roles {
namespace {

const char* variable(const char* name) {
    return std::getenv(name);
}

// Where a person's own settings of client commands lie; empty when there is no home.
std::string client_file() {
    const char* dir = std::getenv("XDG_CONFIG_HOME");
    if (dir != nullptr && *dir != '\0') return std::string{dir} + "/taskd/client.yaml";
    const char* home = std::getenv("HOME");
    if (home == nullptr || *home == '\0') return {};
    return std::string{home} + "/.config/taskd/client.yaml";
}

}  // namespace

std::span<const Command* const> commands() {
    static const Command* const table[] = {
        &submit_command(),
        &result_command(),
        &task_command(),
        &list_command(),
        &logs_command(),
        &events_command(),
        &explain_command(),
        &dead_command(),
        &redrive_command(),
        &operation_command(),
        &group_command(),
        &workflow_command(),
        &queue_command(),
        &publish_command(),
        &subscribe_command(),
        &topic_command(),
        &trace_command(),
        &process_command(),
        &function_command(),
        &schedule_command(),
        &cancel_command(),
        &stats_command(),
        &workers_command(),
        &load_command(),
        &up_command(),
        &dispatcher_command(),
        &nameservice_command(),
        &worker_command(),
        &monitor_command(),
        &host_command(),
        &health_command(),
        &config_command(),
        &registry_command(),
        &call_command(),
        &store_command(),
        &backup_command(),
        &restore_command(),
        &doctor_command(),
        &simulate_command(),
        &compose_command(),
        &completion_command(),
        &man_command(),
        &pizza_order_command(),
        &pizza_payment_command(),
        &pizza_kitchen_command(),
        &pizza_delivery_command(),
        &pizza_identity_command(),
        &pizza_demo_command(),
    };
    return table;
}

const Command* find_command(std::string_view name) {
    const auto all = commands();
    const auto found = std::ranges::find_if(all, [&](const Command* it) {
        return it->page.name == name || dashed_name(it->page) == name;
    });
    return found == all.end() ? nullptr : *found;
}

Error no_such_command(std::string_view name) {
    std::string more;
    for (const Command* command : commands())
        if (command->page.name.starts_with(fmt::format("{} ", name)))
            more += fmt::format("{}{}", more.empty() ? "" : ", ", command->page.name);
    if (!more.empty()) return {ErrorCode::bad_usage, fmt::format("say which: {}", more)};
    std::vector<std::string_view> names{"help", "version"};
    for (const Command* command : commands())
        names.push_back(command->page.name);
    return {ErrorCode::bad_usage, fmt::format("there is no command '{}'{}; see 'taskd help'", name,
                                              meant_instead(name, names))};
}

std::vector<const Page*> pages_of(PageKind kind) {
    std::vector<const Page*> pages;
    for (const Command* command : commands())
        if (command->page.kind == kind) pages.push_back(&command->page);
    return pages;
}

std::vector<std::string_view> type_names() {
    std::vector<std::string_view> names;
    for (const work::WorkType& type : work::work_table())
        names.push_back(type.name);
    return names;
}

const OptionSources& process_sources() {
    static const OptionSources sources{.environment = variable,
                                       .read_file = io::read_yaml_file,
                                       .client_file = client_file(),
                                       .pages = pages_of(PageKind::client)};
    return sources;
}

std::string_view release_date() {
    return TASKD_RELEASE_DATE;
}

std::string_view program_version() {
    return TASKD_VERSION;
}

int report(const Error& error) {
    say(error.to_string());
    return row_of(error.code).exit_code;
}

}  // namespace taskd::roles
