// taskd process and taskd function: the processes and functions of a host.
#include <fmt/format.h>

#include <list>
#include <map>

#include "client.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"
#include "taskd/service/payload_text.hpp"

namespace taskd::roles {
namespace {

using Words = std::span<const std::string>;

int with_host(const Options& options, const std::function<int(service::TaskClient&)>& use) {
    auto server = find_host(options);
    if (!server) return report(server.error());
    Client client{std::move(*server), options.duration("retry-for")};
    return use(client.api());
}

int print_done(const Options& options, const Result<service::TaskClient::Answer>& answer,
               const std::string& text) {
    if (!answer) return report(answer.error());
    print_line(options.text("output") == "json" ? answer->body : text);
    return 0;
}

// All rows, page after page.
Result<std::vector<JsonView>> all_processes(service::TaskClient& client,
                                            std::list<std::string>& pages) {
    std::vector<JsonView> rows;
    std::string after = "0";
    for (;;) {
        auto answer = client.ask("GET", "/v1/processes?limit=1000&after=" + after);
        if (!answer) return std::unexpected{answer.error()};
        pages.push_back(std::move(answer->body));
        const auto page = JsonView{pages.back()}["processes"].items();
        rows.insert(rows.end(), page.begin(), page.end());
        if (page.size() < 1'000) return rows;
        after = page.back()["number"].text();
    }
}

std::string line_of(const JsonView& row) {
    const std::string name = row["name"].text();
    return fmt::format("{} {}{} {} KiB", row["pid"].text(), row["program"].text(),
                       name.empty() ? "" : " as " + name,
                       std::strtoull(row["memory_bytes"].text().c_str(), nullptr, 10) / 1024);
}

using Children = std::multimap<std::string, const JsonView*>;

void print_tree(const Children& children, const std::string& parent, const std::string& lead) {
    auto [at, end] = children.equal_range(parent);
    while (at != end) {
        const JsonView& row = *at->second;
        const bool last = std::next(at) == end;
        const bool root = parent.empty();
        print_line(lead + (root ? "" : last ? "└─ " : "├─ ") + line_of(row));
        print_tree(children, row["number"].text(), root ? lead : lead + (last ? "   " : "│  "));
        ++at;
    }
}

int show(const Options& options, bool tree) {
    return with_host(options, [&](service::TaskClient& client) {
        std::list<std::string> pages;
        const auto rows = all_processes(client, pages);
        if (!rows) return report(rows.error());
        if (options.text("output") == "json") {
            for (const std::string& page : pages)
                print_line(page);
            return 0;
        }
        if (!tree) {
            TableRows table{{"PROCESS", "PROGRAM", "NAME", "PARENT", "MEMORY"}};
            for (const JsonView& row : *rows)
                table.push_back({row["pid"].text(), row["program"].text(), row["name"].text(),
                                 row["parent"].text(), row["memory_bytes"].text()});
            std::fputs(write_table(table).c_str(), stdout);
            return 0;
        }
        Children children;
        for (const JsonView& row : *rows)
            children.emplace(row["parent"].text(), &row);
        print_tree(children, "", "");
        return 0;
    });
}

int spawn(const Options& options, Words words) {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object().field("program", words[0]).key("arguments").begin_array();
    for (const std::string& word : words.subspan(1)) {
        const auto value = service::payload_of_file(word);
        if (!value) return report(value.error());
        json.raw(*value);
    }
    json.end_array().end_object();
    return with_host(options, [&](service::TaskClient& client) {
        const auto answer = client.ask("POST", "/v1/processes", body);
        return print_done(options, answer, answer ? JsonView{answer->body}["pid"].text() : "");
    });
}

// As a path wants it: the number of an id of this form, else a name.
std::string process_of(const std::string& word) {
    const auto bar = word.rfind('|');
    if (!word.starts_with('{') || bar == std::string::npos) return word;
    return word.substr(bar + 1, word.size() - bar - 2);
}

int send(const Options& options, Words words) {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object().field("to", words[0]).field("topic", words[1]);
    if (words.size() > 2) {
        const auto payload = service::payload_of_file(words[2]);
        if (!payload) return report(payload.error());
        json.key("payload").raw(*payload);
    }
    json.end_object();
    return with_host(options, [&](service::TaskClient& client) {
        return print_done(options, client.ask("POST", "/v1/messages", body), "sent");
    });
}

int end(const Options& options, Words words) {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object();
    if (!options.text("reason").empty()) json.field("reason", options.text("reason"));
    if (options.duration("grace") > Duration{0})
        json.field("grace_ms", options.duration("grace").count() / 1'000);
    json.end_object();
    const std::string target =
        "/v1/processes/" + protocol::percent_encode(process_of(words[0])) + "/end";
    return with_host(options, [&](service::TaskClient& client) {
        return print_done(options, client.ask("POST", target, body), "asked");
    });
}

int run_process(const Options& options) {
    const Words words = options.positional();
    const std::string& action = words.front();
    const Words rest = words.subspan(1);
    if (action == "list" && rest.empty()) return show(options, false);
    if (action == "tree" && rest.empty()) return show(options, true);
    if (action == "spawn" && !rest.empty()) return spawn(options, rest);
    if (action == "send" && (rest.size() == 2 || rest.size() == 3)) return send(options, rest);
    if (action == "end" && rest.size() == 1) return end(options, rest);
    return report({ErrorCode::bad_usage,
                   "usage: taskd process list | tree | spawn PROGRAM [ARGUMENT…] | "
                   "send PROCESS TOPIC [PAYLOAD] | end PROCESS"});
}

int list_functions(const Options& options) {
    return with_host(options, [&](service::TaskClient& client) {
        const auto answer = client.ask("GET", "/v1/functions");
        if (!answer || options.text("output") == "json") return print_done(options, answer, {});
        TableRows table{{"FUNCTION", "MACHINES", "BUSY", "WAITING", "CALLS", "FAILED"}};
        for (const JsonView& row : JsonView{answer->body}["functions"].items())
            table.push_back({row["name"].text(), row["machines"].text(), row["busy"].text(),
                             row["waiting"].text(), row["calls"].text(), row["failed"].text()});
        std::fputs(write_table(table).c_str(), stdout);
        return 0;
    });
}

int call_function(const Options& options, Words words) {
    std::string body;
    if (words.size() > 1) {
        auto payload = service::payload_of_file(words[1]);
        if (!payload) return report(payload.error());
        body = std::move(*payload);
    }
    const std::string target = "/v1/functions/" + protocol::percent_encode(words[0]);
    return with_host(options, [&](service::TaskClient& client) {
        const auto answer = client.ask("POST", target, body);
        return print_done(options, answer, answer ? answer->body : "");
    });
}

int run_function(const Options& options) {
    const Words words = options.positional();
    const Words rest = words.subspan(1);
    if (words.front() == "list" && rest.empty()) return list_functions(options);
    if (words.front() == "call" && (rest.size() == 1 || rest.size() == 2))
        return call_function(options, rest);
    return report({ErrorCode::bad_usage, "usage: taskd function list | call FUNCTION [PAYLOAD]"});
}

OptionRow form_row() {
    return {.name = "output",
            .letter = 'o',
            .kind = OptionKind::choice,
            .value = "text|json",
            .fallback = "text",
            .help = "what is printed",
            .from_environment = false};
}

}  // namespace

const Command& process_command() {
    static const Command command{
        {.name = "process",
         .arguments = "list | tree | spawn PROGRAM [ARGUMENT…] | send PROCESS TOPIC [PAYLOAD] | "
                      "end PROCESS",
         .summary = "see and change the processes of a host",
         .text = "PROCESS is an id such as {node@lua|7}, or the name a process has registered.",
         .options = with_client_rows(
             {form_row(),
              {.name = "reason", .value = "TEXT", .help = "end: what the process is told"},
              {.name = "grace",
               .kind = OptionKind::duration,
               .value = "TIME",
               .fallback = "0s",
               .help = "end: ask first, and wait so long"}},
             "0s"),
         .positional_min = 1,
         .positional_max = 100,
         .examples = {{"taskd process tree", "who began whom"},
                      {"taskd process send counter add 3", "a message to a name"}},
         .words = {"list", "tree", "spawn", "send", "end"}},
        run_process};
    return command;
}

const Command& function_command() {
    static const Command command{{.name = "function",
                                  .arguments = "list | call FUNCTION [PAYLOAD]",
                                  .summary = "see and call the functions of a host",
                                  .text = "The result of a call goes to stdout as JSON.",
                                  .options = with_client_rows({form_row()}, "0s"),
                                  .positional_min = 1,
                                  .positional_max = 3,
                                  .examples = {{"taskd function call shop:price '{\"size\": 30}'",
                                                "prints what it returns"}},
                                  .words = {"list", "call"}},
                                 run_function};
    return command;
}

}  // namespace taskd::roles
