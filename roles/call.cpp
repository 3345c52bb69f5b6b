// taskd call: a method of a contract, by its name, whoever implements it.
#include <algorithm>

#include "client.hpp"
#include "entry_kinds.hpp"
#include "outcome.hpp"
#include "payload.hpp"
#include "taskd/base/duration_text.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/protocol/target.hpp"
#include "taskd/service/contracts.hpp"

namespace taskd::roles {
namespace {

// Held against the contract here and by the host.
int call_function(const Options& options, const service::BoundMethod& method,
                  const std::string& said) {
    const std::string payload = said.empty() ? "null" : said;
    if (auto valid = method.check_payload(payload); !valid) return report(valid.error());
    auto server = find_host(options);
    if (!server) return report(server.error());
    const Duration wait = std::min(options.duration("wait"), limits::endpoint_wait_most);
    const std::string target = "/v1/functions/" + protocol::percent_encode(method.function()) +
                               "?timeout=" + to_text(wait);
    Client client{std::move(*server), options.duration("retry-for")};
    const auto answer = client.api().ask("POST", target, payload);
    if (!answer) return report(answer.error());
    print_line(answer->body);
    return 0;
}

int run(const Options& options) {
    const auto& words = options.positional();
    const auto entries =
        newest_entries(options.given("data") ? options.text("data") : "taskd-data");
    if (!entries) return report(entries.error());
    const auto method = service::BoundMethod::bind(*entries, words[0], words[1]);
    if (!method) return report(method.error());
    const auto said = read_payload(options, std::span{words}.subspan(2));
    if (!said) return report(said.error());
    if (!method->function().empty()) return call_function(options, *method, *said);
    const auto payload = method->call(said->empty() ? "null" : *said);
    if (!payload) return report(payload.error());
    TaskSpec spec;
    spec.type = method->type();
    spec.payload = Blob{*payload};
    Random random{io::random_seed()};
    spec.id = TaskId::make(io::make_system_clock()->wall(), random);
    return with_client(options, [&](service::TaskClient& client) {
        const auto outcome = client.submit(spec, options.duration("wait"));
        if (outcome && outcome->state == "succeeded")
            if (auto matched = method->check_result(outcome->result); !matched)
                return report(matched.error());
        return print_outcome(client, outcome, options.text("output"));
    });
}

}  // namespace

const Command& call_command() {
    static const Command command{
        {.name = "call",
         .arguments = "CONTRACT METHOD [ARG…]",
         .summary = "call a method of a contract, and print its result",
         .text =
             "CONTRACT is the id of an entry of kind contract in the registry of --data "
             "(taskd-data unless\nsaid). The call is a task of the worker that implements it, or "
             "one of the function; what\nit is given and what it answers must match the "
             "contract. ARGs are those of taskd submit.",
         .options = with_client_rows({payload_row(),
                                      {.name = "wait",
                                       .kind = OptionKind::duration,
                                       .value = "DURATION",
                                       .fallback = "10m",
                                       .help = "how long to wait for the end",
                                       .from_environment = false},
                                      output_row()},
                                     "5s"),
         .positional_min = 2,
         .positional_max = 10'000,
         .kind = PageKind::client,
         .examples = {{"taskd call shop:payments charge --json '{\"amount\": 3}' --data DIR",
                       "as the contract says"}}},
        run};
    return command;
}

}  // namespace taskd::roles
