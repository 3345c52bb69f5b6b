// Runs the tasks of a worker as calls of a function in Lua.
#pragma once

#include <map>
#include <memory>

#include "programs.hpp"
#include "taskd/service/log_sender.hpp"
#include "taskd/service/task_runner.hpp"

namespace taskd::roles {

struct LuaSettings {
    lua::ProgramPtr program;
    std::string method;
    lua::MachineLimits limits = {};
    lua::PoolSettings pool = {};
    ProgramsSettings programs = {};
};

// The function is called with the payload and `{id, type, attempt}`; its first result is the
// task's. `error{kind = …, message = …}` with a name of the error table fails the attempt with
// that, which says whether it is tried again; any other error is program_failed, which is.
class LuaRunner final : public service::TaskRunner {
  public:
    // memory_limit; command_twice.
    static Result<std::unique_ptr<LuaRunner>> make(LuaSettings settings, Ground& ground,
                                                   port::HttpExchange& http);

    void run(service::TaskRun run, std::function<void(service::RunEnd)> done) override;
    void stop(const protocol::LeaseKey& lease, std::function<void()> gone) override;

  private:
    struct Running {
        lua::Functions::CallId call = 0;
        std::function<void(service::RunEnd)> done;
        std::function<void()> gone;  // once it was stopped
        std::unique_ptr<service::LogSender> log;
        std::unique_ptr<port::Timer> timer;
    };

    LuaRunner(LuaSettings settings, Ground& ground, port::HttpExchange& http);
    void printed(const protocol::LeaseKey& lease, const std::string& line);
    void ended(const protocol::LeaseKey& lease, Result<Value> value);

    Ground& ground_;
    port::HttpExchange& http_;
    const LuaSettings settings_;
    runtime::ProcessIds ids_;
    runtime::Commands commands_;
    runtime::Topology topology_;
    runtime::Relay relay_;  // of this node alone
    std::unique_ptr<Programs> programs_;
    std::map<protocol::LeaseKey, Running> running_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace taskd::roles
