// The part of the Docker-compatible HTTP API that the monitor reads. Engines differ in small things
// (a name with or without "/", numbers that are missing, event actions of their own), so all of it
// is read forgivingly: what is not there is empty. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"
#include "taskd/model/container.hpp"

namespace taskd::protocol {

std::string container_list_target();
std::string container_details_target(std::string_view id);
std::string container_use_target(std::string_view id);
std::string container_log_target(std::string_view id, std::size_t lines);
// Those in a span of time that has passed, so that the answer has an end.
std::string container_events_target(WallTime since, WallTime until);

// bad_answer when it is no JSON of the right kind.
Result<std::vector<Container>> parse_container_list(std::string_view body);
// Fills in what the list does not tell.
Result<void> parse_container_details(std::string_view body, Container& into);
Result<ContainerUse> parse_container_use(std::string_view body);
// One JSON object a line; those that health checks and attached terminals make all the time are
// left out.
std::vector<ContainerEvent> parse_container_events(std::string_view body);
// Frames of eight bytes of head (stream, length) and text, or with a terminal the text alone.
// Control characters become blanks, broken UTF-8 question marks; long lines are cut.
std::vector<std::string> parse_container_log(std::string_view body, bool terminal);

}  // namespace taskd::protocol
