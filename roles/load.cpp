// taskd load: puts load on a dispatcher and says how it bore it.
#include "taskd/service/load.hpp"

#include <fmt/format.h>

#include <charconv>

#include "client.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/loop.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::roles {
namespace {

// Tasks a second; 0 for "max".
Result<double> read_rate(const std::string& text) {
    if (text == "max") return 0;
    double rate = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), rate);
    if (error != std::errc{} || end != text.data() + text.size() || !(rate > 0) || rate > 1e6)
        return fail(ErrorCode::bad_usage,
                    "--rate takes tasks a second up to 1000000, or max, not '" + text + "'");
    return rate;
}

double seconds(Duration duration) {
    return static_cast<double>(duration.count()) / 1e6;
}

double a_second(std::uint64_t count, Duration duration) {
    return duration.count() == 0 ? 0 : static_cast<double>(count) / seconds(duration);
}

std::vector<std::string> latency_row(std::string name, service::Latencies& latencies) {
    std::vector<std::string> row{std::move(name)};
    for (const double share : {0.5, 0.9, 0.99, 1.0})
        row.push_back(fmt::format("{:.2f} ms", 1e3 * seconds(latencies.percentile(share))));
    return row;
}

std::string write_text(service::LoadReport& report) {
    std::string out = write_table({
        {"due", fmt::format("{}", report.offered)},
        {"submitted", fmt::format("{}", report.submitted),
         fmt::format("{:.1f} a second", a_second(report.submitted, report.submitting))},
        {"came back", fmt::format("{}", report.came_back()),
         fmt::format("{:.1f} a second", a_second(report.came_back(), report.whole))},
    });
    out += '\n';
    TableRows outcomes{{"succeeded", fmt::format("{}", report.succeeded)},
                       {"dead", fmt::format("{}", report.dead)},
                       {"cancelled", fmt::format("{}", report.cancelled)},
                       {"wrong result", fmt::format("{}", report.wrong)},
                       {"lost", fmt::format("{}", report.missing)}};
    std::uint64_t refused = 0;
    for (const auto& [name, count] : report.refused) {
        outcomes.push_back({"refused " + name, fmt::format("{}", count)});
        refused += count;
    }
    outcomes.push_back({"not back", fmt::format("{}", report.offered - report.came_back() -
                                                          refused - report.missing)});
    outcomes.push_back({"requests repeated", fmt::format("{}", report.repeated)});
    out += write_table(outcomes) + '\n';
    return out + write_table({{"LATENCY", "P50", "P90", "P99", "MAX"},
                              latency_row("due to acknowledged", report.to_submit),
                              latency_row("due to result", report.to_result)});
}

void write_latencies(protocol::JsonWriter& json, std::string_view name,
                     service::Latencies& latencies) {
    json.key(name).begin_object();
    for (const auto& [key, share] :
         {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"max", 1.0}})
        json.key(key).number(1e3 * seconds(latencies.percentile(share)));
    json.end_object();
}

std::string write_json(service::LoadReport& report) {
    std::string out;
    protocol::JsonWriter json{out};
    json.begin_object()
        .field("due", report.offered)
        .field("submitted", report.submitted)
        .field("succeeded", report.succeeded)
        .field("dead", report.dead)
        .field("cancelled", report.cancelled)
        .field("wrong", report.wrong)
        .field("lost", report.missing)
        .field("repeated", report.repeated);
    json.key("refused").begin_object();
    for (const auto& [name, count] : report.refused)
        json.field(name, count);
    json.end_object();
    json.key("submitted_a_second").number(a_second(report.submitted, report.submitting));
    json.key("came_back_a_second").number(a_second(report.came_back(), report.whole));
    write_latencies(json, "submit_ms", report.to_submit);
    write_latencies(json, "result_ms", report.to_result);
    json.end_object();
    return out;
}

// All back and right is 0; an end without success is 5; patience that ran out 6.
int verdict(const service::LoadReport& report) {
    if (!report.all_came_back()) {
        if (report.wrong != 0 || report.missing != 0 || !report.refused.empty())
            return row_of(ErrorCode::internal).exit_code;
        return row_of(ErrorCode::timed_out).exit_code;
    }
    return report.succeeded == report.offered ? 0 : row_of(ErrorCode::worker_failed).exit_code;
}

int run(const Options& options) {
    auto mix = service::parse_load_mix(options.text("mix"));
    if (!mix) return report(mix.error());
    const auto rate = read_rate(options.text("rate"));
    if (!rate) return report(rate.error());
    auto server = find_server(options);
    if (!server) return report(server.error());
    // A server that is not there at all is told at once.
    Client probe{*server, options.duration("retry-for")};
    if (const auto ready = probe.api().ask("GET", "/v1/stats"); !ready)
        return report(ready.error());

    const auto connections = static_cast<std::size_t>(options.number("connections"));
    service::LoadSettings settings;
    settings.url = server->url;
    settings.key = server->key;
    settings.mix = std::move(*mix);
    settings.rate = *rate;
    settings.span = options.duration("for");
    settings.patience = options.duration("wait");
    settings.submitters = (connections + 1) / 2;
    settings.collectors = connections - settings.submitters;
    settings.batch_max = static_cast<std::size_t>(options.number("batch"));
    settings.seed = io::random_seed();

    io::Loop loop;
    const auto clock = io::make_system_clock();
    io::HttpExchange http{loop, {.threads_max = connections}};
    service::Load load{std::move(settings), http, *clock, loop};
    service::LoadReport result;
    load.start([&](service::LoadReport done) {
        result = std::move(done);
        loop.stop();
    });
    loop.run();
    http.stop();
    if (options.text("output") == "json")
        print_line(write_json(result));
    else
        std::fputs(write_text(result).c_str(), stdout);
    return verdict(result);
}

}  // namespace

const Command& load_command() {
    static const Command command{
        {.name = "load",
         .arguments = {},
         .summary = "put load on a dispatcher; prints rates and latencies",
         .text = "The rate does not wait for answers: a slow server shows as latency. Exit 0 only "
                 "when every\ntask came back, and with the result that the built-in work gives.",
         .options = with_client_rows({{.name = "mix",
                                       .value = "TYPE=N,…",
                                       .fallback = "sum=5,hash=2,wait=1",
                                       .help = "types and how often each",
                                       .from_environment = false},
                                      {.name = "rate",
                                       .value = "N",
                                       .fallback = "500",
                                       .help = "tasks a second, or max: as fast as it goes",
                                       .from_environment = false},
                                      {.name = "for",
                                       .kind = OptionKind::duration,
                                       .value = "DURATION",
                                       .fallback = "10s",
                                       .help = "how long to submit",
                                       .from_environment = false},
                                      {.name = "wait",
                                       .letter = 'w',
                                       .kind = OptionKind::duration,
                                       .value = "DURATION",
                                       .fallback = "1m",
                                       .help = "how long to wait for the rest afterwards"},
                                      {.name = "connections",
                                       .kind = OptionKind::number,
                                       .value = "N",
                                       .fallback = "16",
                                       .help = "requests under way at a time",
                                       .least = 2,
                                       .most = 1'000},
                                      {.name = "batch",
                                       .kind = OptionKind::number,
                                       .value = "N",
                                       .fallback = "200",
                                       .help = "tasks in one submit at most",
                                       .least = 1,
                                       .most = 1'000},
                                      {.name = "output",
                                       .letter = 'o',
                                       .kind = OptionKind::choice,
                                       .value = "json|table",
                                       .fallback = "table",
                                       .help = "print the figures so",
                                       .from_environment = false}},
                                     "5s"),
         .kind = PageKind::client,
         .examples = {{"taskd load --rate 500 --for 10s", "rates and latencies"},
                      {"taskd load --rate max --mix sum=1", "as fast as it goes"}}},
        run};
    return command;
}

}  // namespace taskd::roles
