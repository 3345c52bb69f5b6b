// taskd doctor: whether what the dispatcher goes by is what its tasks and leases say.
#include <fmt/format.h>

#include "client.hpp"
#include "command.hpp"

namespace taskd::roles {
namespace {

std::string joined(const std::vector<JsonView>& items) {
    std::string text;
    for (const JsonView& item : items)
        text += (text.empty() ? "" : ", ") + item.text();
    return text.empty() ? "none" : text;
}

int run(const Options& options) {
    return with_client(options, [&](service::TaskClient& client) {
        const auto answer = client.ask("GET", "/v1/doctor");
        if (!answer) return report(answer.error());
        const JsonView found{answer->body};
        if (options.text("output") == "json")
            print_line(answer->body);
        else
            std::fputs(
                write_table({{"faults", joined(found["faults"].items())},
                             {"work beside idle workers", joined(found["idle_with_work"].items())},
                             {"for", found["idle_with_work_ms"].text() + " ms"},
                             {"tasks in memory", found["tasks_in_memory"].text()},
                             {"verdict", found["sound"].is_true() ? "sound" : "unsound"}})
                    .c_str(),
                stdout);
        return found["sound"].is_true() ? 0 : 1;
    });
}

}  // namespace

const Command& doctor_command() {
    static const Command command{
        {.name = "doctor",
         .arguments = {},
         .summary = "count everything anew and compare",
         .text = "Every limit and figure is counted anew from leases and tasks; exit code 1 when "
                 "something differs.\nThe files of a dispatcher that does not run are verified by "
                 "'taskd store check DIR'.",
         .options = with_client_rows({{.name = "output",
                                       .letter = 'o',
                                       .kind = OptionKind::choice,
                                       .value = "json|table",
                                       .fallback = "table",
                                       .help = "print it so",
                                       .from_environment = false}},
                                     "0s"),
         .kind = PageKind::client,
         .examples = {{"taskd doctor", "sound, or what differs"}}},
        run};
    return command;
}

}  // namespace taskd::roles
