// taskd queue: queues with their figures and rules; pause, resume, drain.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "client.hpp"
#include "formats.hpp"
#include "taskd/base/duration_text.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::roles {
namespace {

std::string target_of(const std::string& type) {
    return "/v1/queues/" + protocol::percent_encode(type);
}

std::string limit_text(const JsonView& limit) {
    return limit.text() == "0" ? "" : limit.text();
}

std::string rate_text(const JsonView& rate) {
    if (rate.empty()) return {};
    const auto per = std::strtoll(rate["per_ms"].text().c_str(), nullptr, 10);
    return fmt::format("{}/{}", rate["count"].text(), to_text(std::chrono::milliseconds{per}));
}

std::string write_queues(const std::vector<JsonView>& queues) {
    TableRows rows{{"QUEUE", "QUEUED", "RUNNING", "SCHEDULED", "LEASED", "LIMIT", "OF A KEY",
                    "RATE", "OLDEST QUEUED", "HELD"}};
    for (const JsonView& queue : queues) {
        std::string held = pause_text("paused", queue["paused"]);
        if (held.empty()) held = pause_text("draining", queue["draining"]);
        rows.push_back({queue["type"].text(), queue["queued"].text(), queue["running"].text(),
                        queue["scheduled"].text(), queue["leased"].text(),
                        limit_text(queue["concurrency"]), limit_text(queue["key_concurrency"]),
                        rate_text(queue["rate"]), queue["oldest_queued_at"].text(), held});
        for (const JsonView& key : queue["paused_keys"].items())
            rows.push_back({"  " + key["key"].text(), "", "", "", "", "", "", "", "",
                            pause_text("paused", key["pause"])});
    }
    return write_table(rows);
}

// "100/1s", "100/1s/20" as a rule; "0" takes the rate away.
Result<std::string> rate_json(const std::string& name, const std::string& text) {
    const auto wrong = [&] {
        return fail(
            ErrorCode::bad_usage,
            fmt::format("--{} takes COUNT/TIME or COUNT/TIME/BURST, such as 100/1s, not '{}'", name,
                        text));
    };
    const auto number = [](std::string_view part, std::uint32_t& value) {
        const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
        return error == std::errc{} && end == part.data() + part.size();
    };
    std::uint32_t count = 0, burst = 1;
    const std::size_t first = text.find('/');
    const std::size_t second = first == std::string::npos ? first : text.find('/', first + 1);
    if (!number(std::string_view{text}.substr(0, first), count)) return wrong();
    if (first == std::string::npos && count != 0) return wrong();
    auto per = std::optional<Duration>{std::chrono::seconds{1}};
    if (first != std::string::npos)
        per = parse_duration(
            text.substr(first + 1, second == std::string::npos ? second : second - first - 1));
    if (!per || (second != std::string::npos && !number(text.substr(second + 1), burst)))
        return wrong();
    return fmt::format(R"({{"count":{},"per_ms":{},"burst":{}}})", count,
                       *per / std::chrono::milliseconds{1}, burst);
}

// A JSON Schema in a file, YAML or JSON.
Result<std::string> schema_json(const std::string& file) {
    auto text = io::read_whole_file(file, limits::schema_bytes_max);
    if (!text || !is_yaml_file(file)) return text;
    return transcoder().convert(*text, "yaml", "json");
}

// The rules as they are, with those given in their place.
Result<std::string> merged_rules(const JsonView& now, const Options& options) {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object();
    for (const auto& [field, option] :
         {std::pair{"concurrency", "concurrency"}, std::pair{"key_concurrency", "key-concurrency"},
          std::pair{"key_backlog_max", "key-backlog-max"}}) {
        json.key(field);
        if (options.given(option))
            json.number(options.number(option));
        else
            json.raw(now[field].raw());
    }
    for (const auto& [field, option] :
         {std::pair{"rate", "rate"}, std::pair{"key_rate", "key-rate"}}) {
        if (options.given(option)) {
            auto rate = rate_json(option, options.text(option));
            if (!rate) return rate;
            json.key(field).raw(*rate);
        } else if (!now[field].empty()) {
            json.key(field).raw(now[field].raw());
        }
    }
    if (options.given("schema")) {
        const std::string& file = options.text("schema");
        auto schema = file.empty() ? Result<std::string>{"null"} : schema_json(file);
        if (!schema) return schema;
        json.key("schema").raw(*schema);
    } else if (!now["schema"].empty()) {
        json.key("schema").raw(now["schema"].raw());
    }
    json.key("weights").raw(options.given("weights") ? options.text("weights")
                                                     : std::string{now["weights"].raw()});
    json.end_object();
    return body;
}

int print(const Options& options, const Result<service::TaskClient::Answer>& answer, bool list) {
    if (!answer) return report(answer.error());
    const JsonView view{answer->body};
    if (options.text("output") == "json")
        print_line(answer->body);
    else
        std::fputs(write_queues(list ? view["queues"].items() : std::vector{view}).c_str(), stdout);
    return 0;
}

int run(const Options& options) {
    const auto& words = options.positional();
    const std::string& verb = words[0];
    constexpr std::string_view verbs[] = {"list", "show", "set", "pause", "resume", "drain"};
    if (std::ranges::find(verbs, verb) == std::end(verbs))
        return report({ErrorCode::bad_usage,
                       fmt::format("'{}' is none of list, show, set, pause, resume, drain", verb)});
    if ((words.size() == 1) != (verb == "list"))
        return report({ErrorCode::bad_usage, verb == "list" ? "list takes no type"
                                                            : verb + " takes the type of a queue"});
    return with_client(options, [&](service::TaskClient& client) {
        if (verb == "list") return print(options, client.ask("GET", "/v1/queues"), true);
        const std::string target = target_of(words[1]);
        if (verb == "show") return print(options, client.ask("GET", target), false);
        if (verb != "set")
            return print(options, client.ask("POST", target + "/" + verb, pause_body(options)),
                         false);
        const auto now = client.ask("GET", target);
        if (!now) return report(now.error());
        const auto rules = merged_rules(JsonView{now->body}, options);
        if (!rules) return report(rules.error());
        return print(options, client.ask("PUT", target, *rules), false);
    });
}

OptionRow number_row(std::string_view name, std::string_view help) {
    return {.name = name,
            .kind = OptionKind::number,
            .value = "N",
            .help = help,
            .most = limits::rate_count_max,
            .from_environment = false};
}

OptionRow text_row(std::string_view name, std::string_view value, std::string_view help) {
    return {.name = name, .value = value, .help = help, .from_environment = false};
}

}  // namespace

const Command& queue_command() {
    static const Command command{
        {.name = "queue",
         .arguments = "list | show TYPE | set TYPE | pause TYPE | resume TYPE | drain TYPE",
         .summary = "show queues and say how much, how fast, whose turn, whether at all",
         .text = "set changes the rules given and leaves the others; 0 takes a limit away.",
         .options = with_client_rows(
             {number_row("concurrency", "leases at a time"),
              number_row("key-concurrency", "leases of one key at a time"),
              number_row("key-backlog-max", "tasks of one key that may wait"),
              text_row("rate", "RATE", "leases, as COUNT/TIME or COUNT/TIME/BURST"),
              text_row("key-rate", "RATE", "leases of each key"),
              text_row("weights", "JSON", "turns of keys, as {\"gold\": 5}; all of them"),
              text_row("schema", "FILE", "JSON Schema of its payloads; '' takes it away"),
              text_row("key", "KEY", "pause or resume this key alone"),
              text_row("by", "NAME", "who does it"),
              text_row("reason", "TEXT", "why; shown with what it holds"),
              {.name = "output",
               .letter = 'o',
               .kind = OptionKind::choice,
               .value = "json|table",
               .fallback = "table",
               .help = "print it so",
               .from_environment = false}},
             "0s"),
         .positional_min = 1,
         .positional_max = 2,
         .kind = PageKind::client,
         .examples = {{"taskd queue set email --concurrency 10 --rate 100/1s", ""},
                      {"taskd queue set email --schema email.schema.yaml", "checked at submit"},
                      {"taskd queue pause email --reason 'smtp is down'", "what runs may end"},
                      {"taskd queue resume email", ""}}},
        run};
    return command;
}

}  // namespace taskd::roles
