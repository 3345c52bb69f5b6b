// One task that a C++ worker holds, from its lease until the dispatcher has its result. On the
// loop, but for what the handler's thread shares with it.
#pragma once

#include <atomic>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "taskd/io/loop.hpp"
#include "taskd/model/progress.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/service/log_sender.hpp"
#include "taskd/worker.hpp"

namespace taskd {

// What a handler's thread and the loop both see. The functions hand over to the loop.
struct LeasedTask::Shared {
    std::string id;
    std::string type;
    std::string payload;
    unsigned attempt = 0;
    std::atomic<bool> wanted{true};
    std::function<void(std::string)> log;
    std::function<void(Progress)> progress;
};

}  // namespace taskd

namespace taskd::client {

struct TakenTask {
    protocol::LeaseKey lease;
    std::string path;  // the lease as it stands in a path
    std::string id;
    std::string type;
    std::string payload;
    unsigned attempt = 0;
};
// Of the answer to a question for leases; none when it is no task.
std::optional<TakenTask> read_task(const protocol::JsonView& json);

struct HandlerResult {
    TaskResult result = std::unexpected{Failure{"worker_failed"}};
    Duration took{0};
};
// On the handler's thread. What the handler throws is a failure.
HandlerResult run_handler(const Handler& handler, const std::shared_ptr<LeasedTask::Shared>& task);

// What a lease needs of its worker.
class LeaseHost {
  public:
    using Answer = std::function<void(const Result<port::HttpResponse>&)>;

    virtual ~LeaseHost() = default;
    virtual void send(std::string target, std::string body, Answer then) = 0;
    virtual service::LogSenderPorts log_ports() = 0;
    virtual const protocol::ClusterKey& key() const = 0;
    virtual const std::string& url() const = 0;
    virtual io::Loop& loop() = 0;
    virtual SteadyTime now() const = 0;
    virtual Duration longer(Duration pause) = 0;  // the next of growing pauses
    virtual void ended(const std::string& lease) = 0;
    virtual void refused(const Error& error) = 0;  // what waiting does not heal
};

class HeldLease {
  public:
    HeldLease(LeaseHost& host, const TakenTask& task);

    const std::shared_ptr<LeasedTask::Shared>& shared() const { return shared_; }
    void renew();
    void unwanted() { shared_->wanted = false; }
    // The handler has returned: sends what it printed, then this, until the dispatcher has it.
    void finish(HandlerResult made);

  private:
    using Answer = Result<port::HttpResponse>;

    LeaseHost::Answer mine(void (HeldLease::*then)(const Answer&));
    void report(Progress progress);
    void reported(const Answer& answer);
    void renewed(const Answer& answer);
    void hand_over();
    void handed_over(const Answer& answer);
    void write_end(const HandlerResult& made);
    void write_failure(const Failure& failure, Duration took);

    LeaseHost& host_;
    const std::string path_;  // "/v1/leases/{lease}"
    const std::string lease_;
    std::shared_ptr<LeasedTask::Shared> shared_;
    service::LogSender log_;
    std::optional<Progress> progress_;  // said while one was on its way
    bool reporting_ = false;
    bool over_ = false;  // the handler has returned
    std::string end_target_;
    std::string end_body_;
    Duration took_{0};
    bool replaced_ = false;  // the end was refused once and is a plainer one
    Duration pause_;
    std::unique_ptr<port::Timer> timer_;
    // Answers, and words of the handler, may come after our end.
    std::shared_ptr<HeldLease*> self_;
};

}  // namespace taskd::client
