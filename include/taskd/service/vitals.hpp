// What every role tells of itself beside its work: how long it runs, how late its loop is.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "taskd/bus/mailbox.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/metrics.hpp"
#include "taskd/port/timers.hpp"

namespace taskd::service {

class Vitals {
  public:
    Vitals(std::string version, std::string role, port::Clock& clock, port::Timers& timers);

    void start();
    void stop();
    void report(port::MetricSink& sink) const;

  private:
    void look();

    std::string version_;
    std::string role_;
    port::Clock& clock_;
    SteadyTime started_;
    SteadyTime due_{};
    std::unique_ptr<port::Timer> timer_;
    port::Histogram lag_{port::MetricKind::seconds};
};

// How many records of each level were logged, as the bus tells it.
class LogFigures {
  public:
    void take(const bus::Delivery& delivery);
    void report(port::MetricSink& sink) const;

  private:
    std::array<std::uint64_t, 6> counts_{};  // beside the names of levels; the last: nobody knows
};

// Names of types come from outside: a label takes so many, the rest is counted under one more,
// which is no type's name.
inline constexpr std::string_view other_types = "(others)";

// Datagrams of one socket, and messages said again.
struct DatagramFigures {
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    std::uint64_t refused = 0;
    std::uint64_t resent = 0;

    void report(port::MetricSink& sink) const;
};

}  // namespace taskd::service
