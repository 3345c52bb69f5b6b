// What an operator asks of a queue: how much at a time, how fast, whose turn, and whether at all.
// Durable. Values only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "taskd/base/bytes.hpp"
#include "taskd/base/time.hpp"

namespace taskd {

// `count` leases in each `per`, evenly, and up to `burst` of them at once after a while without.
// Count 0: no limit.
struct Rate {
    std::uint32_t count = 0;
    Duration per = std::chrono::seconds{1};
    std::uint32_t burst = 1;

    bool limits() const { return count > 0; }
    Duration interval() const { return Duration{per.count() / count}; }
    friend bool operator==(const Rate&, const Rate&) = default;
};

// Who stopped something, why, and since when.
struct Pause {
    std::string by;  // both may be empty
    std::string reason;
    WallTime since;
    friend bool operator==(const Pause&, const Pause&) = default;
};

// What an operator asks of one worker, by its name: nothing is leased to it.
struct WorkerHold {
    std::string instance;
    std::optional<Pause> pause;  // none: it is as others
    bool draining = false;       // for good, until somebody says otherwise

    friend bool operator==(const WorkerHold&, const WorkerHold&) = default;
};

struct QueueRules {
    std::string type;
    std::uint32_t concurrency = 0;      // leases at a time; 0: no limit
    std::uint32_t key_concurrency = 0;  // of one key
    Rate rate;
    Rate key_rate;                      // of each key
    std::uint32_t key_backlog_max = 0;  // tasks of one key that wait; 0: no limit
    std::map<std::string, std::uint32_t>
        weights;                    // turns of a key for each of others; 1 unless said
    std::optional<Pause> paused;    // nothing is leased
    std::optional<Pause> draining;  // nothing new is taken
    std::map<std::string, Pause> paused_keys;
    Blob schema;  // JSON Schema that payloads must match at submit; empty: any

    friend bool operator==(const QueueRules&, const QueueRules&) = default;
};

}  // namespace taskd
