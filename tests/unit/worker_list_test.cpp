// The list of workers: what is taken, and how each slip is told.
#include "taskd/service/worker_list.hpp"

#include "catch.hpp"
#include "taskd/work/work.hpp"

using namespace taskd;
using namespace taskd::service;

namespace {

std::string fault(const std::string& text) {
    const auto list = parse_worker_list(text);
    REQUIRE_FALSE(list);
    CHECK(list.error().code == ErrorCode::config_invalid);
    return list.error().detail;
}

}  // namespace

TEST_CASE("an entry has a type, and defaults for the rest") {
    const auto list = parse_worker_list(
        R"({"workers": [{"type": "sum"},
            {"type": "wait", "description": "sleeps", "concurrency": 7, "enabled": false}]})");
    REQUIRE(list);
    CHECK(*list == std::vector<WorkerEntry>{{"sum", "", 1, true}, {"wait", "sleeps", 7, false}});
    CHECK(parse_worker_list(R"({"workers": []})")->empty());
}

TEST_CASE("each slip names the entry and what is wrong") {
    using Catch::Matchers::Contains;
    CHECK_THAT(fault("{"), Contains("bad_json"));
    CHECK_THAT(fault("[]"), Contains("workers alone"));
    CHECK_THAT(fault(R"({"workers": [], "more": 1})"), Contains("workers alone"));
    CHECK_THAT(fault(R"({"workers": {}})"), Contains("no array"));
    CHECK_THAT(fault(R"({"workers": [{"type": "sum"}, 5]})"), Contains("worker 1"));
    CHECK_THAT(fault(R"({"workers": [{}]})"), Contains("worker 0") && Contains("type"));
    CHECK_THAT(fault(R"({"workers": [{"type": "fly"}]})"), Contains("unknown_type"));
    CHECK_THAT(fault(R"({"workers": [{"type": "sum", "speed": 1}]})"), Contains("speed"));
    CHECK_THAT(fault(R"({"workers": [{"type": "sum", "concurrency": 0}]})"),
               Contains("concurrency"));
    CHECK_THAT(fault(R"({"workers": [{"type": "sum", "concurrency": 10001}]})"),
               Contains("concurrency"));
    CHECK_THAT(fault(R"({"workers": [{"type": "sum", "enabled": "yes"}]})"), Contains("enabled"));
    CHECK_THAT(fault(R"({"workers": [{"type": "sum"}, {"type": "sum"}]})"),
               Contains("worker 1") && Contains("twice"));
}
