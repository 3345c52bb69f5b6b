// Where steps and edges are drawn: layers from top to bottom, each step below all it waits for.
// Pure.
#pragma once

#include <vector>

#include "taskd/protocol/graph_drawing.hpp"

namespace taskd::protocol::graph {

struct Point {
    double x = 0;
    double y = 0;
};

struct Box {
    Point centre;
    double width = 0;
    double height = 0;
};

struct Line {
    std::uint32_t step = 0;  // it ends there
    GraphEdge edge;
    std::vector<Point> points;  // from the bottom of one box to the top of another
};

struct Layout {
    double width = 0;
    double height = 0;
    std::vector<Box> boxes;  // of the steps
    std::vector<Line> lines;
};

// `widths` of the boxes.
Layout make_layout(const Graph& graph, const std::vector<double>& widths);

}  // namespace taskd::protocol::graph
