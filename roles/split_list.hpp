// Lists in one value of an option.
#pragma once

#include <string>
#include <vector>

namespace taskd::roles {

// "a,b" is {"a", "b"}; nothing is no element.
std::vector<std::string> split_list(const std::string& text);

}  // namespace taskd::roles
