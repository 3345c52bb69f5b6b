// taskd result, task, explain, list and cancel: what can be asked and done about tasks that are
// there.
#include <fmt/format.h>

#include "client.hpp"
#include "outcome.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::roles {
namespace {

std::string path_of(const Options& options) {
    return "/v1/tasks/" + protocol::percent_encode(options.positional().front());
}

int run_result(const Options& options) {
    return with_client(options, [&](service::TaskClient& client) {
        auto outcome = client.await(options.positional().front(), options.duration("wait"));
        if (!outcome && outcome.error().code == ErrorCode::timed_out &&
            options.duration("wait") == Duration{0})
            outcome = fail(ErrorCode::result_not_ready, outcome.error().detail);
        return print_outcome(client, outcome, options.text("output"));
    });
}

// taskd task priority ID N
int run_priority(const Options& options) {
    const auto& words = options.positional();
    if (words.size() != 3) return report({ErrorCode::bad_usage, "usage: taskd task priority ID N"});
    return with_client(options, [&](service::TaskClient& client) {
        const auto answer =
            client.ask("POST", "/v1/tasks/" + protocol::percent_encode(words[1]) + "/priority",
                       fmt::format(R"({{"priority":{}}})", words[2]));
        if (!answer) return report(answer.error());
        const JsonView task{answer->body};
        print_line(options.text("output") == "json"
                       ? answer->body
                       : fmt::format("{} {}", task["id"].text(), task["state"].text()));
        return 0;
    });
}

int run_task(const Options& options) {
    if (options.positional().front() == "priority") return run_priority(options);
    if (options.positional().size() != 1)
        return report({ErrorCode::bad_usage, "usage: taskd task ID, taskd task priority ID N"});
    return with_client(options, [&](service::TaskClient& client) {
        const auto task = client.ask("GET", path_of(options));
        if (!task) return report(task.error());
        const std::string& output = options.text("output");
        if (output == "json")
            print_line(task->body);
        else if (output == "id")
            print_line(JsonView{task->body}["id"].text());
        else
            std::fputs(write_task_table(task->body).c_str(), stdout);
        return 0;
    });
}

int run_explain(const Options& options) {
    return with_client(options, [&](service::TaskClient& client) {
        const auto answer = client.ask("GET", path_of(options) + "/explain");
        if (!answer) return report(answer.error());
        if (options.text("output") == "json") {
            print_line(answer->body);
            return 0;
        }
        const JsonView why{answer->body};
        TableRows rows;
        for (const std::string_view name : {"id", "state", "rule", "text", "release", "until"})
            if (!why[name].empty()) rows.push_back({std::string{name}, why[name].text()});
        for (const JsonView& phase : why["spent"].items())
            rows.push_back({phase["phase"].text(), std::string{phase["ms"].raw()} + " ms"});
        std::fputs(write_table(rows).c_str(), stdout);
        return 0;
    });
}

int run_cancel(const Options& options) {
    return with_client(options, [&](service::TaskClient& client) {
        std::string body;
        if (options.given("reason"))
            protocol::JsonWriter{body}
                .begin_object()
                .field("reason", options.text("reason"))
                .end_object();
        const auto answer = client.ask("POST", path_of(options) + "/cancel", body);
        if (!answer) return report(answer.error());
        const JsonView task{answer->body};
        if (options.text("output") == "json")
            print_line(answer->body);
        else if (options.text("output") == "id")
            print_line(task["id"].text());
        else
            print_line(fmt::format("{} {}", task["id"].text(), task["state"].text()));
        return 0;
    });
}

OptionRow form_row(std::string_view help) {
    OptionRow row = output_row();
    row.help = help;
    return row;
}

}  // namespace

const Command& result_command() {
    static const Command command{
        {.name = "result",
         .arguments = "ID",
         .summary = "print a task's result",
         .text = "ID is a task's id, or at least 4 characters of its beginning or end that only "
                 "one task has.",
         .options = with_client_rows({{.name = "wait",
                                       .letter = 'w',
                                       .kind = OptionKind::duration,
                                       .value = "DURATION",
                                       .fallback = "0s",
                                       .help = "how long to wait for the end"},
                                      output_row()},
                                     "5s"),
         .positional_min = 1,
         .positional_max = 1,
         .kind = PageKind::client,
         .examples = {{"taskd result 0199c2f1", "as it stands now"},
                      {"taskd result 0199c2f1 --wait 1m", "once it has ended"}}},
        run_result};
    return command;
}

const Command& task_command() {
    static const Command command{
        {.name = "task",
         .arguments = "ID | priority ID N",
         .summary = "show one task: where it is and why",
         .text = {},
         .options = with_client_rows({form_row("print it so (a table unless said)")}, "0s"),
         .positional_min = 1,
         .positional_max = 3,
         .kind = PageKind::client,
         .examples = {{"taskd task 0199c2f1", "where it is and why"},
                      {"taskd task 0199c2f1 -o json", "for programs"}}},
        run_task};
    return command;
}

const Command& explain_command() {
    static const Command command{
        {.name = "explain",
         .arguments = "ID",
         .summary = "say what holds a task and what would release it",
         .text = "Of a task that has ended it says where its time went.",
         .options = with_client_rows({{.name = "output",
                                       .letter = 'o',
                                       .kind = OptionKind::choice,
                                       .value = "json|table",
                                       .fallback = "table",
                                       .help = "print it so",
                                       .from_environment = false}},
                                     "0s"),
         .positional_min = 1,
         .positional_max = 1,
         .kind = PageKind::client,
         .examples = {{"taskd explain 7d24", "by a unique part of its id"}}},
        run_explain};
    return command;
}

const Command& cancel_command() {
    static const Command command{
        {.name = "cancel",
         .arguments = "ID",
         .summary = "cancel a task",
         .text = {},
         .options = with_client_rows({{.name = "reason",
                                       .value = "TEXT",
                                       .help = "shown with the task",
                                       .from_environment = false},
                                      form_row("print the answer so")},
                                     "5s"),
         .positional_min = 1,
         .positional_max = 1,
         .kind = PageKind::client,
         .examples = {{"taskd cancel 0199c2f1", ""},
                      {"taskd cancel 0199c2f1 --reason 'sent twice'", "shown with the task"}}},
        run_cancel};
    return command;
}

}  // namespace taskd::roles
