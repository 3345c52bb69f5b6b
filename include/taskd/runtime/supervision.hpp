// What is to be done about services that start, end and fail: the policy alone, without a world.
// Whoever holds it tells what happened and when, and does what the answers say. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/random.hpp"
#include "taskd/base/result.hpp"
#include "taskd/port/service.hpp"

namespace taskd::runtime {

enum class ServiceState : std::uint8_t {
    unknown,   // waits for what it needs
    starting,  // begun and not ready
    running,
    stopping,  // asked to end
    stopped,   // as asked
    exited,    // by itself, and done
    failed,    // by itself; will be started again unless its attempts are spent
};
std::string_view to_text(ServiceState state);

// What to do; numbers are places in the list of services.
struct ServiceAction {
    enum class Kind : std::uint8_t {
        start,
        stop,
        kill,
        changed,  // tell: its state is another
        give_up,  // tell: without it there is no point in going on
    };
    Kind kind = Kind::changed;
    std::size_t service = 0;
    ServiceState from = ServiceState::unknown;  // of changed, as what follows
    ServiceState to = ServiceState::unknown;
    std::string how;
    std::optional<Duration> again_in;  // of failed: when it is started again
    int status = 0;                    // of give_up
};
using ServiceActions = std::vector<ServiceAction>;

// The wait before the attempt of this number in a row, from 1.
Duration restart_delay(const port::RestartPolicy& policy, std::uint32_t attempt, Random& random);

class Supervision {
  public:
    // dependency_cycle, dependency_missing.
    static Result<Supervision> make(std::vector<port::ServiceSpec> specs, std::uint64_t seed);

    ServiceActions start_all(SteadyTime now);
    ServiceActions stop_all(SteadyTime now);  // for good
    // One more, behind all others. dependency_missing.
    Result<ServiceActions> add(SteadyTime now, port::ServiceSpec spec);
    // Stops it for good, and it counts no more; nobody may need it. Its place stays.
    ServiceActions remove(SteadyTime now, std::size_t service);
    // From now on it may take so long to stop.
    void set_stop_timeout(std::size_t service, Duration timeout) {
        services_[service].spec.stop_timeout = timeout;
    }
    ServiceActions started(SteadyTime now, std::size_t service);
    ServiceActions ended(SteadyTime now, std::size_t service, const port::ServiceEnd& end);
    ServiceActions due(SteadyTime now);  // when next() has come

    std::optional<SteadyTime> next() const;
    std::size_t size() const { return services_.size(); }
    ServiceState state(std::size_t service) const { return services_[service].state; }
    const port::ServiceSpec& spec(std::size_t service) const { return services_[service].spec; }
    bool all_running() const;
    bool none_alive() const;

  private:
    struct One {
        port::ServiceSpec spec;
        std::vector<std::size_t> needs;
        ServiceState state = ServiceState::unknown;
        std::optional<SteadyTime> deadline;   // of starting and stopping: killed; of failed: again
        std::optional<SteadyTime> stable_at;  // of running
        std::uint32_t attempts = 0;           // since it was last stable
        bool ever_ran = false;
        bool too_slow = false;  // killed because of its deadline
        bool spent = false;     // will not be started again
        bool removed = false;

        bool is_alive() const;
        bool may_wait() const;  // to be started when what it needs is there
    };
    Supervision(std::vector<One> services, std::uint64_t seed)
        : services_{std::move(services)}, random_{seed} {}

    void change(One& one, ServiceState to, ServiceActions& out, std::string how = {});
    void start_those_that_may(SteadyTime now, ServiceActions& out);
    void stop_those_that_may(SteadyTime now, ServiceActions& out);
    void stop_one(SteadyTime now, One& one, ServiceActions& out);
    void fail_one(SteadyTime now, One& one, const port::ServiceEnd& end, ServiceActions& out);
    std::size_t number_of(const One& one) const {
        return static_cast<std::size_t>(&one - services_.data());
    }

    std::vector<One> services_;
    Random random_;
    bool stopping_ = false;
};

}  // namespace taskd::runtime
