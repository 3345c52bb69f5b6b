// Random lives of the dispatcher's core, judged record by record. The same seed gives the same
// life.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace taskd::sim {

// What was met, over all stories.
struct Tally {
    struct Met {
        std::uint64_t asked = 0;
        std::uint64_t accepted = 0;  // not refused, and something came of it
    };

    std::uint64_t steps = 0;  // commands and faults
    std::uint64_t stories = 0;
    std::uint64_t lives = 0;  // starts of the dispatcher
    std::uint64_t records = 0;
    std::uint64_t published = 0;     // events
    std::uint64_t acknowledged = 0;  // deliveries
    std::map<std::string, Met> commands;
    std::map<std::string, std::uint64_t> faults;
    std::vector<std::uint64_t> rows;  // of state_table()

    void add(const Tally& other);
    // Rows and faults that never came up, and commands that were never accepted.
    std::vector<std::string> unmet() const;
};

// What was broken, by the name of the invariant, and the shortest way to see it again.
struct Finding {
    std::uint64_t seed = 0;
    std::uint64_t steps = 0;
    std::vector<std::string> broken;
};

inline constexpr std::uint64_t story_steps = 2'000;

struct Outcome {
    Tally tally;
    std::vector<Finding> findings;  // at most one: it ends there
};

// Stories of story_steps each with seeds from `seed` on. `told` hears of the tally after each.
Outcome simulate(std::uint64_t seed, std::uint64_t steps,
                 const std::function<void(const Tally&)>& told);

}  // namespace taskd::sim
