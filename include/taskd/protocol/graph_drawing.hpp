// Workflows as pictures: graphviz's language for those who have it, SVG for everybody. Pure; a
// drawing of the most steps that are drawn takes a few tens of milliseconds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/model/workflow.hpp"

namespace taskd::protocol {

struct GraphEdge {
    std::uint32_t from = 0;  // a step by its place
    OnFailure on_failure = OnFailure::fail;
    bool compensates = false;  // begins when the other has failed

    friend bool operator==(const GraphEdge&, const GraphEdge&) = default;
};

struct GraphStep {
    std::string name;
    std::string kind;   // "task"
    std::string state;  // "active"; empty: it has none
    std::string label;  // more words, as "3 of 10"; may be empty
    std::vector<GraphEdge> after;

    friend bool operator==(const GraphStep&, const GraphStep&) = default;
};

// Edges make no circle.
struct Graph {
    std::string title;
    std::vector<GraphStep> steps;
};

// A plan that has not begun; a label says the type of a task, the time of a sleep and so on.
Graph graph_of(const WorkflowPlan& plan);
// One with what has come of its steps.
Graph graph_of(const WholeWorkflow& whole);

// Both: too_many_steps beyond limits::graph_steps_max, and twenty times as many edges.
Result<std::string> write_dot(const Graph& graph);
Result<std::string> write_svg(const Graph& graph);

}  // namespace taskd::protocol
