// taskd submit: sends one task and prints its result. The id is made here, so that saying it again
// after a broken connection never doubles the task.
#include <fmt/format.h>

#include "client.hpp"
#include "outcome.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/service/payload_text.hpp"

namespace taskd::roles {
namespace {

// The payload in any of its forms; empty when there is none.
Result<std::string> read_payload(const Options& options) {
    const auto arguments = std::span{options.positional()}.subspan(1);
    if (options.given("json")) {
        if (!arguments.empty())
            return fail(ErrorCode::bad_usage, "--json and arguments exclude each other");
        if (auto valid = protocol::check_json(options.text("json")); !valid)
            return fail(std::move(valid));
        return options.text("json");
    }
    if (arguments.size() == 1) {
        const std::string& argument = arguments.front();
        const bool escaped = argument.starts_with("@@");
        if (argument == "-" || (argument.starts_with('@') && !escaped)) {
            auto content = io::read_whole_file(argument == "-" ? argument : argument.substr(1),
                                               limits::task_bytes_max);
            if (!content) return content;
            return service::payload_of_file(std::move(*content));
        }
        if (escaped) return service::payload_of_arguments({{argument.substr(1)}});
    }
    return service::payload_of_arguments(arguments);
}

Result<TaskSpec> read_spec(const Options& options) {
    TaskSpec spec;
    spec.type = options.positional().front();
    if (!is_type_name(spec.type))
        return fail(ErrorCode::bad_usage, fmt::format("'{}' is no name of a type", spec.type));
    auto payload = read_payload(options);
    if (!payload) return fail(std::move(payload));
    spec.payload = Blob{std::move(*payload)};
    spec.priority = static_cast<std::uint8_t>(options.number("priority"));
    spec.attempts_max = static_cast<std::uint32_t>(options.number("attempts-max"));
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
    if (options.given("at")) {
        spec.run_at = parse_rfc3339(options.text("at"));
        if (!spec.run_at)
            return fail(ErrorCode::bad_usage,
                        "--at takes an instant such as 2026-01-02T03:04:05Z, not '" +
                            options.text("at") + "'");
    }
    Random random{io::random_seed()};
    spec.id = TaskId::make(io::make_system_clock()->wall(), random);
    return spec;
}

OptionRow time_row(std::string_view name, std::string_view help) {
    return {.name = name,
            .kind = OptionKind::duration,
            .value = "DURATION",
            .help = help,
            .least = 1'000,
            .from_environment = false};
}

int run(const Options& options) {
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
         .arguments = "TYPE [ARG…]",
         .summary = "send a task and print its result",
         .text = "One ARG is the payload, several are an array of them. An ARG that is a JSON "
                 "number, true,\nfalse or null stays so, anything else is a text. A single @FILE "
                 "or - (stdin) gives any\npayload: one JSON value as it stands, or a text; @@ is "
                 "a text that begins with @.\nArguments after -- are never options.",
         .options = with_client_rows(
             {{.name = "json",
               .value = "JSON",
               .help = "the payload as it stands",
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
              {.name = "attempts-max",
               .kind = OptionKind::number,
               .value = "N",
               .fallback = "5",
               .help = "attempts that may fail before the task is dead",
               .least = 1,
               .most = limits::attempts_max_max},
              {.name = "key",
               .value = "KEY",
               .help = "whose task it is: keys take turns, and may have limits",
               .from_environment = false},
              {.name = "once",
               .value = "KEY",
               .help = "do nothing if this was sent under KEY before",
               .from_environment = false},
              time_row("delay", "not before so long from now"),
              {.name = "at",
               .value = "INSTANT",
               .help = "not before this time, like 2026-01-02T03:04:05Z",
               .from_environment = false},
              time_row("timeout", "of one attempt; 1h unless said"),
              time_row("queue-timeout", "until its first attempt; 7 days unless said"),
              time_row("total-timeout", "until its end; 30 days unless said"),
              output_row()},
             "5s"),
         .positional_min = 1,
         .positional_max = 10'000,
         .kind = PageKind::client,
         .examples = {{"taskd submit sum 1 2 3", "6"},
                      {"taskd submit upper straße", "STRASSE"},
                      {"taskd submit hash --json '{\"text\": \"a\", \"algorithm\": \"sha512\"}'",
                       ""},
                      {"taskd submit reverse @letter.txt", "the payload from a file"},
                      {"id=$(taskd submit wait 30 --detach)", "the id only, at once"}}},
        run};
    return command;
}

}  // namespace taskd::roles
