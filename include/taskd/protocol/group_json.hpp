// Groups as JSON, as config/openapi.yaml says. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "taskd/model/group.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::protocol {

// The body of a POST; ids that it does not bring are made.
struct NewGroup {
    Group group;
    bool open = false;
    std::vector<TaskSpec> tasks;  // each a member
};
std::expected<NewGroup, BodyError> parse_group(std::string_view body,
                                               const std::function<TaskId()>& make_id);
void write_group(std::string& out, const Group& group);

}  // namespace taskd::protocol
