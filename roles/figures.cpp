// taskd stats, workers and health: how the server stands.
#include <fmt/format.h>

#include "client.hpp"
#include "taskd/base/duration_text.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::roles {
namespace {

// 1536 as "1.5 KiB".
std::string bytes_text(const JsonView& view) {
    double bytes = std::strtod(view.text().c_str(), nullptr);
    for (const std::string_view unit : {"B", "KiB", "MiB"}) {
        if (bytes < 1024) return fmt::format("{:.{}f} {}", bytes, unit == "B" ? 0 : 1, unit);
        bytes /= 1024;
    }
    return fmt::format("{:.1f} GiB", bytes);
}

std::string write_stats(const JsonView& stats) {
    const JsonView totals = stats["totals"];
    const JsonView states = stats["states"];
    const JsonView journal = stats["journal"];
    const auto uptime = std::strtoll(stats["uptime_ms"].text().c_str(), nullptr, 10) / 1000;
    std::string out = write_table({
        {"queued", states["queued"].text()},
        {"running", states["running"].text()},
        {"scheduled", states["scheduled"].text()},
        {"submitted", totals["submitted"].text()},
        {"succeeded", totals["succeeded"].text()},
        {"dead", totals["dead"].text()},
        {"cancelled", totals["cancelled"].text()},
        {"failures", totals["failures"].text()},
        {"crashes", totals["crashes"].text()},
        {"journal", fmt::format("{} used, {} ready{}", bytes_text(journal["bytes_used"]),
                                bytes_text(journal["bytes_room"]),
                                journal["full"].raw() == "true" ? ", the disk is full" : "")},
        {"view", fmt::format("{} records behind", stats["view"]["lag_records"].text())},
        {"up for", to_text(std::chrono::seconds{uptime})},
    });
    TableRows queues{
        {"QUEUE", "QUEUED", "RUNNING", "SCHEDULED", "WORKERS", "SLOTS", "OLDEST QUEUED"}};
    for (const JsonView& queue : stats["queues"].items())
        queues.push_back({queue["type"].text(), queue["queued"].text(), queue["running"].text(),
                          queue["scheduled"].text(), queue["workers"].text(),
                          fmt::format("{}/{}", queue["slots_used"].text(), queue["slots"].text()),
                          queue["oldest_queued_at"].text()});
    if (queues.size() > 1) out += '\n' + write_table(queues);
    return out;
}

std::string hold_text(const JsonView& hold) {
    if (hold.empty()) return {};
    const JsonView pause = hold["paused"];
    std::string text = hold["draining"].is_true() ? "draining" : "paused";
    text += " since " + pause["since"].text();
    if (!pause["by"].text().empty()) text += " by " + pause["by"].text();
    if (!pause["reason"].text().empty()) text += ": " + pause["reason"].text();
    return text;
}

std::string write_workers(const JsonView& answer) {
    TableRows rows{{"INSTANCE", "TYPE", "ADDRESS", "HELD", "REACHABLE", "LAST HEARD", "PAUSED"}};
    for (const JsonView& worker : answer["workers"].items()) {
        std::string types;
        for (const JsonView& type : worker["types"].items())
            types += (types.empty() ? "" : ",") + type.text();
        const bool pulls = worker["via"].text() == "http";
        rows.push_back(
            {worker["instance"].text(), types,
             pulls ? "pulls" : fmt::format("{}:{}", worker["host"].text(), worker["port"].text()),
             fmt::format("{}/{}", worker["held"].text(), worker["concurrency"].text()),
             worker["reachable"].raw() == "true" ? "yes" : "no", worker["last_heard_at"].text(),
             hold_text(worker["hold"])});
    }
    return write_table(rows);
}

// What an answer is about, one name a line.
struct Names {
    std::string_view list;
    std::string_view field;
};

int print_figures(const Options& options, const std::string& target, Names names,
                  std::string (*write)(const JsonView&)) {
    return with_client(options, [&](service::TaskClient& client) {
        const auto answer = client.ask("GET", target);
        if (!answer) return report(answer.error());
        if (options.text("output") == "json")
            print_line(answer->body);
        else if (options.text("output") == "id")
            for (const JsonView& each : JsonView{answer->body}[names.list].items())
                print_line(each[names.field].text());
        else
            std::fputs(write(JsonView{answer->body}).c_str(), stdout);
        return 0;
    });
}

int run_stats(const Options& options) {
    return print_figures(options, "/v1/stats", {"queues", "type"}, write_stats);
}

// taskd workers pause|drain|resume NAME
int run_hold(const Options& options) {
    const auto& words = options.positional();
    const std::string& verb = words[0];
    if (words.size() != 2 || (verb != "pause" && verb != "drain" && verb != "resume"))
        return report({ErrorCode::bad_usage, "usage: taskd workers [pause|drain|resume NAME]"});
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object();
    for (const std::string_view name : {"by", "reason"})
        if (options.given(name)) json.field(name, options.text(name));
    json.end_object();
    return with_client(options, [&](service::TaskClient& client) {
        const auto answer = client.ask(
            "POST", "/v1/workers/" + protocol::percent_encode(words[1]) + "/" + verb, body);
        if (!answer) return report(answer.error());
        const JsonView hold{answer->body};
        const std::string text =
            hold["paused"].empty() ? std::string{"takes tasks"} : hold_text(hold);
        print_line(options.text("output") == "json" ? answer->body
                                                    : hold["instance"].text() + " " + text);
        return 0;
    });
}

int run_workers(const Options& options) {
    if (!options.positional().empty()) return run_hold(options);
    return print_figures(options, "/v1/workers", {"workers", "instance"}, write_workers);
}

int run_health(const Options& options) {
    return with_client(options, [&](service::TaskClient& client) {
        const auto answer = client.ask("GET", options.toggle("alive") ? "/healthz" : "/readyz");
        if (!answer) return report(answer.error());
        const std::string& output = options.text("output");
        if (output == "json")
            print_line(answer->body);
        else
            print_line(output == "id" ? JsonView{answer->body}["role"].text() : "ok");
        return 0;
    });
}

OptionRow form_row() {
    return {.name = "output",
            .letter = 'o',
            .kind = OptionKind::choice,
            .value = "json|table|id",
            .fallback = "table",
            .help = "print them so; id: names alone",
            .from_environment = false};
}

OptionRow health_form_row() {
    OptionRow row = form_row();
    row.help = "print the answer so; id: the role's name alone";
    return row;
}

}  // namespace

const Command& stats_command() {
    static const Command command{{.name = "stats",
                                  .arguments = {},
                                  .summary = "show the dispatcher's figures",
                                  .text = {},
                                  .options = with_client_rows({form_row()}, "0s"),
                                  .kind = PageKind::client,
                                  .examples = {{"taskd stats", "tasks, queues, journal"},
                                               {"taskd stats -o json", "for programs"}}},
                                 run_stats};
    return command;
}

const Command& workers_command() {
    static const Command command{
        {.name = "workers",
         .arguments = "[pause NAME | drain NAME | resume NAME]",
         .summary = "show the workers the dispatcher knows; hold one of them",
         .text = "A paused or draining worker gets no tasks until it is resumed; what it holds may "
                 "end. NAME is an\ninstance, or the part of it that stays when it is started anew: "
                 "sum-1 of sum-1-5f1c0d9a.",
         .options = with_client_rows(
             {{.name = "by", .value = "NAME", .help = "who does it", .from_environment = false},
              {.name = "reason",
               .value = "TEXT",
               .help = "why; shown with what it holds up",
               .from_environment = false},
              form_row()},
             "0s"),
         .positional_max = 2,
         .kind = PageKind::client,
         .examples = {{"taskd workers", "who is there and reachable"},
                      {"taskd workers drain sum-1 --reason 'new disk'", "no more tasks for it"},
                      {"taskd workers resume sum-1", ""}}},
        run_workers};
    return command;
}

const Command& health_command() {
    static const Command command{
        {.name = "health",
         .arguments = {},
         .summary = "ask a role whether it is ready; exit 0 when it is",
         .text = "For health checks of containers: --url may name any role.",
         .options = with_client_rows({{.name = "alive",
                                       .kind = OptionKind::toggle,
                                       .help = "ask only whether its process is alive",
                                       .from_environment = false},
                                      health_form_row()},
                                     "0s"),
         .kind = PageKind::client,
         .examples = {{"taskd health", "is the dispatcher ready?"},
                      {"taskd health --url http://127.0.0.1:8080", "is the monitor?"}}},
        run_health};
    return command;
}

}  // namespace taskd::roles
