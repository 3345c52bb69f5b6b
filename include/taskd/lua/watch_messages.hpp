// What nodes ask each other about their processes (POST /v1/watches), as JSON and as values. Pure.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "taskd/base/ids.hpp"
#include "taskd/base/result.hpp"
#include "taskd/runtime/topology.hpp"

namespace taskd::lua {

// Two processes of two nodes; `here` is on the node that is asked.
struct NodeLinkPair {
    runtime::ProcessNumber here = 0;
    runtime::ProcessNumber there = 0;

    friend auto operator<=>(const NodeLinkPair&, const NodeLinkPair&) = default;
};
struct FailedLink {
    NodeLinkPair pair;
    std::string kind;
    std::string message;
};

// All that a node watches on another one. Newer ones stand for older ones.
struct WatchQuestion {
    std::string node;
    SessionId session;
    std::uint64_t number = 0;
    Duration wait{0};
    std::set<runtime::ProcessNumber> watch;
    std::set<NodeLinkPair> links;
    std::vector<FailedLink> failed;  // the process there has
};

struct FarEnd {
    runtime::ProcessNumber number = 0;
    bool ok = false;
    std::string program;
    std::string kind;  // of an error
    std::string message;
};
struct WatchAnswer {
    SessionId session;
    std::vector<FarEnd> ended;
};

std::string write_watch_question(const WatchQuestion& question);
// bad_json, missing_field, invalid_field, unknown_field, too_many_watches.
Result<WatchQuestion> read_watch_question(const std::string& json);
std::string write_watch_answer(const WatchAnswer& answer);
Result<WatchAnswer> read_watch_answer(const std::string& json);  // bad_answer

}  // namespace taskd::lua
