// W3C trace context: which trace a request belongs to. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "taskd/base/ids.hpp"
#include "taskd/base/random.hpp"

namespace taskd::protocol {

inline constexpr std::size_t traceparent_bytes = 55;  // 00-TRACE-PARENT-FLAGS; more is unread

// The trace id of a traceparent header, 32 hex digits; none when the header is not valid.
std::optional<std::string> parse_trace_id(std::string_view traceparent);

// A new one; not for secrets.
std::string make_trace_id(Random& random);

// A traceparent header for one lease of a task: the trace is the task's id, so that all attempts
// are of one trace, and the parent is the lease's epoch.
std::string traceparent_of(const TaskId& task, LeaseEpoch epoch);

}  // namespace taskd::protocol
