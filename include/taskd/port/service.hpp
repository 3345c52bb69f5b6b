// Port: something that runs until it is stopped, such as a child process, and how it is to be
// looked after. All on the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "taskd/base/limits.hpp"
#include "taskd/base/time.hpp"

namespace taskd::port {

struct ServiceEnd {
    bool retry = true;  // whether it may be started again: not when it ended because it was done
    int status = 1;     // for whoever gives up because of it
    std::string how;    // "signal 9"
};

// Called on the loop, never within start().
struct ServiceHandlers {
    std::function<void()> ready;                   // at most once
    std::function<void(const ServiceEnd&)> ended;  // once, ready or not, stopped or not
};

class Service {
  public:
    virtual ~Service() = default;  // ends it at once; no handler is called any more
    // Again only after its end was told.
    virtual void start(ServiceHandlers handlers) = 0;
    virtual void stop() = 0;  // asks
    virtual void kill() = 0;  // does not ask
    // Of this life, where it is not what the spec says; asked for behind each start().
    virtual std::optional<Duration> stop_timeout() const { return std::nullopt; }
};

// How one that ended by itself is started again: after initial_delay, each time backoff_factor
// longer up to max_delay, each delay off by up to `jitter` of it. max_attempts 0: without end.
struct RestartPolicy {
    Duration initial_delay = limits::restart_delay_initial;
    Duration max_delay = limits::restart_delay_max;
    double backoff_factor = limits::restart_factor;
    double jitter = limits::restart_jitter;
    std::uint32_t max_attempts = limits::restart_attempts_max;

    friend bool operator==(const RestartPolicy&, const RestartPolicy&) = default;
};

// Whether all of it ends when the service ends before it was ever ready, or has spent its attempts.
enum class Startup : std::uint8_t { required, optional };

struct ServiceSpec {
    std::string name;
    std::vector<std::string> needs;  // services that run before it starts, and stop after it
    Startup startup = Startup::required;
    Duration start_timeout = limits::service_start_timeout;  // then it is killed; 0: never
    Duration stop_timeout = limits::service_stop_timeout;    // the same
    Duration stable_after = limits::service_stable_after;    // it ran so long: attempts count anew
    RestartPolicy restart = {};

    friend bool operator==(const ServiceSpec&, const ServiceSpec&) = default;
};

struct SupervisedService {
    ServiceSpec spec;
    std::unique_ptr<Service> service;
};

}  // namespace taskd::port
