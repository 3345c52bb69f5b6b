// taskd simulate: random lives of the dispatcher's core, judged record by record.
#include "taskd/sim/simulation.hpp"

#include <fmt/format.h>

#include <limits>

#include "client.hpp"
#include "command.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/model/task_state.hpp"

namespace taskd::roles {
namespace {

constexpr std::uint64_t told_every = 5'000'000;  // steps

std::string write_tally(const sim::Tally& tally) {
    std::string out = write_table({{"steps", fmt::format("{}", tally.steps)},
                                   {"stories", fmt::format("{}", tally.stories)},
                                   {"starts of the dispatcher", fmt::format("{}", tally.lives)},
                                   {"records", fmt::format("{}", tally.records)},
                                   {"events", fmt::format("{}", tally.published)},
                                   {"deliveries", fmt::format("{}", tally.acknowledged)}});
    TableRows rows{{"ROW", "HITS"}};
    for (std::size_t i = 0; i < tally.rows.size(); ++i) {
        const StateRow& row = state_table()[i];
        rows.push_back({fmt::format("{} + {}", to_text(row.from), to_text(row.event)),
                        fmt::format("{}", tally.rows[i])});
    }
    out += '\n' + write_table(rows);
    rows = {{"COMMAND", "TIMES", "ACCEPTED"}};
    for (const auto& [name, met] : tally.commands)
        rows.push_back({name, fmt::format("{}", met.asked), fmt::format("{}", met.accepted)});
    out += '\n' + write_table(rows);
    rows = {{"FAULT", "TIMES"}};
    for (const auto& [name, count] : tally.faults)
        rows.push_back({name, fmt::format("{}", count)});
    return out + '\n' + write_table(rows);
}

int run(const Options& options) {
    const auto clock = io::make_system_clock();
    const SteadyTime begin = clock->steady();
    const auto a_second = [&](std::uint64_t steps) {
        const auto took = std::chrono::duration<double>(clock->steady() - begin).count();
        return fmt::format("{:.0f} steps a second", static_cast<double>(steps) / took);
    };
    std::uint64_t tell_at = told_every;
    const auto outcome = sim::simulate(
        static_cast<std::uint64_t>(options.number("seed")),
        static_cast<std::uint64_t>(options.number("steps")), [&](const sim::Tally& tally) {
            if (tally.steps < tell_at) return;
            tell_at += told_every;
            fmt::print(stderr, "{} steps, {}\n", tally.steps, a_second(tally.steps));
        });
    std::fputs(write_tally(outcome.tally).c_str(), stdout);
    fmt::print("\n{}\n", a_second(outcome.tally.steps));
    for (const sim::Finding& finding : outcome.findings) {
        for (const std::string& broken : finding.broken)
            fmt::print(stderr, "broken: {}\n", broken);
        fmt::print(stderr, "replay: taskd simulate --seed {} --steps {}\n", finding.seed,
                   finding.steps);
    }
    if (!outcome.findings.empty()) return 1;
    const auto unmet = outcome.tally.unmet();
    for (const std::string& name : unmet)
        fmt::print(stderr, "never met: {}\n", name);
    if (!unmet.empty()) fmt::print(stderr, "nothing was broken, but more steps are needed\n");
    return unmet.empty() ? 0 : 1;
}

}  // namespace

const Command& simulate_command() {
    static const Command command{
        {.name = "simulate",
         .arguments = {},
         .summary = "random lives of the dispatcher, judged at every step",
         .text =
             "Commands and faults by chance (kills, power cuts, clocks, full disks, lost and "
             "late messages) on\nthe engine and its core as they ship, with journal and view in "
             "memory. A step is a command or a\nfault. Exit 0 only when nothing was violated and "
             "every row of the state table and kind of fault\nwas met, and every command accepted.",
         .options = {{.name = "seed",
                      .kind = OptionKind::number,
                      .value = "N",
                      .fallback = "1",
                      .help = "the same seed gives the same lives",
                      .least = 0,
                      .most = std::numeric_limits<std::int64_t>::max() / 2},
                     {.name = "steps",
                      .kind = OptionKind::number,
                      .value = "N",
                      .fallback = "1000000",
                      .help = "how many, in stories of 2000",
                      .least = 1,
                      .most = 1'000'000'000'000}},
         .kind = PageKind::tool,
         .examples = {{"taskd simulate", "a million steps"},
                      {"taskd simulate --seed 7 --steps 2000", "one story again"}}},
        run};
    return command;
}

}  // namespace taskd::roles
