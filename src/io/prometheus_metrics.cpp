// prometheus-cpp, here alone: its families and its text form.
#include "taskd/io/prometheus_metrics.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <sstream>

#include "taskd/base/assert.hpp"

namespace taskd::io {
namespace {

using port::Metric;
using port::MetricKind;

prometheus::MetricType type_of(MetricKind kind) {
    switch (kind) {
        case MetricKind::counter:
            return prometheus::MetricType::Counter;
        case MetricKind::gauge:
            return prometheus::MetricType::Gauge;
        case MetricKind::seconds:
        case MetricKind::sizes:
            return prometheus::MetricType::Histogram;
    }
    return prometheus::MetricType::Untyped;
}

// Gathers families in the order of the table; those nobody spoke of are left out.
class Families final : public port::MetricSink {
  public:
    Families() : families_(port::metric_table().size()) {}

    void put(Metric metric, double value, Labels labels) override {
        prometheus::ClientMetric& made = add(metric, labels);
        TASKD_ASSERT(port::row_of(metric).kind <= MetricKind::gauge);
        if (port::row_of(metric).kind == MetricKind::counter)
            made.counter.value = value;
        else
            made.gauge.value = value;
    }

    void put(Metric metric, const port::Histogram& histogram, Labels labels) override {
        prometheus::ClientMetric& made = add(metric, labels);
        TASKD_ASSERT(port::row_of(metric).kind >= MetricKind::seconds);
        const auto bounds = histogram.bounds();
        const auto counts = histogram.counts();
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < counts.size(); ++i) {
            sum += counts[i];
            const double bound = i < bounds.size()
                                     ? static_cast<double>(bounds[i]) / histogram.scale()
                                     : std::numeric_limits<double>::infinity();
            made.histogram.bucket.push_back({sum, bound});
        }
        made.histogram.sample_count = sum;
        made.histogram.sample_sum = static_cast<double>(histogram.sum()) / histogram.scale();
    }

    std::vector<prometheus::MetricFamily> take() {
        std::vector<prometheus::MetricFamily> spoken_of;
        for (auto& family : families_)
            if (!family.metric.empty()) spoken_of.push_back(std::move(family));
        return spoken_of;
    }

  private:
    prometheus::ClientMetric& add(Metric metric, Labels labels) {
        const port::MetricRow& row = port::row_of(metric);
        prometheus::MetricFamily& family = families_[static_cast<std::size_t>(metric)];
        if (family.metric.empty()) {
            family.name = row.name;
            family.help = row.help;
            family.type = type_of(row.kind);
        }
        prometheus::ClientMetric& made = family.metric.emplace_back();
        std::string_view names = row.labels;
        for (const std::string_view value : labels) {
            TASKD_ASSERT(!names.empty());
            const std::string_view name = names.substr(0, names.find(','));
            made.label.push_back({std::string{name}, std::string{value}});
            names.remove_prefix(std::min(name.size() + 1, names.size()));
        }
        TASKD_ASSERT(names.empty());
        return made;
    }

    std::vector<prometheus::MetricFamily> families_;
};

}  // namespace

std::string PrometheusMetrics::text() {
    Families families;
    for (const Source& source : sources_)
        source(families);
    std::ostringstream out;
    prometheus::TextSerializer{}.Serialize(out, families.take());
    return std::move(out).str();
}

}  // namespace taskd::io
