// Runs operations: reads a page of what an operation means from the view, lets the engine act on
// it, and again until the end is reached. Where it is stands in the journal, so that it goes on
// after a restart. And what is said of operations over HTTP.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "taskd/service/core.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {

class Operations {
  public:
    Operations(Core& core, port::Clock& clock, port::Timers& timers, port::Log& log);

    void start();  // goes on with what runs
    void add_routes(HttpFront& front);
    // Begins it and answers.
    void begin(Call call, Operation operation);
    void report(port::MetricSink& sink) const;

  private:
    struct Run {
        Search search;         // with what the action can reach
        bool covered = false;  // the view has been as new as the beginning
        bool asking = false;
        bool waits = false;  // for room, and told so
        std::unique_ptr<port::Timer> timer;
    };

    void go_on(const OperationId& id);
    void ask(const OperationId& id, Run& run);
    void found(const OperationId& id, const Result<TaskPage>& page);
    engine::StepOperation step_of(const Operation& operation, const Search& search,
                                  const TaskPage& page);
    void again(const OperationId& id, Duration wait);

    void post(Call call);
    void list(Call call);
    void get(Call call);
    void stop(Call call);
    Result<OperationId> find(const std::string& name) const;

    Core& core_;
    port::Clock& clock_;
    port::Timers& timers_;
    port::Log& log_;
    std::map<OperationId, Run> runs_;
    port::Histogram turns_{port::MetricKind::seconds};
};

}  // namespace taskd::service
