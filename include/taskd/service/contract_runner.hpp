// Runs tasks that are calls of a contract's methods, and holds what they answer against it. On the
// loop.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "taskd/protocol/json_schema.hpp"
#include "taskd/service/task_runner.hpp"

namespace taskd::service {

// What the methods of a contract answer.
class ContractResults {
  public:
    // {"charge": {"payload": SCHEMA, "result": SCHEMA}}, both of which may be left out:
    // config_invalid.
    static Result<ContractResults> parse(std::string_view methods);

    // Of the call that the payload is, {"method", "payload"}: result_mismatch.
    Result<void> check(std::string_view payload, std::string_view result) const;

  private:
    std::map<std::string, protocol::JsonSchema, std::less<>> results_;  // by method
};

class ContractRunner final : public TaskRunner {
  public:
    ContractRunner(std::unique_ptr<TaskRunner> runner, ContractResults results)
        : runner_{std::move(runner)}, results_{std::move(results)} {}

    void run(TaskRun run, std::function<void(RunEnd)> done) override;
    void stop(const protocol::LeaseKey& lease, std::function<void()> gone) override {
        runner_->stop(lease, std::move(gone));
    }
    std::optional<Progress> progress(const protocol::LeaseKey& lease) const override {
        return runner_->progress(lease);
    }

  private:
    std::unique_ptr<TaskRunner> runner_;
    ContractResults results_;
};

}  // namespace taskd::service
