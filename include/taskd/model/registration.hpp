// One running process in the name service.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/ids.hpp"
#include "taskd/base/time.hpp"

namespace taskd {

// The type of nodes that run programs. They take no tasks: their port is HTTP.
inline constexpr std::string_view node_type = "taskd.host";

struct Registration {
    std::string instance;    // is_instance_name
    SessionId session;       // of this start of the process
    std::string type;        // task type it works on, or node_type
    std::string host;        // name or address others reach it at
    std::uint16_t port = 0;  // UDP
    std::uint32_t concurrency = 1;
    std::string meta;  // a JSON object, "{}" when there is none
    WallTime registered_at;
    WallTime renewed_at;

    friend bool operator==(const Registration&, const Registration&) = default;
};

// The registry as one versioned value: `version` grows with every change (not with heartbeats).
struct RegistrySnapshot {
    std::uint64_t version = 0;
    std::vector<Registration> registrations;
};

}  // namespace taskd
