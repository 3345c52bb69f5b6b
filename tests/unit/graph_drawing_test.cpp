// Pictures of workflows: whole, valid, and safe from what names say.
#include "taskd/protocol/graph_drawing.hpp"

#include <catch.hpp>
#include <cmath>
#include <set>

#include "protocol/graph/layout.hpp"
#include "taskd/base/random.hpp"
#include "taskd/io/workflow_text.hpp"

using namespace taskd;
using Catch::Matchers::Contains;
using namespace taskd::protocol;

namespace {

// Whether elements are closed in their order and entities are XML's own; enough for what we write.
bool is_xml(std::string_view text) {
    std::vector<std::string> open;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        if (static_cast<unsigned char>(c) < 0x20 && c != '\n') return false;
        if (c == '>') return false;
        if (c == '&') {
            const std::string_view rest = text.substr(at);
            if (!rest.starts_with("&amp;") && !rest.starts_with("&lt;") &&
                !rest.starts_with("&gt;") && !rest.starts_with("&quot;"))
                return false;
        }
        if (c != '<') continue;
        const std::size_t end = text.find('>', at);
        if (end == std::string_view::npos) return false;
        const std::string_view tag = text.substr(at + 1, end - at - 1);
        if (std::ranges::count(tag, '"') % 2 != 0 || tag.find('<') != std::string_view::npos)
            return false;
        if (tag.starts_with('/')) {
            if (open.empty() || open.back() != tag.substr(1)) return false;
            open.pop_back();
        } else if (!tag.ends_with('/')) {
            open.emplace_back(tag.substr(0, tag.find_first_of(" \n")));
        }
        at = end;
    }
    return open.empty();
}

Graph small() {
    return {.title = "small",
            .steps = {{"load", "task", "succeeded", "fetch", {}},
                      {"left", "task", "active", "3 of 10", {{0, OnFailure::fail, false}}},
                      {"right", "sleep", "pending", "1h", {{0, OnFailure::skip, false}}},
                      {"undo", "task", "", "", {{1, OnFailure::fail, true}}},
                      {"end",
                       "join",
                       "pending",
                       "",
                       {{1, OnFailure::go_on, false}, {0, OnFailure::fail, false}}}}};
}

Graph random_graph(Random& random, std::size_t steps) {
    Graph graph{.title = "random", .steps = {}};
    for (std::uint32_t i = 0; i < steps; ++i) {
        GraphStep step{"step" + std::to_string(i), "task", "ready", "", {}};
        std::set<std::uint32_t> from;
        for (auto edges = i == 0 ? 0 : random.below(4); edges > 0; --edges)
            from.insert(static_cast<std::uint32_t>(random.below(i)));
        for (const std::uint32_t each : from)
            step.after.push_back({each, OnFailure::fail, false});
        graph.steps.push_back(std::move(step));
    }
    return graph;
}

}  // namespace

TEST_CASE("a picture shows every step, its state and its edges", "[graph]") {
    const std::string svg = write_svg(small()).value();
    CHECK(is_xml(svg));
    for (const char* text : {">load</text>", ">left</text>", ">task, 3 of 10, active</text>",
                             ">sleep, 1h, pending</text>", ">undo</text>", "load → end: fail",
                             "left → end: go_on", "left → undo: on failure", "load → right: skip"})
        CHECK_THAT(svg, Contains(text));
    const std::string dot = write_dot(small()).value();
    CHECK_THAT(dot, Contains("digraph \"small\" {"));
    CHECK_THAT(dot, Contains("s1 [label=\"left\\ntask, 3 of 10, active\", fillcolor=\"#9cc8ff\""));
    CHECK_THAT(dot, Contains("s0 -> s1;"));
    CHECK_THAT(dot, Contains("s1 -> s4 [style=dashed, label=\"go_on\"];"));
    CHECK_THAT(dot, Contains("s1 -> s3 [style=dashed, label=\"on failure\"];"));
}

TEST_CASE("states differ in colour and in words", "[graph]") {
    std::set<std::string> seen;
    for (const char* state :
         {"pending", "ready", "active", "succeeded", "failed", "skipped", "cancelled", "new one"}) {
        const Graph graph{.title = "", .steps = {{"a", "task", state, "", {}}}};
        const std::string svg = write_svg(graph).value();
        CHECK_THAT(svg, Contains(state));
        const std::size_t fill = svg.find("rx=\"6\"");
        CHECK(seen.insert(svg.substr(fill, 30)).second);
    }
}

TEST_CASE("hostile names stay text", "[graph]") {
    const std::string name = "</text><script>alert(\"&'\\\n\x01\x7f]]>ü";
    Graph graph{.title = name,
                .steps = {{name, name, name, name, {}}, {"b", "", "", "", {{0, {}, {}}}}}};
    const std::string svg = write_svg(graph).value();
    INFO(svg);
    CHECK(is_xml(svg));
    CHECK(svg.find("<script") == std::string::npos);
    const std::string dot = write_dot(graph).value();
    // Every quote but those around texts is behind a backslash.
    std::size_t quotes = 0;
    for (std::size_t i = 0; i < dot.size(); ++i) {
        if (dot[i] == '\\')
            ++i;
        else if (dot[i] == '"')
            ++quotes;
    }
    CHECK(quotes % 2 == 0);
    CHECK(dot.find("alert(\"") == std::string::npos);
    graph.steps[0].name = std::string(128, 'n');
    CHECK_THAT(write_svg(graph).value(), Contains(">" + std::string(31, 'n') + "…</text>"));
}

TEST_CASE("steps stand below what they wait for, and none on another", "[graph]") {
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
        INFO("seed " << seed);
        Random random{seed};
        const Graph graph = random_graph(random, 1 + random.below(80));
        const auto layout = graph::make_layout(graph, std::vector<double>(graph.steps.size(), 100));
        for (const auto& line : layout.lines) {
            const auto& from = layout.boxes[line.edge.from];
            const auto& to = layout.boxes[line.step];
            REQUIRE(from.centre.y < to.centre.y);
            REQUIRE(line.points.front().y == from.centre.y + from.height / 2);
            REQUIRE(line.points.back().y == to.centre.y - to.height / 2);
            REQUIRE(line.points.back().x == to.centre.x);
        }
        for (std::size_t i = 0; i < layout.boxes.size(); ++i) {
            const auto& box = layout.boxes[i];
            REQUIRE(box.centre.x - box.width / 2 >= 0);
            REQUIRE(box.centre.x + box.width / 2 <= layout.width);
            REQUIRE(box.centre.y + box.height / 2 <= layout.height);
            for (std::size_t j = 0; j < i; ++j)
                if (layout.boxes[j].centre.y == box.centre.y)
                    REQUIRE(std::abs(layout.boxes[j].centre.x - box.centre.x) >= 100);
        }
        REQUIRE(is_xml(write_svg(graph).value()));
    }
}

TEST_CASE("a picture of too much is refused", "[graph]") {
    Random random{1};
    CHECK(write_svg(random_graph(random, limits::graph_steps_max)));
    const Graph more = random_graph(random, limits::graph_steps_max + 1);
    CHECK(write_svg(more).error().code == ErrorCode::too_many_steps);
    CHECK(write_dot(more).error().code == ErrorCode::too_many_steps);
    Graph dense{.title = "", .steps = std::vector<GraphStep>(300)};
    for (std::uint32_t i = 0; i < 300; ++i)
        for (std::uint32_t from = 0; from < i; ++from)
            dense.steps[i].after.push_back({from, OnFailure::fail, false});
    CHECK(write_svg(dense).error().code == ErrorCode::too_many_steps);
    dense.steps.resize(190);
    CHECK(is_xml(write_svg(dense).value()));
}

TEST_CASE("a plan becomes a picture", "[graph]") {
    const auto document = io::read_workflow_text(
        "name: p\nsteps:\n"
        "  - {name: a, type: sum, for_each: [1], payload: 1, on_failure: {run: undo}}\n"
        "  - {name: undo, type: sum}\n"
        "  - {name: b, sleep: 90s, after: {step: a, on_failure: go_on}}\n"
        "  - {name: c, workflow: {steps: [{type: sum}]}, after: b}\n",
        {});
    REQUIRE(document);
    const Graph graph = graph_of(*document->plan);
    CHECK(graph.title == "p");
    REQUIRE(graph.steps.size() == 4);
    CHECK(graph.steps[0] == GraphStep{"a", "task", "", "sum, each", {}});
    CHECK(graph.steps[1] == GraphStep{"undo", "task", "", "sum", {{0, OnFailure::fail, true}}});
    CHECK(graph.steps[2] == GraphStep{"b", "sleep", "", "1m30s", {{0, OnFailure::go_on, false}}});
    CHECK(graph.steps[3] ==
          GraphStep{"c", "workflow", "", "1 steps", {{2, OnFailure::fail, false}}});
}
