// Request targets: path and query split and percent-decoded. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"

namespace taskd::protocol {

struct Target {
    std::vector<std::string> path;  // decoded parts: "/v1/tasks" is {"v1", "tasks"}
    std::vector<std::pair<std::string, std::string>> query;

    const std::string* find(std::string_view name) const;  // first of that name
};

// bad_request when an escape is broken or a decoded part holds a control character.
Result<Target> parse_target(std::string_view text);

// A query value as a duration ("30s", a bare number is seconds), cut to limits::wait_max; zero when
// it is missing; invalid_field when it cannot be read.
Result<Duration> read_wait(const Target& target, std::string_view name);

// For use in a query or as a part of a path.
std::string percent_encode(std::string_view text);

}  // namespace taskd::protocol
