// Looks after services: starts them in the order of their needs, starts those again that ended,
// stops them in reverse. What is done when is decided by Supervision; here it meets the world.
// Tells supervisor.state.STATE (service, from, how, again_in_ms), process.started and
// process.stopped (pid, service). On the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/bus/event.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/service.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/runtime/app_context.hpp"
#include "taskd/runtime/process_ids.hpp"
#include "taskd/runtime/supervision.hpp"

namespace taskd::runtime {

class Supervisor {
  public:
    static constexpr bool drains_first = true;  // services go before what they stand on

    // Takes clock, timers, log and bus from the context, which holds them already. `gave_up` is
    // told once, with an exit status.
    Supervisor(AppContext& context, ProcessIds& ids, std::uint64_t seed,
               std::function<void(int status)> gave_up);
    ~Supervisor();
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    void attach(AppContext& context);
    // Before start_entries(), or later: then it starts at once. dependency_missing, later alone.
    Result<void> add(port::SupervisedService service);
    // Stops a service that no other needs; `done` follows when it is gone, on the loop.
    void remove(std::string_view name, std::function<void()> done);

    // dependency_cycle, dependency_missing; then nothing was started.
    Result<void> start_entries();
    bool all_running() const;
    void drain(std::function<void()> done);
    void stop();  // ends what is left

    struct Status {
        std::string name;
        ServiceState state = ServiceState::unknown;
    };
    std::vector<Status> states() const;

  private:
    struct One {
        port::ServiceSpec spec;
        std::unique_ptr<port::Service> service;
        ProcessId id;                   // of its present life
        std::function<void()> removed;  // to be told when it has stopped
    };

    void act(const ServiceActions& actions);
    void act(const ServiceAction& action);
    void begin(std::size_t number);
    void let_go(One& one, ServiceState state);
    void tell(const ServiceAction& action);
    void log(const ServiceAction& action);
    void keep_time();
    void look_if_drained();

    port::Clock& clock_;
    port::Timers& timers_;
    port::Log& log_;
    bus::Publisher& bus_;
    ProcessIds& ids_;
    std::uint64_t seed_;
    std::function<void(int)> gave_up_;
    std::vector<One> services_;
    std::vector<std::unique_ptr<port::Service>> gone_;  // removed, and a little later destroyed
    std::optional<Supervision> policy_;
    std::function<void()> drained_;
    std::unique_ptr<port::Timer> timer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

inline constexpr ContextKey<Supervisor> supervisor_key{"supervisor"};

}  // namespace taskd::runtime
