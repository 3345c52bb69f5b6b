// Rules of queues as JSON, as config/openapi.yaml says. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "taskd/base/result.hpp"
#include "taskd/model/queue_rules.hpp"

namespace taskd::protocol {

// The body of a PUT: rules without pauses; what it leaves out has no limit.
Result<QueueRules> parse_queue_rules(std::string_view body);
// What a PUT would take, without the braces, and pauses when there are any.
// The schema of a queue's payloads as rules hold it: null is none.
Result<Blob> parse_schema(std::string_view body);
std::string write_queue_rules(const QueueRules& rules);

// The body of pause, resume and drain; it may be empty.
struct PauseBody {
    std::optional<std::string> key;
    std::string by;
    std::string reason;
};
Result<PauseBody> parse_pause(std::string_view body);

// Whether a worker is held, by whom and why.
std::string write_hold(const WorkerHold& hold);

}  // namespace taskd::protocol
