#include "workflow_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace taskd::roles {
namespace {

constexpr std::size_t rows_drawn_max = 30;

std::string error_text(const JsonView& error) {
    if (error.empty()) return {};
    const std::string message = error["message"].text();
    return error["code"].text() + (message.empty() ? "" : ": " + message);
}

// "4/10": steps that have come to an end, of all.
std::string done_text(const JsonView& workflow) {
    std::uint64_t done = 0;
    for (const char* name : {"succeeded", "failed", "skipped", "cancelled"})
        done += workflow[name].number().value_or(0);
    return fmt::format("{}/{}", done, workflow["steps_total"].text());
}

// How far a step is: its items, what it runs, or until when it waits.
std::string progress_text(const JsonView& step) {
    if (step["items"].number().value_or(0) > 0) {
        std::string out = fmt::format("{}/{} items", step["items_ended"].number().value_or(0),
                                      step["items"].text());
        if (const auto failed = step["items_failed"].number().value_or(0); failed > 0)
            out += fmt::format(", {} failed", failed);
        return out;
    }
    for (const char* name : {"task", "workflow"})
        if (!step[name].empty()) return step[name].text();
    return step["until"].empty() ? "" : "until " + step["until"].text();
}

// Of a large workflow those that tell most.
int interest(const JsonView& step) {
    constexpr std::array<std::string_view, 7> order{"failed",    "active",    "ready",  "pending",
                                                    "cancelled", "succeeded", "skipped"};
    return static_cast<int>(std::ranges::find(order, step["state"].text()) - order.begin());
}

// No step's name moves a terminal's cursor.
std::string printable(std::string text) {
    for (char& c : text)
        if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
    return text;
}

}  // namespace

bool has_ended(const JsonView& workflow) {
    const std::string state = workflow["state"].text();
    return state == "succeeded" || state == "failed" || state == "cancelled";
}

std::string write_workflows(const std::vector<JsonView>& workflows) {
    TableRows rows{{"ID", "STATE", "STEPS", "FAILED", "MADE", "ENDED", "NAME"}};
    for (const JsonView& each : workflows)
        rows.push_back({each["id"].text(), each["state"].text(), done_text(each),
                        each["failed"].text(), each["made_at"].text(), each["ended_at"].text(),
                        printable(each["name"].text())});
    return write_table(rows);
}

std::string write_steps(const std::vector<JsonView>& steps) {
    TableRows rows{{"STEP", "KIND", "STATE", "PROGRESS", "BEGAN", "ENDED", "ERROR"}};
    for (const JsonView& step : steps)
        rows.push_back({printable(step["name"].text()), step["kind"].text(), step["state"].text(),
                        printable(progress_text(step)), step["began_at"].text(),
                        step["ended_at"].text(), printable(error_text(step["error"]))});
    return write_table(rows);
}

std::string write_workflow(const JsonView& workflow, bool steps) {
    TableRows rows;
    for (const char* name : {"id", "name", "state", "made_at", "ended_at"})
        if (!workflow[name].empty()) rows.push_back({name, printable(workflow[name].text())});
    rows.push_back({"steps", done_text(workflow)});
    for (const char* name : {"active", "failed", "skipped", "cancelled"})
        if (workflow[name].number().value_or(0) > 0) rows.push_back({name, workflow[name].text()});
    for (const char* name : {"inputs", "output"})
        if (!workflow[name].empty()) rows.push_back({name, std::string{workflow[name].raw()}});
    if (!workflow["error"].empty())
        rows.push_back({"error", printable(error_text(workflow["error"]))});
    std::string out = write_table(rows);
    if (steps) out += "\n" + write_steps(workflow["steps"].items());
    return out;
}

std::string write_waits(const JsonView& explanation, const std::string& step) {
    TableRows rows{{"STEP", "RULE", "WAITS FOR", "RELEASED BY", "UNTIL"}};
    for (const JsonView& each : explanation["waits_for"].items())
        if (step.empty() || each["step"].text() == step)
            rows.push_back({printable(each["step"].text()), each["rule"].text(),
                            printable(each["text"].text()), printable(each["release"].text()),
                            each["until"].text()});
    if (rows.size() > 1) return write_table(rows);
    if (!step.empty()) return fmt::format("{} waits for nothing\n", step);
    return fmt::format("the workflow is {} and waits for nothing\n", explanation["state"].text());
}

std::string WorkflowWatch::redrawn(const JsonView& workflow) {
    auto steps = workflow["steps"].items();
    const std::size_t all = steps.size();
    if (all > rows_drawn_max) {
        std::ranges::stable_sort(steps, {}, interest);
        steps.resize(rows_drawn_max);
    }
    std::string table = fmt::format("{}  {}  {}\n", workflow["id"].text(), workflow["state"].text(),
                                    done_text(workflow));
    table += write_steps(steps);
    if (all > rows_drawn_max) table += fmt::format("and {} more\n", all - rows_drawn_max);
    // Back to the first line, each cleared to its end, and what is left below.
    std::string out;
    if (lines_drawn_ > 0) out = fmt::format("\x1b[{}A", lines_drawn_);
    lines_drawn_ = 0;
    for (const char c : table) {
        if (c == '\n') {
            out += "\x1b[K";
            ++lines_drawn_;
        }
        out += c;
    }
    return out + "\x1b[J";
}

std::string WorkflowWatch::next(const JsonView& workflow) {
    if (on_terminal_) return redrawn(workflow);
    std::string out;
    for (const JsonView& step : workflow["steps"].items()) {
        const std::string name = step["name"].text(), state = step["state"].text();
        std::string& before = states_[name];
        if (before == state || (before.empty() && state == "pending")) continue;
        before = state;
        const std::string error = error_text(step["error"]);
        out += fmt::format("{} is {}{}\n", printable(name), state,
                           error.empty() ? "" : ": " + printable(error));
    }
    return out;
}

}  // namespace taskd::roles
