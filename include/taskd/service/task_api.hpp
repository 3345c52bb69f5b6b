// The dispatcher's HTTP side: config/openapi.yaml turned into commands and reads of the core.
#pragma once

#include <deque>
#include <memory>

#include "taskd/protocol/task_json.hpp"
#include "taskd/service/core.hpp"
#include "taskd/service/http_front.hpp"
#include "taskd/service/lease_desk.hpp"
#include "taskd/service/schemas.hpp"
#include "taskd/service/waiters.hpp"
#include "taskd/service/worker_link.hpp"

namespace taskd::service {

struct ResultsWanted {
    std::vector<TaskId> ids;  // distinct, in the order asked
    Duration wait{0};
    bool first = false;  // one that has ended is enough
};

class TaskApi {
  public:
    TaskApi(Core& core, Waiters& waiters, WorkerLink& workers, LeaseDesk& desk, Schemas& schemas,
            port::Clock& clock, port::Timers& timers);

    void add_routes(HttpFront& front);

    // By full id, or a unique part of one; from memory or the view, told when it is durable.
    using FoundTask = std::function<void(Result<Task>)>;
    void find_task(const std::string& name, FoundTask then);

  private:
    struct Found {
        std::vector<std::shared_ptr<const Task>> tasks;  // null where there is none
        std::vector<bool> left;                          // one answer has no room for its result
    };
    using FoundTasks = std::function<void(const Result<Found>&)>;
    enum class Rest { states, unread };

    void submit(Call call);
    // Many tasks, one a line, each taken or refused for itself.
    struct Lines;
    void submit_lines(Call call);
    void count_lines(Lines& lines);
    void await_turn(std::shared_ptr<Lines> lines);
    void post_turn();
    void take_turn();
    std::size_t take_lines(const std::shared_ptr<Lines>& lines, std::size_t most);
    void take_line(const std::shared_ptr<Lines>& lines, std::string_view text);
    void step_done(const std::shared_ptr<Lines>& lines);
    void get_task(Call call);
    void get_result(Call call);
    void get_results(Call call);
    void list(Call call);
    void count(Call call);
    void cancel(Call call);
    void explain(Call call);
    void set_priority(Call call);
    void redrive(Call call);
    void edit_payload(Call call);
    void stats(Call call);
    void workers(Call call);

    // The task that the path names; then the command for it, and its state as the answer.
    void change(Call call, std::function<engine::Command(TaskId)> make);
    // One page, whose answer is written by `write`.
    void ask_page(Call call, TaskQuery query,
                  std::function<port::HttpResponse(const TaskPage&)> write);
    protocol::TaskExtras extras_of(const Task& task) const;

    void find_by_part(const std::string& part, FoundTask then);
    void find_by_id(TaskId id, FoundTask then);
    // In the order of `ids`: from memory and, once they left it, from the view. What is left comes
    // without its result, or is not read at all, and then nothing needs to have a payload.
    void find_all(const std::vector<TaskId>& ids, Rest rest, FoundTasks then);

    void await_results(std::shared_ptr<Call> call, ResultsWanted wanted,
                       std::optional<bool> ended_elsewhere = {});
    void tell_results(std::shared_ptr<Call> call, std::vector<TaskId> ids);

    Core& core_;
    Waiters& waiters_;
    WorkerLink& workers_;
    LeaseDesk& desk_;
    Schemas& schemas_;
    port::Clock& clock_;
    port::Timers& timers_;
    SteadyTime started_at_;
    std::deque<std::shared_ptr<Lines>> lines_waiting_;  // for the turn of their next step
    std::size_t lines_bytes_ = 0;  // of all requests of lines, with what is set aside
    bool turn_posted_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // posts may come after our end
};

}  // namespace taskd::service
