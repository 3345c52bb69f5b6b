// The dispatcher's HTTP side for schedules.
#pragma once

#include "taskd/service/http_front.hpp"
#include "taskd/service/schedule_desk.hpp"
#include "taskd/service/schemas.hpp"

namespace taskd::service {

class ScheduleApi {
  public:
    ScheduleApi(Core& core, ScheduleDesk& desk, Schemas& schemas)
        : core_{core}, desk_{desk}, schemas_{schemas} {}

    void add_routes(HttpFront& front);

  private:
    void list(Call call);
    void get(Call call);
    void put(Call call);
    void remove(Call call);
    void pause(Call call, bool resume);
    void run(Call call);
    void backfill(Call call);
    void times(Call call);
    // Answers with the schedule as it now is, or why not.
    ScheduleDesk::Done answer_with(std::shared_ptr<Call> call);
    std::string write(const Schedule& schedule) const;

    Core& core_;
    ScheduleDesk& desk_;
    Schemas& schemas_;
};

}  // namespace taskd::service
