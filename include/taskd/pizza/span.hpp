// Traces (W3C trace context) of the platform: which one a request or event belongs to, and what a
// service tells of its part. Pure.
#pragma once

#include <string>
#include <string_view>

#include "taskd/base/random.hpp"
#include "taskd/base/time.hpp"

namespace taskd::pizza {

// Where somebody stands in a trace: `span_id` is his own span, whose parent may be empty.
struct TraceSpot {
    std::string trace_id;   // 32 hex digits
    std::string span_id;    // 16
    std::string parent_id;  // 16, or empty

    std::string traceparent() const;  // for what he asks of others
    TraceSpot child(Random& random) const;
};

// A spot below what the header says; a new trace when it is missing or not valid.
TraceSpot enter_trace(std::string_view traceparent, Random& random);

struct Span {
    TraceSpot spot;
    std::string name;
    std::string service;
    std::string instance;
    WallTime start;
    WallTime end;
    std::string order_id;  // may be empty
    std::string note;      // the same

    std::string to_json() const;
};

}  // namespace taskd::pizza
