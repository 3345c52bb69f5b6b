// What every Metrics promises, and what Prometheus reads of the real one.
#include <set>

#include "catch.hpp"
#include "memory_metrics.hpp"
#include "taskd/io/prometheus_metrics.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using port::Metric;
using port::MetricKind;

namespace {

// A histogram with one value in its second bucket and one beyond all.
port::Histogram some_waits() {
    port::Histogram waits{MetricKind::seconds};
    waits.observe(250us);
    waits.observe(2h);
    return waits;
}

}  // namespace

TEMPLATE_TEST_CASE("metrics ask their sources each time, in a form of their own", "[metrics]",
                   io::PrometheusMetrics, MemoryMetrics) {
    TestType metrics;
    CHECK(metrics.text().empty());
    std::uint64_t count = 0;
    metrics.add([&](port::MetricSink& sink) { sink.put(Metric::leases_total, ++count); });
    metrics.add([](port::MetricSink& sink) {
        sink.put(Metric::tasks, 3.0, {"sum", "queued"});
        sink.put(Metric::tasks, 4.0, {"sum", "running"});
        sink.put(Metric::run_seconds, some_waits());
    });
    CHECK_THAT(metrics.text(), Contains("taskd_leases_total 1"));
    const std::string text = metrics.text();
    CHECK_THAT(text, Contains("taskd_leases_total 2"));
    CHECK_THAT(text, Contains("taskd_tasks{") && Contains("sum") && Contains("running"));
    CHECK_THAT(text, Contains("taskd_run_seconds"));
}

TEST_CASE("the text is what Prometheus reads", "[metrics]") {
    io::PrometheusMetrics metrics;
    metrics.add([](port::MetricSink& sink) {
        sink.put(Metric::tasks, 3.0, {"a\"b\\c\nd", "queued"});
        sink.put(Metric::run_seconds, some_waits());
        port::Histogram sizes{MetricKind::sizes};
        sizes.observe_size(7);
        sink.put(Metric::journal_batch_records, sizes);
    });
    const std::string text = metrics.text();
    CHECK_THAT(text, Contains("# TYPE taskd_tasks gauge\n"));
    CHECK_THAT(text, Contains("# HELP taskd_tasks Tasks that have not ended."));
    CHECK_THAT(text, Contains(R"(taskd_tasks{type="a\"b\\c\nd",state="queued"} 3)"));
    CHECK_THAT(text, Contains("# TYPE taskd_run_seconds histogram\n"));
    CHECK_THAT(text, Contains("taskd_run_seconds_count 2\n"));
    CHECK_THAT(text, Contains("taskd_run_seconds_sum 7200.00025"));
    CHECK_THAT(text, Contains("taskd_run_seconds_bucket{le=\"0.0001\"} 0\n"));
    CHECK_THAT(text, Contains("taskd_run_seconds_bucket{le=\"0.00025\"} 1\n"));
    CHECK_THAT(text, Contains("taskd_run_seconds_bucket{le=\"3600\"} 1\n"));
    CHECK_THAT(text, Contains("taskd_run_seconds_bucket{le=\"+Inf\"} 2\n"));
    CHECK_THAT(text, Contains("taskd_journal_batch_records_bucket{le=\"5\"} 0\n"));
    CHECK_THAT(text, Contains("taskd_journal_batch_records_bucket{le=\"10\"} 1\n"));
}

TEST_CASE("a histogram counts each value once, at its bound or below", "[metrics]") {
    port::Histogram sizes{MetricKind::sizes};
    for (const std::size_t value : {0U, 1U, 2U, 3U, 10'000U, 10'001U})
        sizes.observe_size(value);
    CHECK(sizes.count() == 6);
    CHECK(sizes.counts().front() == 2);
    CHECK(sizes.counts().back() == 1);
    CHECK(sizes.sum() == 20'007);
    port::Histogram waits{MetricKind::seconds};
    waits.observe(-5s);  // a clock was set back
    CHECK(waits.sum() == 0);
    CHECK(waits.counts().front() == 1);
    for (const auto kind : {MetricKind::seconds, MetricKind::sizes}) {
        const port::Histogram any{kind};
        CHECK(std::ranges::is_sorted(any.bounds()));
    }
}

TEST_CASE("names say what they are", "[metrics]") {
    std::set<std::string_view> names;
    for (const port::MetricRow& row : port::metric_table()) {
        INFO(row.name);
        CHECK(names.insert(row.name).second);
        CHECK(row.name.starts_with("taskd_"));
        CHECK(row.name.ends_with("_total") == (row.kind == MetricKind::counter));
        CHECK(row.help.ends_with("."));
        if (row.kind == MetricKind::seconds) CHECK(row.name.ends_with("_seconds"));
        for (const std::string_view never : {"id", "task", "task_id", "instance"})
            CHECK(("," + std::string{row.labels} + ",").find("," + std::string{never} + ",") ==
                  std::string::npos);
    }
}
