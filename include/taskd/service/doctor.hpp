// GET /v1/doctor: counts everything anew, and tells what the dispatcher keeps and what is left.
#pragma once

#include "taskd/service/core.hpp"
#include "taskd/service/disk_guard.hpp"
#include "taskd/service/http_front.hpp"
#include "taskd/service/retention.hpp"

namespace taskd::service {

class Doctor {
  public:
    Doctor(Core& core, const Retention& retention, const DiskGuard& disk)
        : core_{core}, retention_{retention}, disk_{disk} {}

    void add_routes(HttpFront& front);

  private:
    void examine(Call call);

    Core& core_;
    const Retention& retention_;
    const DiskGuard& disk_;
};

}  // namespace taskd::service
