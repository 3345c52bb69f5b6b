// What every service of the platform is given: the world as ports, its name, its figures.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "taskd/base/ids.hpp"
#include "taskd/base/random.hpp"
#include "taskd/pizza/broker.hpp"
#include "taskd/pizza/desk.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/metrics.hpp"
#include "taskd/port/timers.hpp"

namespace taskd::pizza {

struct World {
    Desk& desk;
    Broker& broker;
    port::HttpExchange& http;
    port::Timers& timers;
    const port::Clock& clock;
    port::Log& log;
    std::string instance;  // as the log names it
    std::uint64_t seed = 1;
};

// How often something came out in one of a few ways.
class Outcomes {
  public:
    explicit Outcomes(std::string_view service) : service_{service} {}
    void note(std::string_view outcome) { ++counts_[std::string{outcome}]; }
    void report(port::MetricSink& sink) const {
        for (const auto& [outcome, count] : counts_)
            sink.put(port::Metric::pizza_outcomes_total, count, {service_, outcome});
    }

  private:
    std::string_view service_;
    std::map<std::string, std::uint64_t> counts_;
};

}  // namespace taskd::pizza
