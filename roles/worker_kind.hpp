// What a worker runs: a built-in type, a program for each task (exec), or calls of a service
// (http).
#pragma once

#include <memory>

#include "role.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/port/background.hpp"
#include "taskd/port/http.hpp"
#include "taskd/runtime/process_ids.hpp"
#include "taskd/service/task_runner.hpp"

namespace taskd::roles {

struct RunnerPorts {
    Ground& ground;
    port::HttpExchange& http;
    port::Background& lane;
    runtime::ProcessIds& ids;  // of the worker's node
};

struct WorkerKind {
    std::string type;
    std::string name;                // "builtin", "exec", "http"
    std::uint32_t concurrency = 1;   // unless told
    io::HttpExchangeSettings calls;  // of its tasks
    // `instance` names what it leaves on the disk.
    std::function<Result<std::unique_ptr<service::TaskRunner>>(const RunnerPorts& ports,
                                                               const std::string& instance)>
        make_runner;
};

// unknown_type, bad_usage, bad_address, or file_missing for a program that is not there.
Result<WorkerKind> read_kind(const Options& options);
std::vector<OptionRow> with_kind_rows(std::vector<OptionRow> own);
std::string known_types();

}  // namespace taskd::roles
