// The dispatcher's HTTP side: config/openapi.yaml turned into commands and reads of the core.
#pragma once

#include "taskd/protocol/task_json.hpp"
#include "taskd/service/core.hpp"
#include "taskd/service/http_front.hpp"
#include "taskd/service/lease_desk.hpp"
#include "taskd/service/waiters.hpp"
#include "taskd/service/worker_link.hpp"

namespace taskd::service {

class TaskApi {
  public:
    TaskApi(Core& core, Waiters& waiters, WorkerLink& workers, LeaseDesk& desk, port::Clock& clock);

    void add_routes(HttpFront& front);

    void find_by_part(const std::string& part, FoundTask then);
    void find_by_id(TaskId id, FoundTask then);
    // Those of `ids` that are there, in no order: from memory and, once they left it, from the
    // view.
    void find_all(const std::vector<TaskId>& ids, FoundTasks then);

    Core& core_;
    Waiters& waiters_;
    WorkerLink& workers_;
    LeaseDesk& desk_;
    port::Clock& clock_;
    SteadyTime started_at_;
};

}  // namespace taskd::service
