// taskd dead, redrive and operation: dead tasks one by one, and actions on all tasks of a search.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "client.hpp"
#include "outcome.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/model/operation.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"
#include "taskd/service/payload_text.hpp"

namespace taskd::roles {
namespace {

using Words = std::span<const std::string>;

std::string join(Words words) {
    std::string text;
    for (const std::string& word : words)
        text += (text.empty() ? "" : " ") + word;
    return text;
}

TableRows::value_type row_of(const JsonView& operation) {
    return {operation["id"].text(),
            operation["action"].text(),
            operation["state"].text(),
            operation["changed"].text(),
            operation["passed_over"].text(),
            operation["started_at"].text(),
            operation["q"].text()};
}

std::string write_operations(const std::vector<JsonView>& operations) {
    TableRows rows{{"ID", "ACTION", "STATE", "CHANGED", "PASSED OVER", "STARTED", "SEARCH"}};
    for (const JsonView& operation : operations)
        rows.push_back(row_of(operation));
    return write_table(rows);
}

int print_operation(const Options& options, const std::string& body) {
    const std::string& output = options.text("output");
    if (output == "json")
        print_line(body);
    else if (output == "id")
        print_line(JsonView{body}["id"].text());
    else
        std::fputs(write_operations({JsonView{body}}).c_str(), stdout);
    return 0;
}

// "50/s", "10/1m" as tasks a second, one at least.
Result<std::uint32_t> read_rate(const std::string& text) {
    const auto wrong = [&] {
        return fail(ErrorCode::bad_usage,
                    fmt::format("--rate takes tasks a second, such as 50/s, not '{}'", text));
    };
    std::uint32_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    const std::string_view rest{end, static_cast<std::size_t>(text.data() + text.size() - end)};
    if (error != std::errc{} || count == 0 || count > limits::operation_rate_max) return wrong();
    if (!rest.empty() && rest != "/s" && rest != "/1s") return wrong();
    return count;
}

// How many tasks there are, page after page.
Result<std::uint64_t> count(service::TaskClient& client, const std::string& search) {
    std::uint64_t sum = 0;
    std::string next;
    do {
        std::string target = "/v1/tasks/count?q=" + protocol::percent_encode(search);
        if (!next.empty()) target += "&after=" + next;
        const auto answer = client.ask("GET", target);
        if (!answer) return std::unexpected{answer.error()};
        const JsonView view{answer->body};
        sum += view["count"].number().value_or(0);
        next = view["next"].text();
    } while (!next.empty());
    return sum;
}

// Until it has ended; its last answer.
Result<std::string> follow(Client& client, const std::string& id, std::uint64_t all) {
    for (;;) {
        const auto answer = client.api().ask("GET", "/v1/operations/" + id);
        if (!answer) return std::unexpected{answer.error()};
        const JsonView view{answer->body};
        const auto done =
            view["changed"].number().value_or(0) + view["passed_over"].number().value_or(0);
        client.progress().bar("done", std::min(done, all), all);
        if (view["state"].text() != "running") {
            client.progress().clear();
            return answer->body;
        }
        io::pause_for(std::chrono::milliseconds{200});
    }
}

Result<std::string> operation_body(const Options& options, OperationAction action,
                                   const std::string& search) {
    Random random{io::random_seed()};
    const OperationId id = OperationId::make(io::make_system_clock()->wall(), random);
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object()
        .field("id", id.to_string())
        .field("action", to_text(action))
        .field("q", search);
    for (const std::string_view name : {"by", "reason"})
        if (options.given(name)) json.field(name, options.text(name));
    if (options.given("rate")) {
        const auto rate = read_rate(options.text("rate"));
        if (!rate) return std::unexpected{rate.error()};
        json.field("rate", *rate);
    }
    json.end_object();
    return body;
}

// Counts, and unless that is all that is wanted begins the operation and follows it.
int run_action(const Options& options, OperationAction action, Words terms) {
    const std::string search = join(terms);
    if (search.empty())
        return report({ErrorCode::bad_usage, "a search is needed; type:* is every task"});
    const auto body = operation_body(options, action, search);
    if (!body) return report(body.error());
    return with_whole_client(options, [&](Client& client) {
        const auto all = count(client.api(), search + " " + std::string{reach_of(action)});
        if (!all) return report(all.error());
        if (options.toggle("dry-run")) {
            print_line(options.text("output") == "json" ? fmt::format("{{\"count\":{}}}", *all)
                                                        : std::to_string(*all));
            return 0;
        }
        if (action != OperationAction::redrive && !options.toggle("yes"))
            return report({ErrorCode::bad_usage,
                           fmt::format("{} tasks would be meant; --yes does it", *all)});
        const auto begun = client.api().ask("POST", "/v1/operations", *body);
        if (!begun) return report(begun.error());
        const std::string id = JsonView{begun->body}["id"].text();
        if (options.toggle("detach")) {
            print_line(id);
            return 0;
        }
        const auto ended = follow(client, id, *all);
        if (!ended) return report(ended.error());
        const int code = print_operation(options, *ended);
        const std::string state = JsonView{*ended}["state"].text();
        if (code != 0 || state == "done") return code;
        say(fmt::format("operation {} is {}", id, state));
        return row_of(ErrorCode::worker_failed).exit_code;
    });
}

int run_redrive(const Options& options) {
    return run_action(options, OperationAction::redrive, options.positional());
}

int run_operation(const Options& options) {
    const Words words = options.positional();
    const std::string& verb = words.front();
    if (const auto action = parse_operation_action(verb))
        return run_action(options, *action, words.subspan(1));
    if (verb != "list" && verb != "show" && verb != "stop")
        return report(
            {ErrorCode::bad_usage,
             fmt::format("'{}' is none of cancel, redrive, delete, list, show, stop", verb)});
    if ((words.size() == 1) != (verb == "list") || words.size() > 2)
        return report(
            {ErrorCode::bad_usage, verb == "list" ? "list takes nothing" : verb + " takes one id"});
    return with_client(options, [&](service::TaskClient& client) {
        if (verb == "list") {
            const auto answer = client.ask("GET", "/v1/operations");
            if (!answer) return report(answer.error());
            const auto all = JsonView{answer->body}["operations"].items();
            if (options.text("output") == "json")
                print_line(answer->body);
            else if (options.text("output") == "id")
                for (const JsonView& each : all)
                    print_line(each["id"].text());
            else
                std::fputs(write_operations(all).c_str(), stdout);
            return 0;
        }
        const std::string target = "/v1/operations/" + protocol::percent_encode(words[1]);
        const auto answer =
            verb == "show" ? client.ask("GET", target) : client.ask("POST", target + "/stop");
        if (!answer) return report(answer.error());
        return print_operation(options, answer->body);
    });
}

Result<std::string> read_payload(const Options& options) {
    const std::string& text = options.text("payload");
    if (!options.given("payload"))
        return fail(ErrorCode::bad_usage, "edit takes --payload JSON, or @FILE, or - for stdin");
    if (text != "-" && !text.starts_with('@')) return text;
    auto content = io::read_whole_file(text == "-" ? text : text.substr(1), limits::task_bytes_max);
    if (!content) return content;
    return service::payload_of_file(std::move(*content));
}

int print_state(const Options& options, const Result<service::TaskClient::Answer>& answer) {
    if (!answer) return report(answer.error());
    const JsonView task{answer->body};
    if (options.text("output") == "json")
        print_line(answer->body);
    else if (options.text("output") == "id")
        print_line(task["id"].text());
    else
        print_line(fmt::format("{} {}", task["id"].text(), task["state"].text()));
    return 0;
}

int list_dead(const Options& options, Words terms) {
    return with_client(options, [&](service::TaskClient& client) {
        std::string next;
        TableRows rows{{"ID", "TYPE", "STATE", "ATTEMPTS", "REDRIVES", "ENDED", "ERROR"}};
        std::string search{reach_of(OperationAction::redrive)};
        if (!terms.empty()) search += " " + join(terms);
        do {
            std::string target = "/v1/tasks?q=" + protocol::percent_encode(search);
            if (!next.empty()) target += "&after=" + next;
            const auto page = client.ask("GET", target);
            if (!page) return report(page.error());
            const JsonView view{page->body};
            for (const JsonView& task : view["tasks"].items()) {
                if (options.text("output") == "json")
                    print_line(task.raw());
                else if (options.text("output") == "id")
                    print_line(task["id"].text());
                else
                    rows.push_back(
                        {task["id"].text(), task["type"].text(), task["state"].text(),
                         task["attempts_made"].text(), task["redrives"].text(),
                         task["ended_at"].text(),
                         task["error"]["code"].text() + ": " + task["error"]["message"].text()});
            }
            next = view["next"].text();
        } while (!next.empty());
        const std::string& output = options.text("output");
        if (output != "json" && output != "id") std::fputs(write_table(rows).c_str(), stdout);
        return 0;
    });
}

int run_dead(const Options& options) {
    const Words words = options.positional();
    const std::string& verb = words.front();
    if (verb == "list") return list_dead(options, words.subspan(1));
    if (verb != "show" && verb != "edit" && verb != "redrive")
        return report(
            {ErrorCode::bad_usage, fmt::format("'{}' is none of list, show, edit, redrive", verb)});
    if (words.size() != 2) return report({ErrorCode::bad_usage, verb + " takes one id"});
    const std::string target = "/v1/tasks/" + protocol::percent_encode(words[1]);
    std::string payload;
    if (verb == "edit") {
        auto read = read_payload(options);
        if (!read) return report(read.error());
        payload = std::move(*read);
    }
    return with_client(options, [&](service::TaskClient& client) {
        if (verb == "edit")
            return print_state(options, client.ask("PUT", target + "/payload", payload));
        if (verb == "redrive") return print_state(options, client.ask("POST", target + "/redrive"));
        const auto task = client.ask("GET", target);
        if (!task) return report(task.error());
        if (options.text("output") == "json")
            print_line(task->body);
        else
            std::fputs(write_task_table(task->body).c_str(), stdout);
        return 0;
    });
}

OptionRow form_row() {
    OptionRow row = output_row();
    row.help = "print it so (a table unless said)";
    return row;
}

OptionRow toggle_row(std::string_view name, std::string_view help) {
    return {.name = name, .kind = OptionKind::toggle, .help = help, .from_environment = false};
}

std::vector<OptionRow> action_rows() {
    return {toggle_row("dry-run", "count only"),
            toggle_row("yes", "cancel or delete without a question"),
            toggle_row("detach", "print the operation's id and do not wait"),
            {.name = "rate",
             .value = "N/s",
             .help = "tasks a second; as fast as may be unless said",
             .from_environment = false},
            {.name = "by", .value = "NAME", .help = "who does it", .from_environment = false},
            {.name = "reason",
             .value = "TEXT",
             .help = "shown with tasks that are cancelled",
             .from_environment = false},
            form_row()};
}

constexpr std::size_t words_max = limits::search_terms_max + 1;

}  // namespace

const Command& dead_command() {
    static const Command command{
        {.name = "dead",
         .arguments = "list [TERM…] | show ID | edit ID --payload JSON | redrive ID",
         .summary = "look after tasks that are dead or expired",
         .text = "redrive lets a task begin anew: failures are counted anew, its history stays. "
                 "edit gives it\nanother payload first.",
         .options = with_client_rows({{.name = "payload",
                                       .value = "JSON",
                                       .help = "the new payload; @FILE, or - for stdin",
                                       .from_environment = false},
                                      form_row()},
                                     "5s"),
         .positional_min = 1,
         .positional_max = words_max,
         .kind = PageKind::client,
         .examples = {{"taskd dead list type:email timeout", ""},
                      {"taskd dead edit 0199c2f1 --payload '{\"to\": \"ann\"}'", ""},
                      {"taskd dead redrive 0199c2f1", ""}},
         .words = {"list", "show", "edit", "redrive"}},
        run_dead};
    return command;
}

const Command& redrive_command() {
    static const Command command{
        {.name = "redrive",
         .arguments = "TERM…",
         .summary = "let dead and expired tasks of a search begin anew",
         .text = "TERMs are those of taskd list. It runs as an operation, also after a restart of "
                 "the dispatcher.",
         .options = with_client_rows(action_rows(), "5s"),
         .positional_min = 1,
         .positional_max = words_max,
         .kind = PageKind::client,
         .examples = {{"taskd redrive type:email 'age<1h' --dry-run", "how many"},
                      {"taskd redrive type:email --rate 50/s", ""}}},
        run_redrive};
    return command;
}

const Command& operation_command() {
    static const Command command{
        {.name = "operation",
         .arguments = "cancel|redrive|delete TERM… | list | show ID | stop ID",
         .summary = "act on all tasks of a search, a few at a time",
         .text =
             "cancel is done on tasks that have not ended, redrive on dead and expired ones, "
             "delete on those\nthat have ended. TERMs are those of taskd list. It goes on after a "
             "restart of the dispatcher.",
         .options = with_client_rows(action_rows(), "5s"),
         .positional_min = 1,
         .positional_max = words_max,
         .kind = PageKind::client,
         .examples = {{"taskd operation cancel type:email label:team=red --dry-run", "how many"},
                      {"taskd operation cancel type:email --yes --reason 'sent twice'", ""},
                      {"taskd operation delete state:succeeded 'age>7d' --yes --detach", ""},
                      {"taskd operation list", ""}},
         .words = {"cancel", "redrive", "delete", "list", "show", "stop"}},
        run_operation};
    return command;
}

}  // namespace taskd::roles
