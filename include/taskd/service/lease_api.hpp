// Leases over HTTP: workers that pull ask for tasks and end them here; workers that are reached by
// UDP come for what does not fit a datagram.
#pragma once

#include "taskd/protocol/datagram.hpp"
#include "taskd/service/core.hpp"
#include "taskd/service/http_front.hpp"
#include "taskd/service/lease_desk.hpp"

namespace taskd::service {

class LeaseApi {
  public:
    LeaseApi(Core& core, LeaseDesk& desk, Duration lease_duration);

    void add_routes(HttpFront& front);

  private:
    void ask(Call call);
    void payload(Call call);
    void renew(Call call);
    void progress(Call call);
    void keep(Call call, const engine::LeaseRef& lease, engine::Command command);
    void release(Call call);
    void end(Call call, bool completed);

    // The task of a lease in the path, or an answer; `heard` tells the desk that its worker lives.
    bool knows(Call& call, const protocol::LeaseKey& lease, bool heard);
    void run(Call call, engine::Command command, TaskId id);

    Core& core_;
    LeaseDesk& desk_;
    Duration lease_duration_;
};

}  // namespace taskd::service
