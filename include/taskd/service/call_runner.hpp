// Runs a task by a POST to an HTTP service: its answer is the result, its status says whether it is
// to be tried again. roles/README.md has the table.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "taskd/port/clock.hpp"
#include "taskd/port/http.hpp"
#include "taskd/service/task_runner.hpp"

namespace taskd::service {

// Tasks at a time: a call takes a thread.
inline constexpr std::uint32_t call_concurrency_max = 256;

struct CallSettings {
    std::string base_url;  // "http://billing:8080"
    std::string target;    // "/charge?now=1"
    Duration timeout = std::chrono::seconds{60};
};

class CallRunner final : public TaskRunner {
  public:
    CallRunner(CallSettings settings, port::HttpExchange& http, port::Clock& clock);

    void run(TaskRun run, std::function<void(RunEnd)> done) override;
    // A request that is on its way is not heard any more; the service may still do it.
    void stop(const protocol::LeaseKey& lease, std::function<void()> gone) override;

  private:
    CallSettings settings_;
    port::HttpExchange& http_;
    port::Clock& clock_;
    std::map<protocol::LeaseKey, std::function<void(RunEnd)>> running_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers may come after our end
};

// Base and target of "http://HOST[:PORT][/PATH]"; bad_address for anything else.
Result<CallSettings> parse_call_url(const std::string& url);

// What an answer makes of the task.
RunEnd end_of_call(const Result<port::HttpResponse>& answer, WallTime now);

}  // namespace taskd::service
