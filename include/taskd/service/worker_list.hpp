// The list of workers, config/workers.json: which types `taskd up` starts, and how. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"

namespace taskd::service {

struct WorkerEntry {
    std::string type;
    std::string description;
    std::uint32_t concurrency = 1;
    bool enabled = true;

    friend bool operator==(const WorkerEntry&, const WorkerEntry&) = default;
};

// {"workers": [{"type", "description", "concurrency", "enabled"}]}; all but the type may be left
// out. config_invalid names the entry at fault: an unknown field, a type that stands twice or is
// not built in, a concurrency beyond 1 to 10,000.
Result<std::vector<WorkerEntry>> parse_worker_list(std::string_view text);

}  // namespace taskd::service
