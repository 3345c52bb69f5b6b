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
};

// The level of each, 0 for those that need nothing. dependency_missing ("a needs b, which is not
// there"), dependency_cycle ("a > b > a"), both the first in the order given. Names are distinct.
Result<std::vector<std::size_t>> levels_of(const std::vector<Node>& nodes);

// The longest way down from a node to one that needs nothing: "door > store > dispatcher".
std::string path_to(const std::vector<Node>& nodes, const std::vector<std::size_t>& levels,
                    std::size_t node);

}  // namespace taskd::runtime
