#include "taskd/runtime/levels.hpp"

#include <algorithm>
#include <map>
#include <string_view>

namespace taskd::runtime {
namespace {

enum class Mark : unsigned char { fresh, open, done };

// A walk in depth with a stack of its own: files may hold long chains.
class Walk {
  public:
    Walk(const std::vector<Node>& nodes, std::vector<std::size_t>& levels)
        : nodes_{nodes}, levels_{levels}, marks_(nodes.size(), Mark::fresh) {
        for (std::size_t i = 0; i < nodes.size(); ++i)
            numbers_.emplace(nodes[i].name, i);
    }

    Result<void> from(std::size_t start) {
        if (marks_[start] == Mark::done) return {};
        open(start);
        while (!stack_.empty()) {
            Step& step = stack_.back();
            const Node& node = nodes_[step.node];
            if (step.next == node.needs.size()) {
                close();
                continue;
            }
            const std::string& need = node.needs[step.next++];
            const auto found = numbers_.find(need);
            if (found == numbers_.end())
                return fail(ErrorCode::dependency_missing,
                            node.name + " needs " + need + ", which is not there");
            if (marks_[found->second] == Mark::open) return cycle(found->second);
            if (marks_[found->second] == Mark::done)
                raise(step.node, found->second);
            else
                open(found->second);
        }
        return {};
    }

  private:
    struct Step {
        std::size_t node;
        std::size_t next = 0;
    };

    void open(std::size_t node) {
        marks_[node] = Mark::open;
        stack_.push_back({node});
    }
    void close() {
        const std::size_t node = stack_.back().node;
        marks_[node] = Mark::done;
        stack_.pop_back();
        if (!stack_.empty()) raise(stack_.back().node, node);
    }
    void raise(std::size_t node, std::size_t need) {
        levels_[node] = std::max(levels_[node], levels_[need] + 1);
    }
    std::unexpected<Error> cycle(std::size_t at) const {
        std::string path;
        bool inside = false;
        for (const Step& step : stack_) {
            inside = inside || step.node == at;
            if (inside) path += nodes_[step.node].name + " > ";
        }
        return fail(ErrorCode::dependency_cycle, path + nodes_[at].name);
    }

    const std::vector<Node>& nodes_;
    std::vector<std::size_t>& levels_;
    std::vector<Mark> marks_;
    std::vector<Step> stack_;
    std::map<std::string_view, std::size_t> numbers_;
};

}  // namespace

Result<std::vector<std::size_t>> levels_of(const std::vector<Node>& nodes) {
    std::vector<std::size_t> levels;
    for (const Node& node : nodes)
        levels.push_back(node.least);
    Walk walk{nodes, levels};
    for (std::size_t i = 0; i < nodes.size(); ++i)
        if (auto walked = walk.from(i); !walked) return fail(std::move(walked));
    return levels;
}

std::string path_to(const std::vector<Node>& nodes, const std::vector<std::size_t>& levels,
                    std::size_t node) {
    std::string path = nodes[node].name;
    for (;;) {
        const std::vector<std::string>& needs = nodes[node].needs;
        std::size_t highest = nodes.size();
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            if (std::ranges::find(needs, nodes[i].name) == needs.end()) continue;
            if (highest == nodes.size() || levels[i] > levels[highest]) highest = i;
        }
        if (highest == nodes.size()) return path;
        node = highest;
        path = nodes[node].name + " > " + path;
    }
}

}  // namespace taskd::runtime
