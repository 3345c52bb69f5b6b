// What a boot does, phase by phase, and how long each step took; `taskd ROLE --boot-plan` prints
// it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/time.hpp"

namespace taskd::runtime {

struct PlanStep {
    std::string name;
    Duration took{0};
};

struct ComponentInfo {
    std::string name;
    std::size_t level = 0;  // above all that it needs
    std::vector<std::string> needs;
    Duration load_time{0};
};

struct BootPlan {
    std::vector<PlanStep> infrastructure;
    std::vector<ComponentInfo> components;  // in the order of loading
    Duration load_time{0};  // of all: less than their sum where some load beside others
    std::vector<PlanStep> activation;
    std::vector<PlanStep> entries;
};

// One line a phase and a step, times in milliseconds.
std::string to_text(const BootPlan& plan);

}  // namespace taskd::runtime
