// compose.yaml from the list of workers: one image for every service, one network, one shared key.
// Pure.
#pragma once

#include <string>
#include <vector>

#include "taskd/service/worker_list.hpp"

namespace taskd::service {

struct ComposeSettings {
    std::string image = "taskd";
    std::string build = ".";  // folder of the Dockerfile; empty: the image comes from elsewhere
    std::string key_file = "./secrets/cluster_key";
    // "8000" or "0.0.0.0:8000": where the dispatcher's TCP port is published; empty: nowhere. An
    // address is loopback unless it is said. UDP is never published.
    std::string publish;
};

// invalid_field when `publish` is no port or address and port, or a worker's drain-timeout no time.
Result<std::string> write_compose(const ComposeSettings& settings,
                                  const std::vector<WorkerEntry>& workers);

}  // namespace taskd::service
