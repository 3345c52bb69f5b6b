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

std::string tell_retention(const JsonView& retention) {
    const auto days = [&](std::string_view name) {
        constexpr double ms_a_day = 24 * 3'600'000.0;
        return fmt::format("{:.4g} days",
                           static_cast<double>(retention[name].number().value_or(0)) / ms_a_day);
    };
    return fmt::format("{} of {}; {}, dead ones {}", retention["kept"].text(),
                       retention["count_max"].text(), days("keep_ms"), days("keep_dead_ms"));
}

std::string tell_disk(const JsonView& disk) {
    if (disk.empty()) return "not looked at yet";
    const auto mebibytes = [&](std::string_view name) {
        return disk[name].number().value_or(0) / limits::mebibyte;
    };
    return fmt::format("{} MiB free, {} MiB are the reserve{}", mebibytes("free_bytes"),
                       mebibytes("reserve_bytes"),
                       disk["low"].is_true() ? ": new tasks are refused" : "");
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
                             {"ended tasks kept", tell_retention(found["retention"])},
                             {"disk", tell_disk(found["disk"])},
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
