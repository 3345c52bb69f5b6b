#include "taskd/service/vitals.hpp"

namespace taskd::service {
namespace {

using namespace std::chrono_literals;
using port::Metric;

constexpr Duration interval = 500ms;

}  // namespace

Vitals::Vitals(std::string version, std::string role, port::Clock& clock, port::Timers& timers)
    : version_{std::move(version)},
      role_{std::move(role)},
      clock_{clock},
      started_{clock.steady()},
      timer_{timers.make()} {}

void Vitals::start() {
    due_ = clock_.steady() + interval;
    timer_->set(due_, [this] { look(); });
}

void Vitals::stop() {
    timer_->clear();
}

void Vitals::look() {
    lag_.observe(clock_.steady() - due_);
    start();
}

void Vitals::report(port::MetricSink& sink) const {
    const Duration up = clock_.steady() - started_;
    sink.put(Metric::build_info, 1.0, {version_, role_});
    sink.put(Metric::uptime_seconds, static_cast<double>(up.count()) * 1e-6);
    sink.put(Metric::loop_lag_seconds, lag_);
}

void DatagramFigures::report(port::MetricSink& sink) const {
    sink.put(Metric::datagrams_sent_total, sent);
    sink.put(Metric::datagrams_received_total, received);
    sink.put(Metric::datagrams_refused_total, refused);
    sink.put(Metric::messages_resent_total, resent);
}

}  // namespace taskd::service
