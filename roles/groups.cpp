// taskd group: tasks that belong together, and what is submitted when all of them have ended.
#include <fmt/format.h>

#include <algorithm>

#include "client.hpp"
#include "outcome.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/model/group.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::roles {
namespace {

std::string write_groups(const std::vector<JsonView>& groups) {
    TableRows rows{{"ID", "STATE", "TASKS", "SUCCEEDED", "DEAD", "CANCELLED", "EXPIRED", "MADE",
                    "COMPLETION", "NAME"}};
    for (const JsonView& group : groups) {
        const std::string completion = group["completion_id"].text();
        rows.push_back({group["id"].text(), group["state"].text(), group["tasks"].text(),
                        group["succeeded"].text(), group["dead"].text(), group["cancelled"].text(),
                        group["expired"].text(), group["made_at"].text(),
                        completion.empty() ? group["completion_type"].text() : completion,
                        group["name"].text()});
    }
    return write_table(rows);
}

int print(const Options& options, const Result<service::TaskClient::Answer>& answer) {
    if (!answer) return report(answer.error());
    const JsonView view{answer->body};
    const JsonView list = view["groups"];
    const auto groups = list.empty() ? std::vector{view} : list.items();
    const std::string& output = options.text("output");
    if (output == "json")
        print_line(answer->body);
    else if (output == "id")
        for (const JsonView& group : groups)
            print_line(group["id"].text());
    else
        std::fputs(write_groups(groups).c_str(), stdout);
    return 0;
}

// An open group; its id is made here, so that it can be said again.
Result<std::string> new_group(const Options& options) {
    Random random{io::random_seed()};
    const GroupId id = GroupId::make(io::make_system_clock()->wall(), random);
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object().field("id", id.to_string()).field("open", true);
    if (options.given("name")) json.field("name", options.text("name"));
    if (options.given("then")) {
        json.key("completion").begin_object().field("type", options.text("then"));
        if (options.given("payload")) {
            if (auto valid = protocol::check_json(options.text("payload")); !valid)
                return fail(ErrorCode::bad_usage,
                            "--payload takes one JSON value: " + valid.error().detail);
            json.key("payload").raw(options.text("payload"));
        }
        json.end_object();
    }
    json.end_object();
    return body;
}

int run(const Options& options) {
    const auto& words = options.positional();
    const std::string& verb = words[0];
    constexpr std::string_view verbs[] = {"open", "list", "show", "close", "cancel"};
    if (std::ranges::find(verbs, verb) == std::end(verbs))
        return report({ErrorCode::bad_usage,
                       fmt::format("'{}' is none of open, list, show, close, cancel", verb)});
    const bool alone = verb == "open" || verb == "list";
    if ((words.size() == 1) != alone)
        return report({ErrorCode::bad_usage, verb + (alone ? " takes no id" : " takes one id")});
    std::string body;
    if (verb == "open") {
        auto made = new_group(options);
        if (!made) return report(made.error());
        body = std::move(*made);
    }
    return with_client(options, [&](service::TaskClient& client) {
        if (verb == "list") return print(options, client.ask("GET", "/v1/groups"));
        if (verb == "open") {
            const auto made = client.ask("POST", "/v1/groups", body);
            if (made && !options.given("output")) {
                print_line(JsonView{made->body}["id"].text());
                return 0;
            }
            return print(options, made);
        }
        const std::string target = "/v1/groups/" + protocol::percent_encode(words[1]);
        if (verb == "show") return print(options, client.ask("GET", target));
        const auto answer = client.ask("POST", target + "/" + verb);
        if (!answer || verb == "close") return print(options, answer);
        return print(options, client.ask("GET", target));
    });
}

OptionRow form_row() {
    OptionRow row = output_row();
    row.help = "print it so (a table unless said)";
    return row;
}

}  // namespace

const Command& group_command() {
    static const Command command{
        {.name = "group",
         .arguments = "open | list | show ID | close ID | cancel ID",
         .summary = "tasks that belong together, and what follows when all have ended",
         .text =
             "open makes a group and prints its id; submit --group ID adds to it until close. Once "
             "all its\ntasks have ended, the task of --then is submitted, exactly once, and is "
             "told "
             "how they ended.\ncancel closes it and cancels what has not ended.",
         .options = with_client_rows(
             {{.name = "then",
               .value = "TYPE",
               .help = "of the task that follows",
               .from_environment = false},
              {.name = "payload",
               .value = "JSON",
               .help = "of the task that follows, beside the counts",
               .from_environment = false},
              {.name = "name", .value = "TEXT", .help = "for people", .from_environment = false},
              form_row()},
             "5s"),
         .positional_min = 1,
         .positional_max = 2,
         .kind = PageKind::client,
         .examples = {{"taskd group open --then report", "prints the id"},
                      {"taskd group close 0199c2f1", "nothing more comes"},
                      {"taskd group cancel 0199c2f1", "what has not ended"}},
         .words = {"open", "list", "show", "close", "cancel"}},
        run};
    return command;
}

}  // namespace taskd::roles
