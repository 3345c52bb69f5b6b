// Groups of tasks over HTTP.
#pragma once

#include "taskd/service/core.hpp"
#include "taskd/service/http_front.hpp"
#include "taskd/service/operations.hpp"
#include "taskd/service/schemas.hpp"

namespace taskd::service {

class GroupApi {
  public:
    GroupApi(Core& core, Operations& operations, Schemas& schemas)
        : core_{core}, operations_{operations}, schemas_{schemas} {}

    void add_routes(HttpFront& front);

  private:
    void make(Call call);
    void list(Call call);
    void get(Call call);
    void close(Call call);
    void cancel(Call call);
    std::string write(const GroupId& id) const;
    Result<GroupId> find(const std::string& name) const;

    Core& core_;
    Operations& operations_;
    Schemas& schemas_;
};

}  // namespace taskd::service
