// taskd submit: sends one task and prints its result. The id is made here, so that saying it again
// after a broken connection never doubles the task.
#include <fmt/format.h>

#include "client.hpp"
#include "formats.hpp"
#include "outcome.hpp"
#include "payload.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/service/bulk.hpp"
#include "taskd/service/payload_text.hpp"

namespace taskd::roles {
namespace {

// "team=red,env=prod"
Result<std::map<std::string, std::string>> read_labels(const std::string& text) {
    std::map<std::string, std::string> labels;
    for (std::size_t at = 0; at <= text.size();) {
        const std::size_t end = std::min(text.find(',', at), text.size());
        const std::string part = text.substr(at, end - at);
        const std::size_t sign = part.find('=');
        if (sign == 0 || sign == std::string::npos)
            return fail(ErrorCode::bad_usage, "--label takes NAME=VALUE, not '" + part + "'");
        labels[part.substr(0, sign)] = part.substr(sign + 1);
        at = end + 1;
    }
    return labels;
}

// When it is tried again, and how often.
Result<void> read_retries(const Options& options, TaskSpec& spec) {
    spec.attempts_max = static_cast<std::uint32_t>(options.number("attempts-max"));
    spec.crashes_max = static_cast<std::uint32_t>(options.number("crashes-max"));
    spec.backoff.kind = parse_backoff_kind(options.text("backoff")).value();
    if (options.given("backoff-max")) {
        spec.backoff.max = options.duration("backoff-max");
        spec.backoff.initial = std::min(spec.backoff.initial, spec.backoff.max);
    }
    if (options.given("backoff-initial"))
        spec.backoff.initial = options.duration("backoff-initial");
    if (spec.backoff.initial > spec.backoff.max)
        return fail(ErrorCode::bad_usage, "--backoff-initial is above --backoff-max");
    const std::string& codes = options.text("no-retry");
    for (std::size_t at = 0; at < codes.size();) {
        const std::size_t end = std::min(codes.find(',', at), codes.size());
        if (end == at || end - at > limits::error_code_bytes_max)
            return fail(ErrorCode::bad_usage, "--no-retry takes codes of 1 to 128 bytes: CODE,…");
        spec.no_retry.push_back(codes.substr(at, end - at));
        at = end + 1;
    }
    if (spec.no_retry.size() > limits::no_retry_max)
        return fail(ErrorCode::bad_usage,
                    fmt::format("--no-retry takes up to {} codes", limits::no_retry_max));
    return {};
}

Result<std::optional<WallTime>> read_instant(const Options& options, const std::string& name) {
    if (!options.given(name)) return std::nullopt;
    const auto instant = parse_rfc3339(options.text(name));
    if (!instant)
        return fail(ErrorCode::bad_usage,
                    fmt::format("--{} takes an instant such as 2026-01-02T03:04:05Z, not '{}'",
                                name, options.text(name)));
    return instant;
}

// All but id and payload.
Result<TaskSpec> read_defaults(const Options& options) {
    TaskSpec spec;
    if (!options.positional().empty()) {
        spec.type = options.positional().front();
        if (!is_type_name(spec.type))
            return fail(ErrorCode::bad_usage, fmt::format("'{}' is no name of a type", spec.type));
    }
    spec.priority = static_cast<std::uint8_t>(options.number("priority"));
    if (auto read = read_retries(options, spec); !read) return std::unexpected{read.error()};
    for (const auto& [name, field] :
         {std::pair{"timeout", &spec.timeout}, std::pair{"queue-timeout", &spec.queue_timeout},
          std::pair{"total-timeout", &spec.total_timeout}, std::pair{"delay", &spec.delay}})
        if (options.given(name)) *field = options.duration(name);
    spec.key = options.text("key");
    if (spec.key.size() > limits::key_bytes_max)
        return fail(ErrorCode::bad_usage, "--key takes up to 256 bytes");
    spec.idempotency_key = options.text("once");
    if (spec.idempotency_key.size() > limits::key_bytes_max)
        return fail(ErrorCode::bad_usage, "--once takes a key of up to 256 bytes");
    if (options.given("label")) {
        auto labels = read_labels(options.text("label"));
        if (!labels) return fail(std::move(labels));
        spec.labels = std::move(*labels);
    }
    if (options.given("group")) {
        spec.group = GroupId::parse(options.text("group"));
        if (!spec.group) return fail(ErrorCode::bad_usage, "--group takes the whole id of a group");
    }
    for (const auto& [name, field] :
         {std::pair{"at", &spec.run_at}, std::pair{"expires-at", &spec.expires_at}}) {
        const auto instant = read_instant(options, name);
        if (!instant) return std::unexpected{instant.error()};
        *field = *instant;
    }
    return spec;
}

Result<TaskSpec> read_spec(const Options& options) {
    auto defaults = read_defaults(options);
    if (!defaults) return defaults;
    TaskSpec spec = std::move(*defaults);
    auto payload = read_payload(options, std::span{options.positional()}.subspan(1));
    if (!payload) return fail(std::move(payload));
    spec.payload = Blob{std::move(*payload)};
    Random random{io::random_seed()};
    spec.id = TaskId::make(io::make_system_clock()->wall(), random);
    return spec;
}

Result<std::vector<TaskSpec>> read_many(const Options& options) {
    if (options.positional().size() > 1 || options.given("json") || options.given("once"))
        return fail(ErrorCode::bad_usage,
                    "--from takes neither arguments beside a TYPE nor --json nor --once");
    const auto defaults = read_defaults(options);
    if (!defaults) return std::unexpected{defaults.error()};
    auto text = io::read_whole_file(options.text("from"), limits::submit_file_bytes_max);
    if (text && is_yaml_file(options.text("from")))
        text = transcoder().convert(*text, "yaml", "json");
    if (!text) return fail(std::move(text));
    const auto clock = io::make_system_clock();
    Random random{io::random_seed()};
    return service::parse_bulk(*text, *defaults,
                               [&] { return TaskId::make(clock->wall(), random); });
}

void print_bulk(const service::TaskOutcome& outcome, const std::string& output) {
    if (output == "id") return print_line(outcome.id);
    if (output == "json") {
        std::string json;
        protocol::JsonWriter writer{json};
        writer.begin_object().field("id", outcome.id).field("state", outcome.state);
        if (!outcome.result.empty()) writer.key("result").raw(outcome.result);
        if (outcome.error) {
            writer.key("error");
            std::string error;
            protocol::write_task_error(error, *outcome.error);
            writer.raw(error);
        }
        writer.end_object();
        return print_line(json);
    }
    const std::string end = outcome.error ? outcome.error->code + ": " + outcome.error->message
                                          : service::shown_result(outcome.result);
    if (output == "table") return print_line(outcome.id + "  " + outcome.state + "  " + end);
    if (!outcome.error_state()) return print_line(end);
    say(fmt::format("task {} is {}{}{}", outcome.id, outcome.state, end.empty() ? "" : ": ", end));
}

int run_many(const Options& options) {
    const auto tasks = read_many(options);
    if (!tasks) return report(tasks.error());
    return with_whole_client(options, [&](Client& client) {
        const bool detach = options.toggle("detach");
        const std::string output = detach ? "id" : options.text("output");
        Progress& progress = client.progress();
        const auto counts = service::submit_bulk(
            client.api(), *tasks, {.wait = options.duration("wait"), .detach = detach},
            {.tell =
                 [&](const service::TaskOutcome& outcome) {
                     progress.clear();
                     print_bulk(outcome, output);
                 },
             .progress =
                 [&](const service::BulkCounts& now) {
                     const std::size_t ended = now.succeeded + now.failed;
                     const bool submitting = now.submitted < now.all || detach;
                     progress.bar(submitting ? "submitted" : "ended",
                                  submitting ? now.submitted : ended, now.all);
                 },
             .clock = client.clock()});
        progress.clear();
        if (!counts) return report(counts.error());
        return counts->failed == 0 ? 0 : row_of(ErrorCode::worker_failed).exit_code;
    });
}

OptionRow time_row(std::string_view name, std::string_view help) {
    return {.name = name,
            .kind = OptionKind::duration,
            .value = "DURATION",
            .help = help,
            .least = 1'000,
            .from_environment = false};
}

std::vector<OptionRow> submit_rows() {
    return {payload_row(),
            {.name = "from",
             .letter = 'f',
             .value = "FILE",
             .help = "many tasks, one JSON value a line; - is stdin",
             .from_environment = false},
            {.name = "detach",
             .letter = 'd',
             .kind = OptionKind::toggle,
             .help = "print the id and do not wait",
             .from_environment = false},
            {.name = "wait",
             .letter = 'w',
             .kind = OptionKind::duration,
             .value = "DURATION",
             .fallback = "1m",
             .help = "how long to wait for the result"},
            {.name = "priority",
             .kind = OptionKind::number,
             .value = "N",
             .fallback = "5",
             .help = "0 to 9, 9 goes first",
             .most = 9},
            {.name = "key",
             .value = "KEY",
             .help = "whose task it is: keys take turns, and may have limits",
             .from_environment = false},
            {.name = "once",
             .value = "KEY",
             .help = "do nothing if this was sent under KEY before",
             .from_environment = false},
            {.name = "label",
             .value = "NAME=VALUE,…",
             .help = "to find it by: taskd list label:NAME=VALUE",
             .from_environment = false},
            {.name = "group",
             .value = "ID",
             .help = "an open group that it comes into (taskd group open)",
             .from_environment = false},
            time_row("delay", "not before so long from now"),
            {.name = "at",
             .value = "INSTANT",
             .help = "not before this time, like 2026-01-02T03:04:05Z",
             .from_environment = false},
            {.name = "expires-at",
             .value = "INSTANT",
             .help = "not begun by then, it has expired",
             .from_environment = false},
            time_row("timeout", "of one attempt; 1h unless said"),
            time_row("queue-timeout", "until its first attempt; 7 days unless said"),
            time_row("total-timeout", "until its end; 30 days unless said"),
            output_row()};
}

// Before the row of the output, which is last.
std::vector<OptionRow> with_retry_rows(std::vector<OptionRow> rows) {
    const std::vector<OptionRow> more{
        {.name = "attempts-max",
         .kind = OptionKind::number,
         .value = "N",
         .fallback = "5",
         .help = "attempts that may fail before the task is dead",
         .least = 1,
         .most = limits::attempts_max_max},
        {.name = "crashes-max",
         .kind = OptionKind::number,
         .value = "N",
         .fallback = "10",
         .help = "workers in a row that may vanish with it before it is dead",
         .least = 1,
         .most = limits::attempts_max_max,
         .from_environment = false},
        {.name = "backoff",
         .kind = OptionKind::choice,
         .value = "fixed|linear|exponential",
         .fallback = "exponential",
         .help = "how the wait between attempts grows",
         .from_environment = false},
        time_row("backoff-initial", "the first wait; 1s unless said"),
        time_row("backoff-max", "the longest wait; 5m unless said"),
        {.name = "no-retry",
         .value = "CODE,…",
         .help = "errors after which it is dead at once",
         .from_environment = false}};
    rows.insert(rows.end() - 1, more.begin(), more.end());
    return rows;
}

int run(const Options& options) {
    if (options.given("from")) return run_many(options);
    if (options.positional().empty())
        return report({ErrorCode::bad_usage, "missing argument; usage: taskd submit TYPE [ARG…]"});
    const auto spec = read_spec(options);
    if (!spec) return report(spec.error());
    return with_client(options, [&](service::TaskClient& client) {
        if (options.toggle("detach")) {
            const auto outcome = client.submit_and_leave(*spec);
            if (!outcome) return report(outcome.error());
            print_line(outcome->id);
            return 0;
        }
        return print_outcome(client, client.submit(*spec, options.duration("wait")),
                             options.text("output"));
    });
}

}  // namespace

const Command& submit_command() {
    static const Command command{
        {.name = "submit",
         .arguments = "TYPE [ARG…] | [TYPE] --from FILE",
         .summary = "send a task and print its result",
         .text =
             "One ARG is the payload, several are an array of them. An ARG that is a JSON "
             "number, true,\nfalse or null stays so, anything else is a text. A single @FILE "
             "or - (stdin) gives any\npayload: one JSON value as it stands, or a text; @@ is "
             "a text that begins with @.\nArguments after -- are never options.\n\n"
             "--from FILE submits many: one task a line as JSON, {\"type\", \"payload\"} as the "
             "API takes it,\nor one array of them; with TYPE each is a payload. Results come in "
             "the order given.\n\nA FILE that ends in .yaml or .yml is read as YAML.",
         .options = with_client_rows(with_retry_rows(submit_rows()), "5s"),
         .positional_max = 10'000,
         .kind = PageKind::client,
         .examples = {{"taskd submit sum 1 2 3", "6"},
                      {"taskd submit upper straße", "STRASSE"},
                      {"taskd submit hash --json '{\"text\": \"a\", \"algorithm\": \"sha512\"}'",
                       ""},
                      {"taskd submit reverse @letter.txt", "the payload from a file"},
                      {"taskd submit sum --from tasks.yaml", "a list of payloads"},
                      {"id=$(taskd submit wait 30 --detach)", "the id only, at once"},
                      {"taskd submit sum --from numbers.ndjson -o id", "one task a line"},
                      {"taskd submit sum 1 2 --group $(taskd group open) --detach", ""}},
         .words = type_names()},
        run};
    return command;
}

}  // namespace taskd::roles
