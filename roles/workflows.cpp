// taskd workflow: steps that depend on each other, from a file to their end.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "outcome.hpp"
#include "taskd/base/nearest.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/io/terminal.hpp"
#include "taskd/protocol/graph_drawing.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"
#include "taskd/service/payload_text.hpp"
#include "workflow_file.hpp"
#include "workflow_text.hpp"

namespace taskd::roles {
namespace {

using namespace std::chrono_literals;

constexpr Duration look_every = 1s;    // while it is watched
constexpr Duration ask_longest = 30s;  // of one question that waits

std::string target_of(const std::string& id, const std::string& more = {}) {
    return "/v1/workflows/" + protocol::percent_encode(id) + more;
}

int print(const Options& options, const Result<service::TaskClient::Answer>& answer,
          bool steps = false) {
    if (!answer) return report(answer.error());
    const JsonView view{answer->body};
    if (options.text("output") == "json")
        print_line(answer->body);
    else if (options.text("output") == "id")
        print_line(view["id"].text());
    else
        std::fputs(write_workflow(view, steps).c_str(), stdout);
    return 0;
}

// ---- files --------------------------------------------------------------------------------------

// Where entries are looked for.
std::string data_of(const Options& options) {
    return options.given("data") ? options.text("data") : "taskd-data";
}

int run_check(const Options& options) {
    const std::string& path = options.positional()[1];
    auto inputs = read_inputs(options);
    if (!inputs) return report(inputs.error());
    // Without any of them: then they are given later.
    const auto file =
        read_workflow_named(path, data_of(options), *inputs == "{}" ? std::string{} : *inputs);
    if (!file) return report(file.error());
    const WorkflowPlan& plan = *file->document.plan;
    for (const std::string& note : file->document.notes)
        say(note);
    std::size_t edges = 0;
    for (const StepPlan& step : plan.steps)
        edges += step.after.size();
    if (options.text("output") == "json") {
        std::string out;
        protocol::JsonWriter{out}
            .begin_object()
            .field("name", plan.name)
            .field("steps", plan.steps.size())
            .field("edges", edges)
            .end_object();
        print_line(out);
    } else {
        print_line(fmt::format("{}: '{}' is a workflow of {} steps and {} edges", path, plan.name,
                               plan.steps.size(), edges));
    }
    return 0;
}

Result<std::string> draw(const protocol::Graph& graph, const std::string& format) {
    return format == "svg" ? protocol::write_svg(graph) : protocol::write_dot(graph);
}

int print_graph(const Options& options, const std::string& text) {
    if (!options.given("output-file")) {
        std::fputs(text.c_str(), stdout);
        return 0;
    }
    const std::string& path = options.text("output-file");
    std::FILE* file = std::fopen(path.c_str(), "wb");
    const bool written =
        file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
    const bool closed = file != nullptr && std::fclose(file) == 0;
    return written && closed ? 0 : report({ErrorCode::io_failed, path});
}

int run_graph(const Options& options) {
    const std::string& what = options.positional()[1];
    const std::string& format = options.text("format");
    std::error_code error;
    if (std::filesystem::is_regular_file(what, error)) {
        const auto file = read_workflow_file(what, {});
        if (!file) return report(file.error());
        const auto text = draw(protocol::graph_of(*file->document.plan), format);
        return text ? print_graph(options, *text) : report(text.error());
    }
    return with_client(options, [&](service::TaskClient& client) {
        const auto answer = client.ask("GET", target_of(what, "/graph?format=" + format));
        return answer ? print_graph(options, answer->body) : report(answer.error());
    });
}

// ---- runs ---------------------------------------------------------------------------------------

// How it ended: its output, or on stderr why there is none.
int print_end(const Options& options, const JsonView& workflow) {
    const std::string state = workflow["state"].text();
    const std::string& output = options.text("output");
    if (output == "json")
        print_line(workflow.raw());
    else if (output == "id")
        print_line(workflow["id"].text());
    else if (output == "table")
        std::fputs(write_workflow(workflow, true).c_str(), stdout);
    else if (state == "succeeded")
        print_line(service::shown_result(std::string{workflow["output"].raw()}));
    if (state == "succeeded") return 0;
    const JsonView error = workflow["error"];
    say(fmt::format("workflow {} is {}{}", workflow["id"].text(), state,
                    error.empty()
                        ? ""
                        : fmt::format(": {}: {}", error["code"].text(), error["message"].text())));
    return row_of(ErrorCode::step_failed).exit_code;
}

int await(const Options& options, Client& client, const std::string& id, Duration wait) {
    const bool watched = options.toggle("watch");
    const SteadyTime end = client.clock().steady() + wait;
    WorkflowWatch watch{io::is_terminal(STDERR_FILENO)};
    for (bool first = true;; first = false) {
        const Duration left = std::max(end - client.clock().steady(), Duration{0});
        Duration part = std::min(left, watched ? look_every : ask_longest);
        if (first && watched) part = Duration{0};
        const auto ms = part / 1ms;
        const auto answer = client.api().ask(
            "GET", target_of(id, fmt::format("?wait={}ms&steps=true", ms)), {}, part);
        if (!answer) return report(answer.error());
        const JsonView workflow{answer->body};
        if (watched) std::fputs(watch.next(workflow).c_str(), stderr);
        if (has_ended(workflow)) return print_end(options, workflow);
        if (left == Duration{0})
            return report({ErrorCode::timed_out,
                           fmt::format("workflow {} is {}", id, workflow["state"].text())});
    }
}

Result<std::string> submit_body(const Options& options, const WorkflowFile& file,
                                const std::string& inputs) {
    Random random{io::random_seed()};
    std::string id = options.text("id");
    if (id.empty()) id = TaskId::make(io::make_system_clock()->wall(), random).to_string();
    if (!TaskId::parse(id)) return fail(ErrorCode::invalid_id, id);
    std::string body;
    protocol::JsonWriter{body}
        .begin_object()
        .field("id", id)
        .field("file", options.positional()[1])
        .key("inputs")
        .raw(inputs)
        .key("document")
        .raw(file.json)
        .end_object();
    return body;
}

int run_file(const Options& options) {
    const auto inputs = read_inputs(options);
    if (!inputs) return report(inputs.error());
    const auto file = read_workflow_named(options.positional()[1], data_of(options), *inputs);
    if (!file) return report(file.error());
    for (const std::string& note : file->document.notes)
        say(note);
    const auto body = submit_body(options, *file, *inputs);
    if (!body) return report(body.error());
    return with_whole_client(options, [&](Client& client) {
        const auto made = client.api().ask("POST", "/v1/workflows", *body);
        if (!made) return report(made.error());
        const std::string id = JsonView{made->body}["id"].text();
        const bool waits = options.given("wait") || options.toggle("watch") || file->document.wait;
        if (waits) return await(options, client, id, options.duration("wait"));
        if (options.given("output")) return print(options, made);
        print_line(id);
        return 0;
    });
}

// ---- workflows that are there -------------------------------------------------------------------

int run_list(const Options& options) {
    return with_client(options, [&](service::TaskClient& client) {
        std::string target = fmt::format("/v1/workflows?limit={}", options.number("limit"));
        for (const char* name : {"state", "name"})
            if (options.given(name))
                target += fmt::format("&{}={}", name, protocol::percent_encode(options.text(name)));
        const auto answer = client.ask("GET", target);
        if (!answer) return report(answer.error());
        const JsonView view{answer->body};
        if (options.text("output") == "json") {
            print_line(answer->body);
        } else if (options.text("output") == "id") {
            for (const JsonView& each : view["workflows"].items())
                print_line(each["id"].text());
        } else {
            std::fputs(write_workflows(view["workflows"].items()).c_str(), stdout);
            if (!view["next"].empty()) say("there are more: --limit");
        }
        return 0;
    });
}

int run_show(const Options& options) {
    const std::string& id = options.positional()[1];
    const bool steps = options.toggle("steps");
    if (options.given("wait") || options.toggle("watch"))
        return with_whole_client(options, [&](Client& client) {
            return await(options, client, id, options.duration("wait"));
        });
    return with_client(options, [&](service::TaskClient& client) {
        return print(options, client.ask("GET", target_of(id, steps ? "?steps=true" : "")), steps);
    });
}

// {"reason"}, {"by", "comment"}: what was said of them.
std::string words_body(const Options& options, std::initializer_list<const char*> names) {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object();
    for (const char* name : names)
        if (options.given(name)) json.field(name, options.text(name));
    json.end_object();
    return body;
}

int run_change(const Options& options) {
    const auto& words = options.positional();
    return with_client(options, [&](service::TaskClient& client) {
        std::string target = target_of(words[1], "/" + words[0]);
        std::string body = words[0] == "cancel" ? words_body(options, {"reason"}) : std::string{};
        if (words[0] == "approve" || words[0] == "reject") {
            target = target_of(words[1],
                               "/steps/" + protocol::percent_encode(words[2]) + "/" + words[0]);
            body = words_body(options, {"by", "comment"});
        }
        const auto answer = client.ask("POST", target, body);
        return answer ? print(options, client.ask("GET", target_of(words[1])))
                      : report(answer.error());
    });
}

int run_signal(const Options& options) {
    const auto& words = options.positional();
    Result<std::string> value{"null"};
    if (words.size() == 4)
        value = words[3] == "-" ? io::read_whole_file("-", limits::task_bytes_max)
                                : Result<std::string>{words[3]};
    if (!value) return report(value.error());
    if (auto valid = protocol::check_json(*value); !valid)
        return report(
            {ErrorCode::bad_usage, "signal takes one JSON value: " + valid.error().detail});
    return with_client(options, [&](service::TaskClient& client) {
        const std::string target =
            target_of(words[1], "/signals/" + protocol::percent_encode(words[2]));
        const auto answer = client.ask("POST", target, *value);
        return answer ? print(options, client.ask("GET", target_of(words[1])))
                      : report(answer.error());
    });
}

int run_explain(const Options& options) {
    const auto& words = options.positional();
    return with_client(options, [&](service::TaskClient& client) {
        const auto answer = client.ask("GET", target_of(words[1], "/explain"));
        if (!answer) return report(answer.error());
        if (options.text("output") == "json")
            print_line(answer->body);
        else
            std::fputs(
                write_waits(JsonView{answer->body}, words.size() > 2 ? words[2] : "").c_str(),
                stdout);
        return 0;
    });
}

// ---- the page -----------------------------------------------------------------------------------

struct Verb {
    std::string_view name;
    std::string_view arguments;
    std::size_t least;  // words behind it
    std::size_t most;
    int (*run)(const Options& options);
};
constexpr Verb verbs[] = {
    {"check", "FILE", 1, 1, run_check},
    {"run", "FILE", 1, 1, run_file},
    {"list", "", 0, 0, run_list},
    {"show", "ID", 1, 1, run_show},
    {"cancel", "ID", 1, 1, run_change},
    {"retry", "ID", 1, 1, run_change},
    {"explain", "ID [STEP]", 1, 2, run_explain},
    {"graph", "ID|FILE", 1, 1, run_graph},
    {"signal", "ID NAME [JSON|-]", 2, 3, run_signal},
    {"approve", "ID STEP", 2, 2, run_change},
    {"reject", "ID STEP", 2, 2, run_change},
};

int run(const Options& options) {
    const auto& words = options.positional();
    const auto verb = std::ranges::find(verbs, words[0], &Verb::name);
    if (verb == std::end(verbs)) {
        std::vector<std::string_view> names;
        for (const Verb& each : verbs)
            names.push_back(each.name);
        return report({ErrorCode::bad_usage,
                       fmt::format("'{}' is none of {}{}", words[0], fmt::join(names, ", "),
                                   meant_instead(words[0], names))});
    }
    const std::size_t behind = words.size() - 1;
    if (behind < verb->least || behind > verb->most)
        return report({ErrorCode::bad_usage,
                       fmt::format("usage: taskd workflow {} {}", verb->name, verb->arguments)});
    return verb->run(options);
}

OptionRow text_row(std::string_view name, std::string_view value, std::string_view help) {
    return {.name = name, .value = value, .help = help, .from_environment = false};
}

std::vector<OptionRow> rows() {
    OptionRow output = output_row();
    output.help = "print it so; without it what the verb tells";
    return with_client_rows(
        {text_row("set", "NAME=TEXT", "run, check: an input; may be said again"),
         text_row("set-json", "NAME=JSON", "the same, of any type"),
         text_row("id", "UUID", "run: said again it is the same workflow"),
         {.name = "watch",
          .kind = OptionKind::toggle,
          .help = "run, show: tell of the steps until it ends",
          .from_environment = false},
         {.name = "wait",
          .kind = OptionKind::duration,
          .value = "DURATION",
          .fallback = "7d",
          .help = "run, show: wait for its end so long, then print its output",
          .from_environment = false},
         text_row("state", "STATE", "list: these alone"),
         text_row("name", "NAME", "list: these alone"),
         {.name = "limit",
          .kind = OptionKind::number,
          .value = "N",
          .fallback = "50",
          .help = "list: at most so many",
          .least = 1,
          .most = limits::page_tasks_max,
          .from_environment = false},
         {.name = "steps",
          .kind = OptionKind::toggle,
          .help = "show: with its steps",
          .from_environment = false},
         {.name = "format",
          .kind = OptionKind::choice,
          .value = "dot|svg",
          .fallback = "dot",
          .help = "graph: graphviz's language or a picture",
          .from_environment = false},
         text_row("output-file", "FILE", "graph: write it there"),
         text_row("reason", "TEXT", "cancel: why"),
         text_row("by", "NAME", "approve, reject: who"),
         text_row("comment", "TEXT", "approve, reject: what there is to say"),
         output},
        "5s");
}

}  // namespace

const Command& workflow_command() {
    static const Command command{
        {.name = "workflow",
         .arguments = "check FILE|ENTRY | run FILE|ENTRY | list | show ID | cancel ID | retry ID | "
                      "explain ID [STEP] | graph ID|FILE | signal ID NAME [JSON|-] | approve ID "
                      "STEP | reject "
                      "ID STEP",
         .summary = "steps that depend on each other: check, run and watch them",
         .text = "check asks no server and names line and column of the first fault. run prints "
                 "the id, or waits\nwith --wait, --watch or where the document says so, and then "
                 "prints the output; it ends with 5\nwhen the workflow failed. retry goes on from "
                 "what failed and keeps what succeeded. ENTRY is the id of a workflow in the "
                 "registry of --data\n(taskd-data unless said): 'shop:report'.",
         .options = rows(),
         .positional_min = 1,
         .positional_max = 4,
         .kind = PageKind::client,
         .examples = {{"taskd workflow check report.yaml", "line and column of what is wrong"},
                      {"taskd workflow run report.yaml --set city=Bern --watch", ""},
                      {"taskd workflow run shop:report --data /tmp/first", "one of the registry"},
                      {"taskd workflow show 0199c2f1 --steps", "where it is"},
                      {"taskd workflow explain 0199c2f1", "what it waits for"},
                      {"taskd workflow graph report.yaml --format svg --output-file report.svg",
                       ""},
                      {"taskd workflow approve 0199c2f1 boss --by ann", ""}},
         .words = {"check", "run", "list", "show", "cancel", "retry", "explain", "graph", "signal",
                   "approve", "reject"}},
        run};
    return command;
}

}  // namespace taskd::roles
