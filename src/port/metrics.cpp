#include "taskd/port/metrics.hpp"

#include <algorithm>
#include <numeric>

#include "taskd/base/assert.hpp"

namespace taskd::port {
namespace {

constexpr MetricRow rows[] = {
#define TASKD_METRIC(name, kind, labels, help) {"taskd_" #name, MetricKind::kind, labels, help},
#include "taskd/port/metric_table.inc"
#undef TASKD_METRIC
};

// From a tenth of a millisecond to an hour.
constexpr std::int64_t microseconds[] = {
    100,       250,        500,        1'000,       2'500,        5'000,     10'000,
    25'000,    50'000,     100'000,    250'000,     500'000,      1'000'000, 2'500'000,
    5'000'000, 10'000'000, 60'000'000, 600'000'000, 3'600'000'000};
constexpr std::int64_t pieces[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10'000};
static_assert(std::size(microseconds) <= Histogram::bounds_max);
static_assert(std::size(pieces) <= Histogram::bounds_max);

}  // namespace

const MetricRow& row_of(Metric metric) {
    return rows[static_cast<std::size_t>(metric)];
}

std::span<const MetricRow> metric_table() {
    return rows;
}

Histogram::Histogram(MetricKind kind)
    : bounds_{kind == MetricKind::seconds ? std::span<const std::int64_t>{microseconds}
                                          : std::span<const std::int64_t>{pieces}},
      scale_{kind == MetricKind::seconds ? 1e6 : 1} {
    TASKD_ASSERT(kind == MetricKind::seconds || kind == MetricKind::sizes);
}

// A clock that was set back makes no negative sums.
void Histogram::add(std::int64_t value) {
    value = std::max<std::int64_t>(value, 0);
    const auto at = std::ranges::lower_bound(bounds_, value);
    ++counts_[static_cast<std::size_t>(at - bounds_.begin())];
    sum_ += value;
}

std::uint64_t Histogram::count() const {
    return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

}  // namespace taskd::port
