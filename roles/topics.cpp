// taskd topic: topics and groups looked at, changed, removed; dead letters.
#include <fmt/format.h>

#include <algorithm>

#include "client.hpp"
#include "taskd/base/duration_text.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::roles {
namespace {

using Answer = Result<service::TaskClient::Answer>;

constexpr std::string_view verbs[] = {"list",   "show", "set",     "delete", "groups",
                                      "remove", "dead", "redrive", "drop"};

std::string topic_target(const std::string& topic) {
    return "/v1/topics/" + protocol::percent_encode(topic);
}

std::string group_target(const std::string& group) {
    return "/v1/subscriptions/" + protocol::percent_encode(group);
}

std::string gap_text(const JsonView& gap) {
    if (gap.empty()) return "";
    return fmt::format("lost {} of {} to {} at {}", gap["count"].text(), gap["from"].text(),
                       gap["to"].text(), gap["at"].text());
}

// Of the group that is furthest behind; a topic alone tells of each.
std::string lag_text(const JsonView& topic) {
    if (!topic["largest_lag"].empty()) return topic["largest_lag"].text();
    std::uint64_t most = 0;
    const auto groups = topic["groups"].items();
    for (const JsonView& group : groups)
        most = std::max(most, group["lag"].number().value_or(0));
    return groups.empty() ? "" : std::to_string(most);
}

void print_topics(const std::vector<JsonView>& topics) {
    TableRows rows{{"TOPIC", "EVENTS", "BYTES", "OLDEST", "NEWEST", "LAG", "KEEPS"}};
    for (const JsonView& topic : topics) {
        const Duration age = std::chrono::milliseconds{
            static_cast<std::int64_t>(topic["keep_ms"].number().value_or(0))};
        rows.push_back({topic["topic"].text(), topic["count"].text(), topic["bytes"].text(),
                        topic["oldest"].text(), topic["newest"].text(), lag_text(topic),
                        fmt::format("{}, {} bytes, {} events", to_text(age),
                                    topic["keep_bytes"].text(), topic["keep_count"].text())});
    }
    std::fputs(write_table(rows).c_str(), stdout);
}

void print_topic(const JsonView& topic) {
    print_topics({topic});
    const auto groups = topic["groups"].items();
    if (groups.empty()) return;
    TableRows rows{{"GROUP", "SETTLED", "LAG", "GAP"}};
    for (const JsonView& group : groups)
        rows.push_back({group["group"].text(), group["settled"].text(), group["lag"].text(),
                        gap_text(group["last_gap"])});
    std::fputs(write_table(rows).c_str(), stdout);
}

void print_groups(const std::vector<JsonView>& groups) {
    TableRows rows{
        {"GROUP", "PATTERN", "LAG", "OUT", "OPEN", "DEAD", "LOST", "ACKNOWLEDGED", "WEBHOOK"}};
    for (const JsonView& group : groups)
        rows.push_back({group["group"].text(), group["pattern"].text(), group["lag"].text(),
                        group["leased"].text(), group["open"].text(), group["dead"].text(),
                        group["lost"].text(), group["acknowledged"].text(),
                        group["webhook"]["url"].text()});
    std::fputs(write_table(rows).c_str(), stdout);
}

void print_dead(const std::vector<JsonView>& letters) {
    TableRows rows{{"EVENT", "ATTEMPTS", "AT", "ERROR"}};
    for (const JsonView& letter : letters)
        rows.push_back({letter["event"].text(), letter["attempts"].text(), letter["at"].text(),
                        letter["error"]["code"].text() + ": " + letter["error"]["message"].text()});
    std::fputs(write_table(rows).c_str(), stdout);
}

int print(const Options& options, const std::string& verb, const Answer& answer) {
    if (!answer) return report(answer.error());
    const JsonView view{answer->body};
    if (options.text("output") == "json") {
        if (!answer->body.empty()) print_line(answer->body);
        return 0;
    }
    if (verb == "list") print_topics(view["topics"].items());
    if (verb == "show" || verb == "set") print_topic(view);
    if (verb == "groups")
        print_groups(view["group"].empty() ? view["subscriptions"].items() : std::vector{view});
    if (verb == "dead") print_dead(view["dead"].items());
    if (verb == "redrive" || verb == "drop")
        print_line(fmt::format("{}, {} left", view["changed"].text(), view["left"].text()));
    return 0;
}

std::string rules_body(const Options& options) {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object();
    if (options.given("keep"))
        json.field("keep_ms", options.duration("keep") / std::chrono::milliseconds{1});
    if (options.given("keep-bytes")) json.field("keep_bytes", options.number("keep-bytes"));
    if (options.given("keep-count")) json.field("keep_count", options.number("keep-count"));
    json.end_object();
    return body;
}

// All of the group's, or those named.
std::string letters_body(std::span<const std::string> events) {
    if (events.empty()) return "{\"all\":true}";
    std::string body = "{\"events\":[";
    for (const std::string& event : events) {
        if (!body.ends_with('[')) body += ',';
        protocol::append_json_string(body, event);
    }
    return body + "]}";
}

Answer ask(const Options& options, service::TaskClient& client) {
    const auto& words = options.positional();
    const std::string& verb = words[0];
    if (verb == "list") return client.ask("GET", "/v1/topics");
    if (verb == "groups" && words.size() == 1) return client.ask("GET", "/v1/subscriptions");
    const std::string& name = words[1];
    if (verb == "show") return client.ask("GET", topic_target(name));
    if (verb == "delete") return client.ask("DELETE", topic_target(name));
    if (verb == "groups") return client.ask("GET", group_target(name));
    if (verb == "remove") return client.ask("DELETE", group_target(name));
    if (verb == "dead") return client.ask("GET", group_target(name) + "/dead");
    if (verb != "set")
        return client.ask("POST", group_target(name) + "/dead/" + verb,
                          letters_body(std::span{words}.subspan(2)));
    const std::string body = rules_body(options);
    Answer changed = client.ask("PATCH", topic_target(name), body);
    const bool missing = !changed && changed.error().code == ErrorCode::topic_not_found;
    return missing ? client.ask("PUT", topic_target(name), body) : changed;
}

int run(const Options& options) {
    const auto& words = options.positional();
    const std::string& verb = words[0];
    if (std::ranges::find(verbs, verb) == std::end(verbs))
        return report({ErrorCode::bad_usage,
                       fmt::format("'{}' is none of {}", verb, fmt::join(verbs, ", "))});
    const bool many = verb == "redrive" || verb == "drop";
    const bool alone = verb == "list" || (verb == "groups" && words.size() == 1);
    if (alone ? words.size() != 1 : words.size() < 2 || (words.size() > 2 && !many))
        return report(
            {ErrorCode::bad_usage, verb + (verb == "list" ? " takes no name" : " takes one name")});
    return with_client(options, [&](service::TaskClient& client) {
        return print(options, verb, ask(options, client));
    });
}

}  // namespace

const Command& topic_command() {
    static const Command command{
        {.name = "topic",
         .arguments = "list | show TOPIC | set TOPIC | groups [GROUP] | dead GROUP | …",
         .summary = "topics, what they keep, and how far their groups have come",
         .text = "Also: delete TOPIC, remove GROUP, redrive GROUP [TOPIC:SEQUENCE…],\n"
                 "drop GROUP [TOPIC:SEQUENCE…]. Lag is the number of events that a group has not\n"
                 "settled; what retention took before it did is told as a gap.",
         .options = with_client_rows({{.name = "keep",
                                       .kind = OptionKind::duration,
                                       .value = "TIME",
                                       .help = "set: how long events are kept",
                                       .from_environment = false},
                                      {.name = "keep-bytes",
                                       .kind = OptionKind::bytes,
                                       .value = "SIZE",
                                       .help = "set: how much of them",
                                       .least = 1,
                                       .from_environment = false},
                                      {.name = "keep-count",
                                       .kind = OptionKind::number,
                                       .value = "N",
                                       .help = "set: how many",
                                       .least = 1,
                                       .from_environment = false},
                                      {.name = "output",
                                       .letter = 'o',
                                       .kind = OptionKind::choice,
                                       .value = "json|table",
                                       .fallback = "table",
                                       .help = "print it so",
                                       .from_environment = false}},
                                     "5s"),
         .positional_min = 1,
         .positional_max = limits::deliveries_open_max,
         .kind = PageKind::client,
         .examples = {{"taskd topic show order.placed", "with the lag of each group"},
                      {"taskd topic set order.placed --keep 30d --keep-count 1000000", ""},
                      {"taskd topic redrive kitchen", "all its dead letters begin anew"}},
         .words = {std::begin(verbs), std::end(verbs)}},
        run};
    return command;
}

}  // namespace taskd::roles
