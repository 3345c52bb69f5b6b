// The dispatcher's HTTP side for operators: queues with their rules, pauses of queues and workers.
#pragma once

#include "taskd/service/core.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {

class QueueApi {
  public:
    explicit QueueApi(Core& core) : core_{core} {}

    void add_routes(HttpFront& front);

  private:
    void list(Call call);
    void get(Call call);
    void put(Call call);
    void put_schema(Call call);
    void change(Call call, engine::ChangeQueue::What what);
    void execute(Call call, engine::ChangeQueue command);
    void change_worker(Call call, engine::ChangeWorker::What what);
    std::string write(const std::string& type) const;

    Core& core_;
};

}  // namespace taskd::service
