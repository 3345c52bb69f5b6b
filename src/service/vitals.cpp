#include "taskd/service/vitals.hpp"

#include <algorithm>
#include <string_view>

namespace taskd::service {
namespace {

using namespace std::chrono_literals;
using port::Metric;

constexpr Duration interval = 500ms;
constexpr std::array<std::string_view, 6> level_names = {"trace", "debug", "info",
                                                         "warn",  "error", "unknown"};

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

// "log.warn" and the like. What the bus lost was logged too, at whatever level.
void LogFigures::take(const bus::Delivery& delivery) {
    const std::string_view topic = delivery.event->topic;
    const auto found = std::ranges::find(level_names, topic.substr(topic.find('.') + 1));
    ++counts_[std::min<std::size_t>(static_cast<std::size_t>(found - level_names.begin()),
                                    level_names.size() - 1)];
    counts_.back() += delivery.lost_before;
}

void LogFigures::report(port::MetricSink& sink) const {
    for (std::size_t i = 0; i < counts_.size(); ++i)
        sink.put(Metric::log_records_total, counts_[i], {level_names[i]});
}

void DatagramFigures::report(port::MetricSink& sink) const {
    sink.put(Metric::datagrams_sent_total, sent);
    sink.put(Metric::datagrams_received_total, received);
    sink.put(Metric::datagrams_refused_total, refused);
    sink.put(Metric::messages_resent_total, resent);
}

}  // namespace taskd::service
