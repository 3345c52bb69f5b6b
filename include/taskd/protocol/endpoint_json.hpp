// Endpoints: routes of the dispatcher's HTTP server that people declare, each backed by a task, or
// by a function of a host. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "taskd/base/limits.hpp"
#include "taskd/base/result.hpp"

namespace taskd::protocol {

struct Endpoint {
    std::string name;
    std::string method;             // "POST"
    std::vector<std::string> path;  // "/orders/{id}" is {"orders", "{id}"}
    std::string type;               // of the task
    std::string function;           // in place of a task: "shop:price"
    std::string host;               // where that is called: "http://10.0.0.7:6500"
    bool whole_request = false;     // the payload is path, query and body; else the body alone
    Duration wait = limits::endpoint_wait_default;
    std::map<std::string, int> statuses;  // of an error, by its code; "*": any other
    std::string task;                     // further fields of the submit, a JSON object

    friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// bad_json, unknown_field, missing_field, invalid_field.
Result<Endpoint> parse_endpoint(std::string_view body, std::string name);
// With its name; parse_endpoint takes it without.
std::string write_endpoint(const Endpoint& endpoint);
std::string path_text(const Endpoint& endpoint);  // "/orders/{id}"

// What stands for {…} in its path, by name; none when it is another path.
using PathValues = std::vector<std::pair<std::string, std::string>>;
bool fits(const Endpoint& endpoint, const std::vector<std::string>& path, PathValues& values);
// Whether some request would fit both.
bool overlap(const Endpoint& a, const Endpoint& b);

}  // namespace taskd::protocol
