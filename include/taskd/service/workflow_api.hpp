// Workflows over HTTP. Documents are read away from the loop: a large one takes its time.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "taskd/port/background.hpp"
#include "taskd/protocol/workflow_document.hpp"
#include "taskd/service/core.hpp"
#include "taskd/service/http_front.hpp"
#include "taskd/service/schemas.hpp"
#include "taskd/service/waiters.hpp"

namespace taskd::service {

struct WorkflowSettings {
    std::map<std::string, std::string> env;  // what workflows may read of the environment
    Duration keep = limits::keep_default;    // of those that have ended
};

// A document's text as a plan; for any thread.
using ReadWorkflow = std::function<Result<protocol::WorkflowDocument>(
    const std::string&, const protocol::WorkflowOptions&)>;

struct WorkflowPorts {
    ReadWorkflow read;
    port::Background& lane;  // where documents are read
    port::Timers& timers;
    port::Clock& clock;
    port::Log& log;
};

class WorkflowApi {
  public:
    WorkflowApi(WorkflowSettings settings, WorkflowPorts ports, Core& core, Waiters& waiters,
                Schemas& schemas);
    ~WorkflowApi();

    void add_routes(HttpFront& front);
    // Begins to let go of what is older than it is to be kept.
    void start();
    void report(port::MetricSink& sink) const;

  private:
    struct Asked;
    using Found = std::shared_ptr<const WholeWorkflow>;

    void submit(Call call);
    void read(const std::shared_ptr<Asked>& asked);
    void begin(const std::shared_ptr<Asked>& asked);
    void list(Call call);
    void get(Call call);
    void steps(Call call);
    void cancel(Call call);
    void retry(Call call);
    void remove(Call call);
    void signal(Call call);
    void approve(Call call) { answer_step(std::move(call), true); }
    void reject(Call call) { answer_step(std::move(call), false); }
    void answer_step(Call call, bool approved);
    void explain(Call call);
    void graph(Call call);

    // A command about one of them, answered with how it stands then.
    void act(Call call, WorkflowId id, engine::Command command);
    // By its id, or a part of it that no other has: here, or in the view.
    struct Part {  // of its steps
        StepIndex first = 0;
        std::size_t count = SIZE_MAX;
    };
    void find(const std::string& name, Part part, std::function<void(Result<Found>)> then);
    void find_head(const std::string& name, std::function<void(Result<WorkflowId>)> then);
    void show(const std::shared_ptr<Call>& call, WorkflowId id, int status);
    void wait_and_show(const std::shared_ptr<Call>& call, WorkflowId id, int status, Duration wait);
    void sweep();

    WorkflowSettings settings_;
    WorkflowPorts ports_;
    Core& core_;
    Waiters& waiters_;
    Schemas& schemas_;
    std::unique_ptr<port::Timer> sweep_timer_;
    std::uint64_t refused_documents_ = 0;
    // Being deleted, and those who want the same.
    std::map<WorkflowId, std::vector<std::shared_ptr<Call>>> removing_;
};

}  // namespace taskd::service
