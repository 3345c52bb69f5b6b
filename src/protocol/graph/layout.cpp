#include "protocol/graph/layout.hpp"

#include <algorithm>
#include <numeric>

namespace taskd::protocol::graph {
namespace {

constexpr double box_height = 44;
constexpr double gap_x = 24;
constexpr double gap_y = 48;
constexpr double bend_width = 12;  // room for an edge that passes a layer
constexpr double margin = 24;
constexpr int sweeps = 6;
constexpr std::size_t bends_max = 20'000;  // beyond, long edges are drawn straight

// A step, or the place where an edge passes a layer.
struct Knot {
    std::uint32_t layer = 0;
    double width = 0;
    double x = 0;
    std::vector<std::uint32_t> above;
    std::vector<std::uint32_t> below;
};

class Maker {
  public:
    Maker(const Graph& graph, const std::vector<double>& widths) : graph_{graph} {
        knots_.resize(graph.steps.size());
        for (std::size_t i = 0; i < widths.size(); ++i)
            knots_[i].width = widths[i];
    }

    Layout make() {
        find_layers();
        find_bends();
        fill_layers();
        for (int sweep = 0; sweep < sweeps; ++sweep)
            order(sweep % 2 == 0);
        for (int sweep = 0; sweep < sweeps; ++sweep)
            place(sweep % 2 == 0);
        return finish();
    }

  private:
    // Each step one below the lowest that it waits for.
    void find_layers() {
        const std::size_t count = graph_.steps.size();
        std::vector<std::uint32_t> left(count), ready;
        std::vector<std::vector<std::uint32_t>> behind(count);
        for (std::uint32_t i = 0; i < count; ++i) {
            for (const GraphEdge& edge : graph_.steps[i].after)
                behind[edge.from].push_back(i);
            left[i] = static_cast<std::uint32_t>(graph_.steps[i].after.size());
            if (left[i] == 0) ready.push_back(i);
        }
        for (std::size_t at = 0; at < ready.size(); ++at)
            for (const std::uint32_t next : behind[ready[at]]) {
                knots_[next].layer = std::max(knots_[next].layer, knots_[ready[at]].layer + 1);
                if (--left[next] == 0) ready.push_back(next);
            }
    }

    // Edges that pass layers get a knot in each of them.
    void find_bends() {
        std::size_t bends = 0;
        for (std::uint32_t i = 0; i < graph_.steps.size(); ++i)
            for (const GraphEdge& edge : graph_.steps[i].after)
                bends += knots_[i].layer - knots_[edge.from].layer - 1;
        const bool straight = bends > bends_max;
        for (std::uint32_t i = 0; i < graph_.steps.size(); ++i)
            for (const GraphEdge& edge : graph_.steps[i].after) {
                std::vector<std::uint32_t> way{edge.from};
                for (std::uint32_t layer = knots_[edge.from].layer + 1;
                     layer < knots_[i].layer && !straight; ++layer) {
                    way.push_back(static_cast<std::uint32_t>(knots_.size()));
                    knots_.push_back({.layer = layer, .width = bend_width});
                }
                way.push_back(i);
                for (std::size_t at = 1; at < way.size(); ++at) {
                    knots_[way[at - 1]].below.push_back(way[at]);
                    knots_[way[at]].above.push_back(way[at - 1]);
                }
                ways_.push_back(std::move(way));
            }
    }

    void fill_layers() {
        std::uint32_t last = 0;
        for (const Knot& knot : knots_)
            last = std::max(last, knot.layer);
        layers_.resize(last + 1);
        for (std::uint32_t i = 0; i < knots_.size(); ++i)
            layers_[knots_[i].layer].push_back(i);
        for (auto& layer : layers_)
            number(layer);
    }

    // While knots are put in order, x is their number in the layer.
    void number(const std::vector<std::uint32_t>& layer) {
        for (std::size_t i = 0; i < layer.size(); ++i)
            knots_[layer[i]].x = static_cast<double>(i);
    }

    // The middle of those a knot hangs on; where it is when there are none.
    double middle(const Knot& knot, bool down) const {
        const auto& others = down ? knot.above : knot.below;
        if (others.empty()) return knot.x;
        double sum = 0;
        for (const std::uint32_t other : others)
            sum += knots_[other].x;
        return sum / static_cast<double>(others.size());
    }

    template <class Each>
    void each_layer(bool down, Each&& each) {
        if (down)
            std::for_each(layers_.begin(), layers_.end(), each);
        else
            std::for_each(layers_.rbegin(), layers_.rend(), each);
    }

    void order(bool down) {
        each_layer(down, [&](std::vector<std::uint32_t>& layer) {
            std::vector<std::pair<double, std::uint32_t>> wished;
            for (const std::uint32_t knot : layer)
                wished.emplace_back(middle(knots_[knot], down), knot);
            std::ranges::stable_sort(wished, {}, &std::pair<double, std::uint32_t>::first);
            std::ranges::transform(wished, layer.begin(),
                                   &std::pair<double, std::uint32_t>::second);
            number(layer);
        });
    }

    // Where each wishes to be, as far as its neighbours leave room; the layer as a whole is moved
    // to where its knots wished to be in the mean.
    void place(bool down) {
        each_layer(down, [&](std::vector<std::uint32_t>& layer) {
            double right = 0, off = 0;
            bool first = true;
            for (const std::uint32_t id : layer) {
                Knot& knot = knots_[id];
                const double wish = middle(knot, down);
                const double least = right + gap_x + knot.width / 2;
                knot.x = first ? wish : std::max(wish, least);
                first = false;
                right = knot.x + knot.width / 2;
                off += knot.x - wish;
            }
            for (const std::uint32_t id : layer)
                knots_[id].x -= off / static_cast<double>(layer.size());
        });
    }

    double height_of(std::uint32_t layer) const {
        return margin + box_height / 2 + layer * (box_height + gap_y);
    }

    Layout finish() {
        Layout out;
        double left = 0, right = 0;
        for (const Knot& knot : knots_) {
            left = std::min(left, knot.x - knot.width / 2);
            right = std::max(right, knot.x + knot.width / 2);
        }
        for (Knot& knot : knots_)
            knot.x += margin - left;
        out.width = right - left + 2 * margin;
        out.height = height_of(static_cast<std::uint32_t>(layers_.size())) - gap_y;
        for (std::size_t i = 0; i < graph_.steps.size(); ++i)
            out.boxes.push_back(
                {{knots_[i].x, height_of(knots_[i].layer)}, knots_[i].width, box_height});
        std::size_t way = 0;
        for (std::uint32_t i = 0; i < graph_.steps.size(); ++i)
            for (const GraphEdge& edge : graph_.steps[i].after)
                out.lines.push_back({i, edge, points(ways_[way++])});
        return out;
    }

    std::vector<Point> points(const std::vector<std::uint32_t>& way) const {
        std::vector<Point> out;
        for (std::size_t i = 0; i < way.size(); ++i) {
            const Knot& knot = knots_[way[i]];
            Point point{knot.x, height_of(knot.layer)};
            if (i == 0) point.y += box_height / 2;
            if (i + 1 == way.size()) point.y -= box_height / 2;
            out.push_back(point);
        }
        return out;
    }

    const Graph& graph_;
    std::vector<Knot> knots_;  // those of the steps first
    std::vector<std::vector<std::uint32_t>> ways_;
    std::vector<std::vector<std::uint32_t>> layers_;
};

}  // namespace

Layout make_layout(const Graph& graph, const std::vector<double>& widths) {
    return Maker{graph, widths}.make();
}

}  // namespace taskd::protocol::graph
