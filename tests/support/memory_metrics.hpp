// Metrics that keep what they are told: the twin of the real ones. Its text is a line a value.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "taskd/base/assert.hpp"
#include "taskd/port/metrics.hpp"

namespace taskd::test {

class MemoryMetrics final : public port::Metrics {
  public:
    void add(Source source) override { sources_.push_back(std::move(source)); }

    std::string text() override {
        std::string out;
        for (const auto& [name, value] : values())
            out += name + " " + std::to_string(value) + "\n";
        return out;
    }

    // By "taskd_tasks{sum,queued}"; a histogram as its count.
    std::map<std::string, double> values() {
        Sink sink;
        for (const Source& source : sources_)
            source(sink);
        return std::move(sink.values);
    }

  private:
    struct Sink final : port::MetricSink {
        void put(port::Metric metric, double value, Labels labels) override {
            TASKD_ASSERT(port::row_of(metric).kind <= port::MetricKind::gauge);
            const bool fresh = values.emplace(name_of(metric, labels), value).second;
            TASKD_ASSERT(fresh);
        }
        void put(port::Metric metric, const port::Histogram& histogram, Labels labels) override {
            TASKD_ASSERT(port::row_of(metric).kind >= port::MetricKind::seconds);
            const bool fresh =
                values.emplace(name_of(metric, labels), static_cast<double>(histogram.count()))
                    .second;
            TASKD_ASSERT(fresh);
        }
        static std::string name_of(port::Metric metric, Labels labels) {
            std::string name{port::row_of(metric).name};
            if (labels.size() == 0) return name;
            name += '{';
            for (const std::string_view label : labels)
                name.append(name.ends_with('{') ? "" : ",").append(label);
            return name + '}';
        }
        std::map<std::string, double> values;
    };

    std::vector<Source> sources_;
};

}  // namespace taskd::test
