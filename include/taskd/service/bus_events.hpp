// What happens to tasks, workflows, workers and queues, on the process's event bus: the events that
// GET /v1/events tells, under the same names, each once it is durable. Nothing is made while nobody
// listens to it; who listens is never waited for. On the loop.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "taskd/bus/event.hpp"
#include "taskd/model/record.hpp"
#include "taskd/model/registration.hpp"
#include "taskd/service/core.hpp"

namespace taskd::service {

class BusEvents {
  public:
    // Both outlive it.
    BusEvents(Core& core, bus::Publisher& bus) : core_{core}, bus_{bus} {}

    void on_records(const RecordBatch& batch);
    // worker.joined and worker.left (instance, type), as the name service sees it.
    void on_workers(const std::vector<Registration>& workers);

  private:
    bool anybody_listens();

    Core& core_;
    bus::Publisher& bus_;
    std::uint64_t listeners_seen_ = UINT64_MAX;   // as the bus counts their changes
    std::vector<std::string_view> wanted_;        // of event_names()
    std::map<std::string, std::string> workers_;  // their types, by instance
};

}  // namespace taskd::service
