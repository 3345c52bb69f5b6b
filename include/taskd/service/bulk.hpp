// Many tasks from one file: read, submitted in batches, and their ends told in the order given.
// Blocks, as the client does.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/service/task_client.hpp"

namespace taskd::service {

// One JSON value a line, or one array. Each is a task as the API takes it; with `defaults.type`
// each is the payload of such a task, and the other defaults hold. An error names the line or the
// place in the array, from 1.
Result<std::vector<TaskSpec>> parse_bulk(std::string_view text, const TaskSpec& defaults,
                                         const std::function<TaskId()>& make_id);

struct BulkSettings {
    Duration wait{0};     // for all of them together; 0: only until they are durable
    bool detach = false;  // tells each as soon as it is durable
    std::size_t batch_tasks_max = 1'000;
    std::size_t batch_bytes_max = 4 * limits::mebibyte;
};

struct BulkCounts {
    std::size_t all = 0;
    std::size_t submitted = 0;
    std::size_t succeeded = 0;
    std::size_t failed = 0;
};

struct BulkPorts {
    // Each task once, in the order given.
    std::function<void(const TaskOutcome&)> tell;
    std::function<void(const BulkCounts&)> progress;
    const port::Clock& clock;
};

// timed_out when some have not ended after `wait`; they stay submitted.
Result<BulkCounts> submit_bulk(TaskClient& client, const std::vector<TaskSpec>& tasks,
                               const BulkSettings& settings, const BulkPorts& ports);

}  // namespace taskd::service
