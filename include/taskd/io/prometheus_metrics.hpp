// Figures as Prometheus reads them.
#pragma once

#include <vector>

#include "taskd/port/metrics.hpp"

namespace taskd::io {

class PrometheusMetrics final : public port::Metrics {
  public:
    void add(Source source) override { sources_.push_back(std::move(source)); }
    std::string text() override;

  private:
    std::vector<Source> sources_;
};

}  // namespace taskd::io
