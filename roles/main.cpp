// Picks the subcommand; help, version, exit codes.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>

#include "client.hpp"

namespace taskd::roles {
namespace {

std::string overview() {
    std::string out =
        "usage: taskd COMMAND [OPTION…] [ARG…]\n\n"
        "Takes tasks, never loses one it acknowledged, hands each to a worker, keeps the "
        "result.\n\n";
    for (const Command* command : commands())
        out += fmt::format("  {:<14} {}\n", command->page.name, command->page.summary);
    out +=
        "  help           how a command is used: taskd help COMMAND\n"
        "  version        which version this is\n\n"
        "A flag goes over the environment (TASKD_NAME), that over the settings file (--config),\n"
        "that over the default; 'taskd config show' says what holds and why.\n"
        "Exit codes: 0 ok, 1 general, 2 usage, 3 input file missing, 4 server not reachable,\n"
        "5 the task ended without success, 6 timed out.\n";
    return out;
}

int print(const std::string& text) {
    std::fputs(text.c_str(), stdout);
    return 0;
}

// The command that the arguments begin with, and what is left of them.
struct Found {
    const Command* command = nullptr;
    std::span<const std::string> rest;
};
Found find(std::span<const std::string> arguments) {
    if (arguments.size() > 1)
        if (const Command* two = find_command(arguments[0] + " " + arguments[1]))
            return {two, arguments.subspan(2)};
    return {find_command(arguments.front()), arguments.subspan(1)};
}

int help(std::span<const std::string> arguments) {
    if (arguments.empty()) return print(overview());
    const Command* command = find(arguments).command;
    if (command == nullptr) return report(no_such_command(arguments.front()));
    return print(write_page(command->page));
}

int run(std::span<const std::string> arguments) {
    if (arguments.empty()) {
        std::fputs(overview().c_str(), stderr);
        return row_of(ErrorCode::bad_usage).exit_code;
    }
    const std::string& name = arguments.front();
    const auto rest = arguments.subspan(1);
    if (name == "help" || name == "--help" || name == "-h") return help(rest);
    if (name == "version" || name == "--version")
        return print(fmt::format("taskd {}\n", program_version()));
    if (name == "client" && !rest.empty()) return run(rest);  // taskd client submit …
    const auto [command, own] = find(arguments);
    if (command == nullptr) return report(no_such_command(name));
    const auto options = Options::parse(command->page, own, process_sources());
    if (!options) return report(options.error());
    if (options->help()) return print(write_page(command->page));
    return command->run(*options);
}

}  // namespace
}  // namespace taskd::roles

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    const int code = taskd::roles::run(arguments);
    // A full disk must not look like success.
    return code == 0 ? taskd::roles::end_of_output() : code;
}
