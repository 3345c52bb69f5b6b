// Does tasks in any C++ program: asks a dispatcher for them over HTTP, runs a handler for each,
// hands its result over. Installed as taskd::client.
//
// Handlers run on threads of their own, `concurrency` at a time. Leases are renewed while a handler
// runs; a result is handed over until the dispatcher has it, across its restarts. A task may run
// twice (when this process dies, or its network), so handlers should bear that.
#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "taskd/client.hpp"

namespace taskd {

struct WorkerSettings {
    std::string url = "http://127.0.0.1:4000";  // or "unix:/path/to/socket"
    std::string key = {};                       // the cluster key; empty: none
    std::string name = {};         // 1 to 64 of [A-Za-z0-9._-]; "cpp-" and chance when it is empty
    unsigned concurrency = 1;      // 1 to 256
    bool stop_on_signals = false;  // SIGINT and SIGTERM are stop()
    std::function<void(const Error&)> trying_again = {};  // once for failures in a row; on run()
};

// A task as its handler sees it, on the handler's thread.
class LeasedTask {
  public:
    struct Shared;
    explicit LeasedTask(std::shared_ptr<Shared> shared) : shared_{std::move(shared)} {}

    const std::string& id() const;
    const std::string& type() const;
    const std::string& payload() const;  // one JSON value, as it was submitted
    unsigned attempt() const;            // from 1

    // Whether the result is still wanted: false once the task was cancelled, its time is over or
    // another worker has it. Long work asks now and then. Known at most a third of a lease late.
    bool wanted() const;
    // Shown with the task; the newest counts. Percent up to 100, a note of up to 1,000 bytes.
    void progress(unsigned percent, std::string note = {});
    // Appended to what the task prints (`taskd logs`), up to 4 MiB an attempt.
    void log(std::string_view bytes);

  private:
    std::shared_ptr<Shared> shared_;
};

// One JSON value of up to 1 MiB, or why there is none.
using TaskResult = std::expected<std::string, Failure>;
// What it throws is a failure with the code `exception`.
using Handler = std::function<TaskResult(LeasedTask& task)>;

class Worker {
  public:
    explicit Worker(WorkerSettings settings);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // What does tasks of this type; before run().
    void on(std::string type, Handler handler);
    // Works until stop(); once. Waits for a dispatcher that is not there, also where a proxy or
    // something else answers. An error that waiting does not heal ends it: wrong_key, missing_key,
    // registration_conflict for a name that is somebody else's, bad_address, invalid_field for a
    // setting.
    Result<void> run();
    // From any thread: asks for no more; run() returns when what is held has ended and is handed
    // over, or when the patience is over and the handlers have returned.
    void stop(std::chrono::milliseconds patience = std::chrono::seconds{30});

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace taskd
