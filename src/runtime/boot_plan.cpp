#include "taskd/runtime/boot_plan.hpp"

#include <fmt/format.h>

namespace taskd::runtime {
namespace {

constexpr int width = 36;  // of what stands before the time

double milliseconds(Duration duration) {
    return static_cast<double>(duration.count()) / 1000;
}

void add_line(std::string& out, std::string_view text, Duration took) {
    out += fmt::format("{:<{}} {:>9.3f} ms\n", text, width, milliseconds(took));
}

Duration sum(const std::vector<PlanStep>& steps) {
    Duration total{0};
    for (const PlanStep& step : steps)
        total += step.took;
    return total;
}

void add_phase(std::string& out, std::string_view name, const std::vector<PlanStep>& steps) {
    if (steps.empty()) return;
    add_line(out, name, sum(steps));
    for (const PlanStep& step : steps)
        add_line(out, "  " + step.name, step.took);
}

}  // namespace

std::string to_text(const BootPlan& plan) {
    std::string out;
    add_phase(out, "infrastructure", plan.infrastructure);
    add_line(out, "load", plan.load_time);
    for (const ComponentInfo& component : plan.components) {
        std::string text = fmt::format("  {} {}", component.level, component.name);
        for (std::size_t i = 0; i < component.needs.size(); ++i)
            text += (i == 0 ? " < " : ", ") + component.needs[i];
        add_line(out, text, component.load_time);
    }
    add_phase(out, "activation", plan.activation);
    add_phase(out, "entries", plan.entries);
    add_line(out, "all",
             sum(plan.infrastructure) + plan.load_time + sum(plan.activation) + sum(plan.entries));
    return out;
}

}  // namespace taskd::runtime
