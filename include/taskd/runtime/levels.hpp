// The order in which parts that need each other are made: level by level, each as early as what it
// needs allows. Names come from people (files) or from code; either way a fault names the path.
// Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "taskd/base/result.hpp"

namespace taskd::runtime {

struct Node {
    std::string name;
    std::vector<std::string> needs;  // names; one that stands twice counts once
    std::size_t least = 0;           // its level, unless what it needs puts it higher
};

// The level of each: one more than the deepest it needs, and at least its own `least`.
// dependency_missing ("a needs b, which is not there"), dependency_cycle ("a > b > a"), both the
// first in the order given. Names are distinct.
Result<std::vector<std::size_t>> levels_of(const std::vector<Node>& nodes);

// The way down from a node, by the highest that each needs, to one that needs nothing: "door >
// store > dispatcher".
std::string path_to(const std::vector<Node>& nodes, const std::vector<std::size_t>& levels,
                    std::size_t node);

}  // namespace taskd::runtime
