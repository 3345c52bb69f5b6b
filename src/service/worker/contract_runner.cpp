#include "taskd/service/contract_runner.hpp"

#include <utility>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"

namespace taskd::service {

Result<ContractResults> ContractResults::parse(std::string_view methods) {
    if (!protocol::check_json(methods)) return fail(ErrorCode::config_invalid, "it is not JSON");
    const auto fields = protocol::split_object(methods);
    if (!fields) return fail(ErrorCode::config_invalid, "it is no object of methods");
    ContractResults made;
    for (const auto& [method, raw] : *fields) {
        const std::string_view result = protocol::JsonView{raw}["result"].raw();
        if (result.empty()) continue;
        auto schema = protocol::JsonSchema::compile(result);
        if (!schema)
            return fail(ErrorCode::config_invalid, method + ": " + schema.error().to_string());
        made.results_.emplace(method, std::move(*schema));
    }
    return made;
}

Result<void> ContractResults::check(std::string_view payload, std::string_view result) const {
    const std::string method = protocol::JsonView{payload}["method"].text();
    const auto found = results_.find(method);
    if (found == results_.end()) return {};
    const auto matched = found->second.check(result.empty() ? "null" : result);
    if (matched) return {};
    return fail(ErrorCode::result_mismatch,
                "the result of " + method + ": " + matched.error().detail);
}

void ContractRunner::run(TaskRun run, std::function<void(RunEnd)> done) {
    std::string payload = run.payload;
    runner_->run(
        std::move(run), [this, payload = std::move(payload), done = std::move(done)](RunEnd end) {
            if (end)
                if (const auto matched = results_.check(payload, *end); !matched) {
                    const ErrorRow& row = row_of(matched.error().code);
                    return done(std::unexpected{RunFailure{
                        {std::string{row.name}, matched.error().detail, !row.retryable}, {}}});
                }
            done(std::move(end));
        });
}

}  // namespace taskd::service
