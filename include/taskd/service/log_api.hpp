// What tasks print, over HTTP: workers append to their leases' streams, anybody with the key reads
// an attempt's stream by range and follows it while it grows.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>

#include "taskd/port/task_logs.hpp"
#include "taskd/service/core.hpp"
#include "taskd/service/http_front.hpp"
#include "taskd/service/lease_desk.hpp"
#include "taskd/service/task_api.hpp"

namespace taskd::service {

struct LogPorts {
    port::TaskLogs& logs;
    port::Background& lane;  // every call of `logs`
    port::Clock& clock;
    port::Timers& timers;
    port::Log& log;
};

class LogApi {
  public:
    LogApi(LogPorts ports, Core& core, TaskApi& tasks, LeaseDesk& desk);
    ~LogApi();

    void add_routes(HttpFront& front);
    // Begins to look for what is left of tasks that are gone: a life may end between both.
    void start();
    // Records that are durable: whoever follows a task they are about looks again, and what a
    // deleted task has printed goes with it.
    void on_records(const RecordBatch& batch);
    // From now on nobody waits: answered with what there is.
    void let_go();

  private:
    // A reader that waits for more.
    struct Reader {
        Call call;
        TaskId id;
        std::uint32_t attempt = 0;  // 0: the newest
        std::uint64_t from = 0;
        std::size_t bytes_max = 0;
        SteadyTime until{};
        std::unique_ptr<port::Timer> timer;
        bool looking = false;
        bool look_again = false;
    };
    using Shared = std::shared_ptr<Reader>;

    void append(Call call);
    void read(Call call);
    void look(const Shared& reader);
    void looked(const Shared& reader, const Result<Task>& task);
    void answer(const Shared& reader, std::uint32_t attempt, const port::LogPart& part, bool over);
    void finish(const Shared& reader);
    void wake(const TaskId& id);
    void drop_gone();
    void remove(std::vector<TaskId> ids);
    void sweep(std::optional<TaskId> after);
    void sync_later();

    LogPorts ports_;
    Core& core_;
    TaskApi& tasks_;
    LeaseDesk& desk_;
    std::multimap<TaskId, Shared> readers_;
    std::size_t bytes_waiting_ = 0;  // for the disk
    std::unique_ptr<port::Timer> sync_timer_;
    std::unique_ptr<port::Timer> sweep_timer_;
    bool sync_due_ = false;
    bool let_go_ = false;
};

}  // namespace taskd::service
