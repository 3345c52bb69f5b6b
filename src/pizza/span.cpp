#include "taskd/pizza/span.hpp"

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/trace.hpp"

namespace taskd::pizza {
namespace {

std::string make_span_id(Random& random) {
    return protocol::make_trace_id(random).substr(0, 16);
}

}  // namespace

std::string TraceSpot::traceparent() const {
    return "00-" + trace_id + "-" + span_id + "-01";
}

TraceSpot TraceSpot::child(Random& random) const {
    return {trace_id, make_span_id(random), span_id};
}

TraceSpot enter_trace(std::string_view traceparent, Random& random) {
    if (auto trace = protocol::parse_trace_id(traceparent))
        return {std::move(*trace), make_span_id(random), std::string{traceparent.substr(36, 16)}};
    return {protocol::make_trace_id(random), make_span_id(random), {}};
}

std::string Span::to_json() const {
    std::string out;
    protocol::JsonWriter json{out};
    json.begin_object().field("traceId", spot.trace_id).field("spanId", spot.span_id);
    if (!spot.parent_id.empty()) json.field("parentId", spot.parent_id);
    json.field("name", name)
        .field("service", service)
        .field("instance", instance)
        .field("start", to_rfc3339(start))
        .field("end", to_rfc3339(end));
    if (!order_id.empty()) json.field("orderId", order_id);
    if (!note.empty()) json.field("note", note);
    json.end_object();
    return out;
}

}  // namespace taskd::pizza
