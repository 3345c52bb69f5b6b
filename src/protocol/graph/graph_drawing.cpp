#include "taskd/protocol/graph_drawing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "protocol/graph/layout.hpp"
#include "taskd/base/duration_text.hpp"

namespace taskd::protocol {
namespace {

constexpr std::size_t edges_max = 20 * limits::graph_steps_max;
constexpr std::size_t characters_max = 32;  // of a text in a box
constexpr double character_width = 7;
constexpr double box_width_least = 96;

struct Look {
    std::string_view state;
    std::string_view fill;
    std::string_view stroke;
};
constexpr std::array<Look, 8> looks{{{"", "#ffffff", "#444444"},
                                     {"pending", "#eeeeee", "#888888"},
                                     {"ready", "#dcecff", "#3070b0"},
                                     {"active", "#9cc8ff", "#1c5ca0"},
                                     {"succeeded", "#c4ecc4", "#2c7c2c"},
                                     {"failed", "#ffc0b8", "#b02418"},
                                     {"skipped", "#f6f6f6", "#aaaaaa"},
                                     {"cancelled", "#ffe0b0", "#b07010"}}};

const Look& look_of(std::string_view state) {
    const auto found = std::ranges::find(looks, state, &Look::state);
    return found == looks.end() ? looks.front() : *found;
}

Result<void> check(const Graph& graph) {
    if (graph.steps.size() > limits::graph_steps_max)
        return fail(
            ErrorCode::too_many_steps,
            fmt::format("{} of {} that are drawn", graph.steps.size(), limits::graph_steps_max));
    std::size_t edges = 0;
    for (const GraphStep& step : graph.steps)
        edges += step.after.size();
    if (edges <= edges_max) return {};
    return fail(ErrorCode::too_many_steps,
                fmt::format("{} edges of {} that are drawn", edges, edges_max));
}

// Kind, state and what else there is to say: the second line of a box.
std::string words_of(const GraphStep& step) {
    std::string out = step.kind;
    for (const std::string* more : {&step.label, &step.state})
        if (!more->empty()) out += ", " + *more;
    return out;
}

std::size_t characters(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

// As much as a box has room for.
std::string shortened(const std::string& text) {
    if (characters(text) <= characters_max) return text;
    std::size_t at = 0, seen = 0;
    for (; at < text.size(); ++at)
        if ((static_cast<unsigned char>(text[at]) & 0xc0U) != 0x80U && ++seen == characters_max)
            break;
    return text.substr(0, at) + "…";
}

std::string quoted(std::string_view text) {
    std::string out{"\""};
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        if (static_cast<unsigned char>(c) >= 0x20)
            out += c;
        else
            out += ' ';
    }
    return out + '"';
}

std::string xml(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            default:
                // What XML has no place for at all.
                out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
        }
    }
    return out;
}

std::string_view dashes_of(const GraphEdge& edge) {
    if (edge.compensates) return "2 3";
    if (edge.on_failure == OnFailure::go_on) return "8 4";
    return edge.on_failure == OnFailure::skip ? "4 4" : "";
}

std::string_view text_of(const GraphEdge& edge) {
    return edge.compensates ? "on failure" : to_text(edge.on_failure);
}

void put_line(std::string& out, const graph::Line& line, const Graph& graph) {
    const auto& points = line.points;
    out += fmt::format(R"(<path d="M{:.1f},{:.1f})", points[0].x, points[0].y);
    for (std::size_t i = 1; i < points.size(); ++i) {
        const double middle = (points[i - 1].y + points[i].y) / 2;
        out += fmt::format("C{:.1f},{:.1f} {:.1f},{:.1f} {:.1f},{:.1f}", points[i - 1].x, middle,
                           points[i].x, middle, points[i].x, points[i].y);
    }
    out += '"';
    if (const auto dashes = dashes_of(line.edge); !dashes.empty())
        out += fmt::format(R"( stroke-dasharray="{}")", dashes);
    out += fmt::format(" marker-end=\"url(#arrow)\"><title>{} → {}: {}</title></path>\n",
                       xml(graph.steps[line.edge.from].name), xml(graph.steps[line.step].name),
                       text_of(line.edge));
}

void put_box(std::string& out, const graph::Box& box, const GraphStep& step) {
    const Look& look = look_of(step.state);
    const std::string words = words_of(step);
    out += fmt::format(
        "<g><title>{}: {}</title><rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
        "height=\"{:.1f}\" rx=\"6\" fill=\"{}\" stroke=\"{}\"{}/>"
        "<text x=\"{:.1f}\" y=\"{:.1f}\" font-weight=\"bold\">{}</text>"
        "<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text></g>\n",
        xml(step.name), xml(words), box.centre.x - box.width / 2, box.centre.y - box.height / 2,
        box.width, box.height, look.fill, look.stroke,
        step.state == "skipped" ? " stroke-dasharray=\"4 3\"" : "", box.centre.x, box.centre.y - 4,
        xml(shortened(step.name)), box.centre.x, box.centre.y + 13, xml(shortened(words)));
}

std::string label_of(const StepPlan& step) {
    switch (step.kind) {
        case StepKind::task:
            return step.for_each.empty() ? step.task.type : step.task.type + ", each";
        case StepKind::sleep:
            return to_text(step.wait);
        case StepKind::signal:
        case StepKind::event:
            return step.awaits;
        case StepKind::workflow:
            return fmt::format("{} steps", step.child->steps.size());
        case StepKind::approval:
        case StepKind::join:
            break;
    }
    return {};
}

}  // namespace

Graph graph_of(const WorkflowPlan& plan) {
    Graph graph{.title = plan.name, .steps = {}};
    graph.steps.resize(plan.steps.size());
    for (std::uint32_t i = 0; i < plan.steps.size(); ++i) {
        const StepPlan& from = plan.steps[i];
        GraphStep& to = graph.steps[i];
        to.name = from.name;
        to.kind = to_text(from.kind);
        to.label = label_of(from);
        for (const StepEdge& edge : from.after)
            to.after.push_back({edge.from, edge.on_failure, false});
        if (from.compensated_by)
            graph.steps[*from.compensated_by].after.push_back({i, OnFailure::fail, true});
    }
    return graph;
}

Graph graph_of(const WholeWorkflow& whole) {
    Graph graph = graph_of(*whole.plan);
    for (std::size_t i = 0; i < graph.steps.size(); ++i) {
        const Step& step = whole.steps[i];
        graph.steps[i].state = to_text(step.state);
        if (step.items.empty()) continue;
        const auto left = static_cast<std::size_t>(std::ranges::count_if(
            step.items, [](ItemState each) { return each < ItemState::succeeded; }));
        graph.steps[i].label = fmt::format("{} of {}", step.items.size() - left, step.items.size());
    }
    return graph;
}

Result<std::string> write_dot(const Graph& graph) {
    if (auto checked = check(graph); !checked) return fail(std::move(checked));
    std::string out = "digraph " + quoted(graph.title) + " {\n";
    out += "  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n";
    for (std::size_t i = 0; i < graph.steps.size(); ++i) {
        const GraphStep& step = graph.steps[i];
        const Look& look = look_of(step.state);
        const std::string name = quoted(step.name), words = quoted(words_of(step));
        // The line break is dot's own.
        out += fmt::format("  s{} [label={}\\n{}, fillcolor=\"{}\", color=\"{}\"];\n", i,
                           std::string_view{name}.substr(0, name.size() - 1),
                           std::string_view{words}.substr(1), look.fill, look.stroke);
    }
    for (std::size_t i = 0; i < graph.steps.size(); ++i)
        for (const GraphEdge& edge : graph.steps[i].after) {
            out += fmt::format("  s{} -> s{}", edge.from, i);
            if (!dashes_of(edge).empty())
                out += fmt::format(" [style=dashed, label=\"{}\"]", text_of(edge));
            out += ";\n";
        }
    return out + "}\n";
}

Result<std::string> write_svg(const Graph& graph) {
    if (auto checked = check(graph); !checked) return fail(std::move(checked));
    std::vector<double> widths;
    for (const GraphStep& step : graph.steps) {
        const std::size_t longest =
            std::max(characters(shortened(step.name)), characters(shortened(words_of(step))));
        widths.push_back(
            std::max(box_width_least, character_width * static_cast<double>(longest) + 20));
    }
    const graph::Layout layout = graph::make_layout(graph, widths);
    std::string out = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
        "viewBox=\"0 0 {0:.0f} {1:.0f}\" font-family=\"sans-serif\" font-size=\"12\" "
        "text-anchor=\"middle\" role=\"img\">\n<title>{2}</title>\n"
        "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" "
        "markerHeight=\"8\" orient=\"auto\"><path d=\"M0,0L8,4L0,8z\"/></marker></defs>\n"
        "<g fill=\"none\" stroke=\"#555555\">\n",
        layout.width, layout.height, xml(graph.title));
    for (const graph::Line& line : layout.lines)
        put_line(out, line, graph);
    out += "</g>\n";
    for (std::size_t i = 0; i < graph.steps.size(); ++i)
        put_box(out, layout.boxes[i], graph.steps[i]);
    return out + "</svg>\n";
}

}  // namespace taskd::protocol
