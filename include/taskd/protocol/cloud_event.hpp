// CloudEvents 1.0 over HTTP: structured, batch and binary, to events and back. Pure.
//
// "partitionkey" is an event's key, "traceparent" its trace; other attributes are its headers.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "taskd/protocol/topic_json.hpp"

namespace taskd::protocol {

inline constexpr std::string_view cloud_event_type = "application/cloudevents+json";
inline constexpr std::string_view cloud_batch_type = "application/cloudevents-batch+json";

using Headers = std::vector<std::pair<std::string, std::string>>;

// The events of a request, in whatever form it has: CloudEvents by Content-Type or by "ce-"
// headers, else our own JSON. bad_cloud_event, unsupported_media_type, and what parse_publish says.
std::expected<PublishBody, BodyError> read_events(const Headers& headers, std::string_view body);

// An event as a request in binary mode: its headers; the body is the event's. What has no source or
// type gets its topic in their place.
Headers cloud_headers(const TopicEvent& event);

}  // namespace taskd::protocol
