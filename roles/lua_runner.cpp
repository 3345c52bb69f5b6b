#include "lua_runner.hpp"

#include "formats.hpp"

namespace taskd::roles {
namespace {

constexpr const char* function_name = "task";
constexpr Duration log_patience = std::chrono::seconds{2};

service::RunEnd failed(const Error& error) {
    const ErrorRow& row = row_of(error.code);
    return std::unexpected{service::RunFailure{
        {std::string{row.name}, error.detail.empty() ? std::string{row.text} : error.detail,
         !row.retryable},
        {}}};
}

Value about(const service::TaskRun& run) {
    Value value;
    value.kind = ValueKind::map;
    value.fields.push_back({"attempt", Value::of_number(std::to_string(run.attempt))});
    value.fields.push_back({"id", Value::of_text(run.lease.id.to_string())});
    value.fields.push_back({"type", Value::of_text(run.type)});
    return value;
}

}  // namespace

LuaRunner::LuaRunner(LuaSettings settings, Ground& ground, port::HttpExchange& http)
    : ground_{ground},
      http_{http},
      settings_{std::move(settings)},
      ids_{settings_.programs.node},
      topology_{settings_.programs.node, settings_.programs.host.name, ground.bus.get()},
      relay_{{.node = settings_.programs.node}} {}

Result<std::unique_ptr<LuaRunner>> LuaRunner::make(LuaSettings settings, Ground& ground,
                                                   port::HttpExchange& http) {
    std::unique_ptr<LuaRunner> runner{new LuaRunner{std::move(settings), ground, http}};
    auto programs = Programs::make(
        runner->settings_.programs,
        {ground, http, runner->ids_, runner->commands_, runner->topology_, runner->relay_});
    if (!programs) return fail(std::move(programs));
    runner->programs_ = std::move(*programs);
    runner->commands_.freeze();
    const LuaSettings& kept = runner->settings_;
    auto set = runner->programs_->functions().set(
        function_name, {.program = kept.program, .method = kept.method, .limits = kept.limits},
        kept.pool);
    if (!set) return fail(std::move(set));
    return runner;
}

void LuaRunner::run(service::TaskRun run, std::function<void(service::RunEnd)> done) {
    const protocol::LeaseKey lease = run.lease;
    auto payload = transcoder().read("json", run.payload.empty() ? "null" : run.payload);
    if (!payload) return done(failed(payload.error()));
    Running& running = running_[lease];
    running.done = std::move(done);
    if (!run.dispatcher_url.empty())
        running.log = std::make_unique<service::LogSender>(
            service::LogSenderPorts{http_, *ground_.clock, ground_.loop}, ground_.key,
            run.dispatcher_url, lease);
    const auto on_loop = [this, alive = std::weak_ptr{alive_}](auto job) {
        ground_.loop.post_from_any_thread([alive, job = std::move(job)]() mutable {
            if (!alive.expired()) job();
        });
    };
    running.call = programs_->functions().call(
        function_name, {std::move(*payload), about(run)},
        [this, lease, on_loop](Result<Value> value) {
            on_loop([this, lease, value = std::move(value)]() mutable {
                ended(lease, std::move(value));
            });
        },
        [this, lease, on_loop](const std::string& line) {
            on_loop([this, lease, line] { printed(lease, line); });
        });
    if (!run.timeout) return;
    running.timer = ground_.loop.make();
    running.timer->set(ground_.clock->steady() + *run.timeout, [this, call = running.call] {
        programs_->functions().stop(call, {ErrorCode::attempt_timeout, {}});
    });
}

void LuaRunner::printed(const protocol::LeaseKey& lease, const std::string& line) {
    const auto found = running_.find(lease);
    if (found == running_.end() || !found->second.log) return;
    found->second.log->append(line);
    found->second.log->append("\n");
}

void LuaRunner::ended(const protocol::LeaseKey& lease, Result<Value> value) {
    const auto found = running_.find(lease);
    if (found == running_.end()) return;
    found->second.timer.reset();
    service::RunEnd end = value ? service::RunEnd{} : failed(value.error());
    if (value) {
        auto json = transcoder().write("json", *value);
        end = !json ? failed(json.error())
              : json->size() > limits::result_bytes_max
                  ? failed({ErrorCode::task_too_large, "the result is larger than 1 MiB"})
                  : service::RunEnd{std::move(*json)};
    }
    const auto finish = [this, lease, end = std::move(end)] {
        auto node = running_.extract(lease);
        if (node.empty()) return;
        if (node.mapped().gone) return node.mapped().gone();
        node.mapped().done(end);
    };
    if (!found->second.log) return finish();
    // Later: the log is what calls back.
    found->second.log->finish(log_patience, [this, finish, alive = std::weak_ptr{alive_}] {
        ground_.loop.post([finish, alive] {
            if (!alive.expired()) finish();
        });
    });
}

void LuaRunner::stop(const protocol::LeaseKey& lease, std::function<void()> gone) {
    const auto found = running_.find(lease);
    if (found == running_.end()) return gone();
    found->second.gone = std::move(gone);
    programs_->functions().stop(found->second.call, {ErrorCode::cancelled, {}});
}

}  // namespace taskd::roles
