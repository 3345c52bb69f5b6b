// Port: the figures a role shows at /metrics. Parts keep plain numbers of their own and hand them
// over when somebody asks, so that counting costs an addition. Names, kinds and labels stand in one
// table. All on the loop's thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "taskd/base/time.hpp"

namespace taskd::port {

enum class MetricKind : std::uint8_t {
    counter,  // grows until the role ends; its name ends in _total
    gauge,
    seconds,  // a histogram of durations
    sizes,    // a histogram of numbers
};

enum class Metric : std::uint8_t {
#define TASKD_METRIC(name, kind, labels, help) name,
#include "taskd/port/metric_table.inc"
#undef TASKD_METRIC
};

struct MetricRow {
    std::string_view name;  // "taskd_tasks"
    MetricKind kind;
    std::string_view labels;  // "type,state"
    std::string_view help;
};
const MetricRow& row_of(Metric metric);
std::span<const MetricRow> metric_table();  // in the order of Metric

// How often a value fell between two bounds.
class Histogram {
  public:
    static constexpr std::size_t bounds_max = 20;

    explicit Histogram(MetricKind kind);  // seconds or sizes

    void observe(Duration value) { add(value.count()); }
    void observe_size(std::size_t value) { add(static_cast<std::int64_t>(value)); }

    // Upper bounds, inclusive, in microseconds or pieces; the last count is of what is beyond.
    std::span<const std::int64_t> bounds() const { return bounds_; }
    std::span<const std::uint64_t> counts() const {
        return std::span{counts_}.first(bounds_.size() + 1);
    }
    std::int64_t sum() const { return sum_; }
    std::uint64_t count() const;
    double scale() const { return scale_; }  // what a value is divided by

  private:
    void add(std::int64_t value);

    std::span<const std::int64_t> bounds_;
    double scale_;
    std::array<std::uint64_t, bounds_max + 1> counts_{};
    std::int64_t sum_ = 0;
};

// Takes the figures of one moment. As many labels as the metric's row names, in its order.
class MetricSink {
  public:
    using Labels = std::initializer_list<std::string_view>;

    virtual ~MetricSink() = default;
    virtual void put(Metric metric, double value, Labels labels) = 0;
    virtual void put(Metric metric, const Histogram& histogram, Labels labels) = 0;

    void put(Metric metric, double value) { put(metric, value, {}); }
    void put(Metric metric, const Histogram& histogram) { put(metric, histogram, {}); }
    void put(Metric metric, std::uint64_t value, Labels labels = {}) {
        put(metric, static_cast<double>(value), labels);
    }
};

class Metrics {
  public:
    using Source = std::function<void(MetricSink&)>;

    virtual ~Metrics() = default;
    // Asked for its figures at every text(); what it speaks of outlives the last one.
    virtual void add(Source source) = 0;
    // All figures as Prometheus reads them (text format 0.0.4).
    virtual std::string text() = 0;
};

inline constexpr std::string_view metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace taskd::port
