#include "taskd/runtime/process_ids.hpp"

namespace taskd::runtime {

std::string to_text(const ProcessId& id) {
    return "{" + id.node + "@" + id.host + "|" + std::to_string(id.number) + "}";
}

}  // namespace taskd::runtime
