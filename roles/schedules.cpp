// taskd schedule: tasks submitted again and again; made, changed, looked at, made up for.
#include <fmt/format.h>

#include <algorithm>

#include "client.hpp"
#include "payload.hpp"
#include "taskd/base/duration_text.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/zone_calendar.hpp"
#include "taskd/model/schedule.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::roles {
namespace {

using Answer = Result<service::TaskClient::Answer>;

constexpr std::string_view verbs[] = {"list", "show",   "set",      "pause", "resume",
                                      "run",  "remove", "backfill", "next"};

std::string target_of(const std::string& name) {
    return "/v1/schedules/" + protocol::percent_encode(name);
}

std::string when_text(const JsonView& schedule) {
    std::string text = schedule["cron"].text();
    if (text.empty()) {
        const auto ms = std::strtoll(schedule["every_ms"].text().c_str(), nullptr, 10);
        text = "every " + to_text(std::chrono::milliseconds{ms});
    }
    if (schedule["zone"].text() != "UTC") text += " " + schedule["zone"].text();
    return text;
}

std::string next_text(const JsonView& schedule) {
    if (!schedule["paused"].empty()) return pause_text("paused", schedule["paused"]);
    const auto next = schedule["next"].items();
    return next.empty() ? "never again" : next.front().text();
}

void print_table(const std::vector<JsonView>& schedules) {
    TableRows rows{{"SCHEDULE", "TYPE", "WHEN", "NEXT", "SUBMITTED", "OVERLAPPED", "MISSED"}};
    for (const JsonView& schedule : schedules)
        rows.push_back({schedule["name"].text(), schedule["task"]["type"].text(),
                        when_text(schedule), next_text(schedule), schedule["submitted"].text(),
                        schedule["overlapped"].text(), schedule["missed"].text()});
    std::fputs(write_table(rows).c_str(), stdout);
}

void print_one(const JsonView& schedule) {
    print_table({schedule});
    const auto fires = schedule["fires"].items();
    if (fires.empty()) return;
    TableRows rows{{"PLANNED", "AT", "OUTCOME", "TASK"}};
    for (const JsonView& fire : fires)
        rows.push_back(
            {fire["planned_at"].text(), fire["at"].text(),
             fire["outcome"].text() + (fire["reason"].empty() ? "" : ": " + fire["reason"].text()),
             fire["task"].text()});
    std::fputs(("\n" + write_table(rows)).c_str(), stdout);
}

int print(const Options& options, const Answer& answer) {
    if (!answer) return report(answer.error());
    const std::string& output = options.text("output");
    const JsonView view{answer->body};
    if (output == "json")
        print_line(answer->body);
    else if (output == "id")
        print_line(view["last_task"].text());
    else
        print_one(view);
    return 0;
}

// ---- set
// -----------------------------------------------------------------------------------------

Result<std::string> set_body(const Options& options) {
    const auto words = std::span{options.positional()};
    if (words.size() < 3)
        return fail(ErrorCode::bad_usage, "set takes a name, the type of its tasks, and a payload");
    auto payload = read_payload(options, words.subspan(3));
    if (!payload) return payload;
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object();
    for (const std::string_view name : {"cron", "zone", "overlap", "misfire"})
        if (options.given(name)) json.field(name, options.text(name));
    if (options.given("every"))
        json.field("every_ms", options.duration("every") / std::chrono::milliseconds{1});
    if (options.given("start")) json.field("start_at", options.text("start"));
    if (options.given("end")) json.field("end_at", options.text("end"));
    json.key("task").begin_object().field("type", words[2]);
    if (!payload->empty()) json.key("payload").raw(*payload);
    if (options.given("priority")) json.field("priority", options.number("priority"));
    if (options.given("key")) json.field("key", options.text("key"));
    json.end_object().end_object();
    return body;
}

Result<std::string> backfill_body(const Options& options) {
    if (!options.given("from") || !options.given("to"))
        return fail(ErrorCode::bad_usage, "backfill takes --from and --to");
    std::string body;
    protocol::JsonWriter{body}
        .begin_object()
        .field("from", options.text("from"))
        .field("to", options.text("to"))
        .end_object();
    return body;
}

// ---- next
// ----------------------------------------------------------------------------------------

// When --cron or --every would be due, worked out here.
int preview(const Options& options) {
    const WallTime now = io::make_system_clock()->wall();
    ScheduleSpec spec;
    spec.cron = options.text("cron");
    if (options.given("every")) spec.every = options.duration("every");
    if (options.given("zone")) spec.zone = options.text("zone");
    const auto plan = Plan::make(spec, now);
    if (!plan) return report(plan.error());
    io::ZoneCalendar calendar;
    if (auto span = calendar.span(spec.zone, now); !span) return report(span.error());
    const ZoneSpans spans = [&](WallTime at) {
        return calendar.span(spec.zone, at)
            .value_or(ZoneSpan{WallTime::min(), WallTime::max(), {}});
    };
    WallTime after = now;
    for (std::int64_t i = 0; i < options.number("count"); ++i) {
        const auto next = plan->next(after, spans);
        if (!next) break;
        print_line(to_rfc3339(after = *next));
    }
    return 0;
}

int print_times(const Answer& answer) {
    if (!answer) return report(answer.error());
    for (const JsonView& time : JsonView{answer->body}["times"].items())
        print_line(time.text());
    return 0;
}

// ---- verbs
// ---------------------------------------------------------------------------------------

int list(const Options& options, service::TaskClient& client) {
    const Answer answer = client.ask("GET", "/v1/schedules");
    if (!answer) return report(answer.error());
    if (options.text("output") == "json")
        print_line(answer->body);
    else
        print_table(JsonView{answer->body}["schedules"].items());
    return 0;
}

int backfill(const Options& options, service::TaskClient& client, const std::string& target) {
    const auto body = backfill_body(options);
    if (!body) return report(body.error());
    const Answer answer = client.ask("POST", target + "/backfill", *body);
    if (!answer) return report(answer.error());
    const JsonView counts{answer->body};
    if (options.text("output") == "json")
        print_line(answer->body);
    else
        print_line(fmt::format("{} submitted, {} there before", counts["submitted"].text(),
                               counts["there"].text()));
    return 0;
}

int act(const Options& options, service::TaskClient& client) {
    const auto& words = options.positional();
    const std::string& verb = words[0];
    if (verb == "list") return list(options, client);
    const std::string target = target_of(words[1]);
    if (verb == "show") return print(options, client.ask("GET", target));
    if (verb == "backfill") return backfill(options, client, target);
    if (verb == "next")
        return print_times(
            client.ask("GET", fmt::format("{}/times?limit={}", target, options.number("count"))));
    if (verb == "remove") {
        const Answer answer = client.ask("DELETE", target);
        return answer ? 0 : report(answer.error());
    }
    if (verb == "set") {
        const auto body = set_body(options);
        if (!body) return report(body.error());
        return print(options, client.ask("PUT", target, *body));
    }
    const std::string body = verb == "run" ? "" : pause_body(options);
    return print(options, client.ask("POST", target + "/" + verb, body));
}

int run(const Options& options) {
    const auto& words = options.positional();
    if (std::ranges::find(verbs, words[0]) == std::end(verbs))
        return report({ErrorCode::bad_usage,
                       fmt::format("'{}' is none of {}", words[0], fmt::join(verbs, ", "))});
    if (words[0] == "next" && words.size() == 1) return preview(options);
    if ((words.size() == 1) != (words[0] == "list"))
        return report({ErrorCode::bad_usage, words.size() == 1
                                                 ? words[0] + " takes the name of a schedule"
                                                 : "list takes no name"});
    if (words.size() > 2 && words[0] != "set")
        return report({ErrorCode::bad_usage, words[0] + " takes one name"});
    return with_client(options, [&](service::TaskClient& client) { return act(options, client); });
}

OptionRow text_row(std::string_view name, std::string_view value, std::string_view help) {
    return {.name = name, .value = value, .help = help, .from_environment = false};
}

std::vector<OptionRow> schedule_rows() {
    return {text_row("cron", "CRON", "set, next: when, as '30 3 * * MON-FRI' or @daily"),
            {.name = "every",
             .kind = OptionKind::duration,
             .value = "DURATION",
             .help = "set, next: how often, instead of --cron",
             .least = 1'000'000,
             .from_environment = false},
            text_row("zone", "ZONE", "set, next: whose clocks; UTC unless said"),
            {.name = "overlap",
             .kind = OptionKind::choice,
             .value = "allow|skip|replace",
             .help = "set: when the task before has not ended; skip unless said",
             .from_environment = false},
            {.name = "misfire",
             .kind = OptionKind::choice,
             .value = "skip|once|all",
             .help = "set: of times that passed unseen; once unless said",
             .from_environment = false},
            text_row("start", "TIME", "set: no time before this instant"),
            text_row("end", "TIME", "set: none at or after this instant"),
            payload_row(),
            {.name = "priority",
             .kind = OptionKind::number,
             .value = "N",
             .help = "set: of its tasks, 0 to 9",
             .most = 9,
             .from_environment = false},
            text_row("key", "KEY", "set: the key of its tasks"),
            text_row("from", "TIME", "backfill: the first instant"),
            text_row("to", "TIME", "backfill: the last instant"),
            {.name = "count",
             .kind = OptionKind::number,
             .value = "N",
             .fallback = "5",
             .help = "next: how many times",
             .least = 1,
             .most = limits::fires_ahead_max,
             .from_environment = false},
            text_row("by", "NAME", "pause: who does it"),
            text_row("reason", "TEXT", "pause: why"),
            {.name = "output",
             .letter = 'o',
             .kind = OptionKind::choice,
             .value = "json|table|id",
             .fallback = "table",
             .help = "print it so; id is that of the newest task",
             .from_environment = false}};
}

}  // namespace

const Command& schedule_command() {
    static const Command command{
        {.name = "schedule",
         .arguments = "list | show NAME | set NAME TYPE [ARG…] | run NAME | …",
         .summary = "submit a task again and again, at times of the clock",
         .text = "Also: pause NAME, resume NAME, remove NAME, backfill NAME, next [NAME].\n"
                 "Each time has its turn once, whatever is restarted. next without a name works\n"
                 "out when --cron or --every would be due.",
         .options = with_client_rows(schedule_rows(), "0s"),
         .positional_min = 1,
         .positional_max = limits::submit_tasks_max,
         .kind = PageKind::client,
         .examples = {{"taskd schedule set report sum 1 2 3 --cron '30 3 * * *' "
                       "--zone Europe/Berlin",
                       "every night at half past three"},
                      {"taskd schedule set poll hash x --every 10s --overlap skip", ""},
                      {"taskd schedule next --cron '0 9 L * *'", "asks no server"},
                      {"taskd schedule backfill report --from 2026-01-01T00:00:00Z "
                       "--to 2026-01-08T00:00:00Z",
                       "tasks for times that had none"}},
         .words = {std::begin(verbs), std::end(verbs)}},
        run};
    return command;
}

}  // namespace taskd::roles
