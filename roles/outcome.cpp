#include "outcome.hpp"

#include <fmt/format.h>

#include "client.hpp"
#include "taskd/protocol/target.hpp"
#include "taskd/service/payload_text.hpp"

namespace taskd::roles {
namespace {

constexpr std::string_view shown_fields[] = {
    "id",        "type",     "state",  "priority",      "payload",  "result",  "submitted_at",
    "edited_at", "ended_at", "due_at", "attempts_made", "failures", "crashes", "redrives",
};

std::string error_line(JsonView error) {
    return fmt::format("{}: {}{}", error["code"].text(), error["message"].text(),
                       error["permanent"].raw() == "true" ? " (permanent)" : "");
}

int print_whole(service::TaskClient& client, const std::string& id, const std::string& output) {
    const auto task = client.ask("GET", "/v1/tasks/" + protocol::percent_encode(id));
    if (!task) return report(task.error());
    if (output == "json")
        print_line(task->body);
    else
        std::fputs(write_task_table(task->body).c_str(), stdout);
    return 0;
}

}  // namespace

OptionRow output_row() {
    return {.name = "output",
            .letter = 'o',
            .kind = OptionKind::choice,
            .value = "json|table|id",
            .help = "print the task so; without it the result alone",
            .from_environment = false};
}

std::string write_task_table(std::string_view task_json) {
    const JsonView task{task_json};
    TableRows rows;
    for (const std::string_view name : shown_fields)
        if (const JsonView field = task[name]; !field.empty())
            rows.push_back({std::string{name}, name == "payload" || name == "result"
                                                   ? std::string{field.raw()}
                                                   : field.text()});
    if (const JsonView key = task["key"]; !key.empty()) rows.push_back({"key", key.text()});
    if (const JsonView labels = task["labels"]; !labels.empty())
        rows.push_back({"labels", std::string{labels.raw()}});
    if (const JsonView error = task["error"]; !error.empty())
        rows.push_back({"error", error_line(error)});
    if (const JsonView progress = task["progress"]; !progress.empty()) {
        std::string text = progress["percent"].text();
        if (!text.empty()) text += " %";
        if (const std::string note = progress["note"].text(); !note.empty())
            text += (text.empty() ? "" : ": ") + note;
        if (!progress["details"].empty())
            text += (text.empty() ? "" : " ") + std::string{progress["details"].raw()};
        rows.push_back({"progress", text});
    }
    if (const JsonView waiting = task["waiting_for"]; !waiting.empty())
        rows.push_back({"waiting_for", waiting["text"].text()});
    std::string out = write_table(rows);
    const auto attempts = task["attempts"].items();
    if (attempts.empty()) return out;
    TableRows table{{"attempt", "outcome", "worker", "started_at", "ended_at", "error"}};
    for (const JsonView& attempt : attempts)
        table.push_back({attempt["number"].text(), attempt["outcome"].text(),
                         attempt["worker"].text(), attempt["started_at"].text(),
                         attempt["ended_at"].text(),
                         attempt["error"].empty() ? "" : error_line(attempt["error"])});
    return out + '\n' + write_table(table);
}

int print_outcome(service::TaskClient& client, const Result<service::TaskOutcome>& outcome,
                  const std::string& output) {
    if (!outcome) return report(outcome.error());
    int code = 0;
    if (output == "id")
        print_line(outcome->id);
    else if (!output.empty())
        code = print_whole(client, outcome->id, output);
    else if (!outcome->error_state())
        print_line(service::shown_result(outcome->result));
    if (code != 0 || !outcome->error_state()) return code;
    const std::string why =
        outcome->error ? fmt::format(": {}: {}", outcome->error->code, outcome->error->message)
                       : std::string{};
    say(fmt::format("task {} is {}{}", outcome->id, outcome->state, why));
    return row_of(ErrorCode::worker_failed).exit_code;
}

}  // namespace taskd::roles
