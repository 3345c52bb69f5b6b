// taskd list: tasks found by search, or how many they are.
#include <fmt/format.h>

#include "client.hpp"
#include "outcome.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::roles {
namespace {

// What is asked for, without page and place.
std::string question_of(const Options& options) {
    std::string search;
    for (const std::string& word : options.positional())
        search += (search.empty() ? "" : " ") + word;
    std::string question;
    if (!search.empty()) question += "&q=" + protocol::percent_encode(search);
    for (const std::string_view name : {"type", "state"})
        if (options.given(name))
            question += fmt::format("&{}={}", name, protocol::percent_encode(options.text(name)));
    return question;
}

// Never cut inside a character.
std::string shortened(std::string text) {
    constexpr std::size_t shown_max = 60;
    if (text.size() > shown_max) {
        std::size_t cut = shown_max;
        while (cut > 0 && (text[cut] & 0xC0) == 0x80)
            --cut;
        text = text.substr(0, cut) + "…";
    }
    return text;
}

TableRows::value_type row_of_task(const JsonView& task) {
    const std::string end = task["result"].empty() ? task["error"]["message"].text()
                                                   : std::string{task["result"].raw()};
    return {task["id"].text(),           task["type"].text(),
            task["state"].text(),        task["attempts_made"].text(),
            task["submitted_at"].text(), shortened(end)};
}

// Pages of a search may be short: asks on until there are as many as wanted.
Result<std::vector<std::string>> fetch_pages(service::TaskClient& client, const Options& options,
                                             std::string& next) {
    std::vector<std::string> pages;
    const std::string question = question_of(options);
    auto left = options.number("limit");
    do {
        std::string target = fmt::format("/v1/tasks?limit={}{}", left, question);
        if (!next.empty()) target += "&after=" + next;
        auto page = client.ask("GET", target);
        if (!page) return fail(std::move(page));
        const JsonView view{page->body};
        left -= static_cast<std::int64_t>(view["tasks"].items().size());
        next = view["next"].text();
        pages.push_back(std::move(page->body));
    } while (left > 0 && !next.empty());
    return pages;
}

void print_json(const std::vector<std::string>& pages, const std::string& next) {
    std::string out = "{\"tasks\":[";
    bool first = true;
    for (const std::string& page : pages)
        for (const JsonView& task : JsonView{page}["tasks"].items()) {
            if (!std::exchange(first, false)) out += ',';
            out += task.raw();
        }
    print_line(out + "],\"next\":" + (next.empty() ? "null" : "\"" + next + "\"") + "}");
}

int print_count(service::TaskClient& client, const Options& options) {
    std::uint64_t count = 0;
    const std::string question = question_of(options);
    std::string next;
    do {
        std::string target = "/v1/tasks/count?";
        if (!question.empty()) target += question.substr(1);
        if (!next.empty()) target += "&after=" + next;
        const auto answer = client.ask("GET", target);
        if (!answer) return report(answer.error());
        const JsonView view{answer->body};
        count += view["count"].number().value_or(0);
        next = view["next"].text();
    } while (!next.empty());
    print_line(options.text("output") == "json" ? fmt::format("{{\"count\":{}}}", count)
                                                : std::to_string(count));
    return 0;
}

int run(const Options& options) {
    return with_client(options, [&](service::TaskClient& client) {
        if (options.toggle("count")) return print_count(client, options);
        std::string next = options.text("after");
        const auto pages = fetch_pages(client, options, next);
        if (!pages) return report(pages.error());
        const std::string& output = options.text("output");
        TableRows rows{{"ID", "TYPE", "STATE", "ATTEMPTS", "SUBMITTED", "RESULT OR ERROR"}};
        if (output == "json") {
            print_json(*pages, next);
            return 0;
        }
        for (const std::string& page : *pages)
            for (const JsonView& task : JsonView{page}["tasks"].items()) {
                if (output == "id")
                    print_line(task["id"].text());
                else
                    rows.push_back(row_of_task(task));
            }
        if (output != "id") std::fputs(write_table(rows).c_str(), stdout);
        if (!next.empty()) say(fmt::format("there may be more; go on with --after {}", next));
        return 0;
    });
}

std::vector<OptionRow> list_rows() {
    OptionRow output = output_row();
    output.help = "print them so (a table unless said)";
    return {
        {.name = "type", .value = "TYPE", .help = "of this type only", .from_environment = false},
        {.name = "state",
         .value = "STATE",
         .help = "scheduled, queued, running, succeeded, dead, cancelled or expired",
         .from_environment = false},
        {.name = "count",
         .kind = OptionKind::toggle,
         .help = "print how many there are",
         .from_environment = false},
        {.name = "limit",
         .kind = OptionKind::number,
         .value = "N",
         .fallback = "50",
         .help = "at most so many",
         .least = 1,
         .most = static_cast<std::int64_t>(limits::page_tasks_max)},
        {.name = "after",
         .value = "ID",
         .help = "the page behind this task",
         .from_environment = false},
        output};
}

}  // namespace

const Command& list_command() {
    static const Command command{
        {.name = "list",
         .arguments = "[TERM…]",
         .summary = "find tasks, oldest first",
         .text =
             "Every TERM must hold: FIELD:VALUE or FIELD=VALUE, with commas any of several, with * "
             "at the end\nany continuation, with - in front the opposite; or a word that stands in "
             "the error. Fields are\nstate, type, id, key, group, label (label:NAME=VALUE), "
             "worker, error, and, also with < and >, age,\npriority, attempts, payload.PATH and "
             "result.PATH.",
         .options = with_client_rows(list_rows(), "0s"),
         .positional_max = limits::search_terms_max,
         .kind = PageKind::client,
         .examples = {{"taskd list state:dead", "what needs a person"},
                      {"taskd list 'state:dead type:email age>1h payload.user=42'", ""},
                      {"taskd list label:team=red timeout", "a word of the error"},
                      {"taskd list key:acme --count", "how many"},
                      {"taskd list --type sum --limit 5 -o id", "ids only"}}},
        run};
    return command;
}

}  // namespace taskd::roles
