#include "taskd/sim/simulation.hpp"

#include <algorithm>

#include "sim/story.hpp"
#include "taskd/model/task_state.hpp"

namespace taskd::sim {
namespace {

// What every run of some length must have met; counted anew as it comes up.
constexpr const char* all_commands[] = {
    "answer step",
    "ask for deliveries",
    "backfill schedule",
    "cancel",
    "cancel workflow",
    "change queue",
    "change worker",
    "close group",
    "complete",
    "confirm revoked",
    "delete workflow",
    "drop dead letters",
    "drop tasks",
    "edit payload",
    "end deliveries",
    "fail",
    "fire schedule by hand",
    "make group",
    "pause schedule",
    "publish",
    "redrive",
    "redrive dead letters",
    "release",
    "remove group",
    "remove schedule",
    "remove topic",
    "renew",
    "renew deliveries",
    "report",
    "retry workflow",
    "set group",
    "set priority",
    "set schedule",
    "set topic",
    "signal",
    "start operation",
    "start workflow",
    "start workflow again",
    "step operation",
    "stop operation",
    "submit",
    "worker gone",
    "worker up",
};
constexpr const char* all_faults[] = {
    "answer lost, submitted again",
    "answer lost, workflow begun again",
    "clock set ahead",
    "clock set back",
    "delivery lost on its way",
    "died between sync and answer",
    "died while syncing",
    "died while the view was read or stored",
    "disk slow",
    "dispatcher killed",
    "dispatcher stalled",
    "journal full",
    "lease lost on its way",
    "nothing happens for seconds",
    "power cut",
    "result doubled",
    "result of an old lease",
    "revocation lost on its way",
    "view full",
    "worker killed",
};

void merge(std::map<std::string, std::uint64_t>& into,
           const std::map<std::string, std::uint64_t>& from) {
    for (const auto& [name, count] : from)
        into[name] += count;
}

}  // namespace

void Tally::add(const Tally& other) {
    steps += other.steps;
    stories += other.stories;
    lives += other.lives;
    records += other.records;
    published += other.published;
    acknowledged += other.acknowledged;
    for (const auto& [name, met] : other.commands) {
        commands[name].asked += met.asked;
        commands[name].accepted += met.accepted;
    }
    merge(faults, other.faults);
    rows.resize(std::max(rows.size(), other.rows.size()));
    for (std::size_t i = 0; i < other.rows.size(); ++i)
        rows[i] += other.rows[i];
}

std::vector<std::string> Tally::unmet() const {
    std::vector<std::string> names;
    for (const char* name : all_commands)
        if (!commands.contains(name) || commands.at(name).accepted == 0) names.emplace_back(name);
    if (published == 0) names.emplace_back("an event that is published");
    if (acknowledged == 0) names.emplace_back("a delivery that is acknowledged");
    for (const char* name : all_faults)
        if (!faults.contains(name)) names.emplace_back(name);
    for (std::size_t i = 0; i < state_table().size(); ++i) {
        const StateRow& row = state_table()[i];
        if (i >= rows.size() || rows[i] == 0)
            names.push_back(std::string{to_text(row.from)} + " + " +
                            std::string{to_text(row.event)});
    }
    return names;
}

Outcome simulate(std::uint64_t seed, std::uint64_t steps,
                 const std::function<void(const Tally&)>& told) {
    Outcome outcome;
    for (std::uint64_t left = steps; left > 0; ++seed) {
        const std::uint64_t length = std::min(left, story_steps);
        left -= length;
        Tally tally;
        {
            Story story{seed, tally};
            story.live(length);
            story.settle();
            tally.stories = 1;
            tally.records = story.judge().records();
            tally.published = story.judge().topics().published();
            tally.acknowledged = story.judge().topics().acknowledged();
            if (!story.broken().empty()) outcome.findings.push_back({seed, length, story.broken()});
        }
        outcome.tally.add(tally);
        if (told) told(outcome.tally);
        if (!outcome.findings.empty()) break;
    }
    return outcome;
}

}  // namespace taskd::sim
