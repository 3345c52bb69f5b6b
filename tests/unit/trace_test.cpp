// W3C trace context: what is taken for a trace id, and the way of one through a front.
#include "taskd/protocol/trace.hpp"
#include "catch.hpp"
#include "manual_clock.hpp"
#include "memory_log.hpp"
#include "taskd/service/http_front.hpp"

using namespace taskd;
using namespace taskd::test;
using Catch::Matchers::Contains;
using protocol::parse_trace_id;
using taskd::support::ManualClock;

namespace {

const std::string id = "0af7651916cd43dd8448eb211c80319c";
const std::string header = "00-" + id + "-b7ad6b7169203331-01";

}  // namespace

TEST_CASE("a traceparent is taken as the standard says", "[trace]") {
    CHECK(parse_trace_id(header) == id);
    CHECK(parse_trace_id("cc" + header.substr(2)) == id);
    CHECK(parse_trace_id("cc" + header.substr(2) + "-what-comes-later") == id);
    for (const std::string& bad :
         {std::string{}, header.substr(1), header + "-", header + "0", "ff" + header.substr(2),
          "cc" + header.substr(2) + ".x", "00-" + std::string(32, '0') + "-b7ad6b7169203331-01",
          "00-" + id + "-0000000000000000-01", "00-" + id + "-b7ad6b7169203331-0x",
          "00_" + id + "-b7ad6b7169203331-01",
          "00-" + std::string{"0AF7651916CD43DD8448EB211C80319C"} + "-b7ad6b7169203331-01"}) {
        INFO(bad);
        CHECK_FALSE(parse_trace_id(bad));
    }
}

TEST_CASE("new trace ids are valid and differ", "[trace]") {
    Random random{7};
    const std::string one = protocol::make_trace_id(random);
    CHECK(parse_trace_id("00-" + one + "-b7ad6b7169203331-01") == one);
    CHECK(one != protocol::make_trace_id(random));
}

TEST_CASE("a problem and the log name the trace; the log the task as well", "[trace]") {
    MemoryLog log;
    ManualClock clock;
    service::HttpFront front{{}, "dispatcher", [] { return std::nullopt; }, {&log, &clock, 5}};
    front.add({"GET", "/v1/tasks/{id}", {}, [](service::Call call) {
                   call.answer(Error{ErrorCode::task_not_found, {}});
               }});
    const std::string task = "01900000-0000-7000-8000-000000000000";
    port::HttpResponse got;
    const auto ask = [&](port::HttpHeaders headers) {
        front.handle({"GET", "/v1/tasks/" + task, std::move(headers), {}},
                     [&](port::HttpResponse response) { got = std::move(response); });
    };
    ask({{"Traceparent", header}});
    CHECK_THAT(got.body, Contains("\"trace_id\":\"" + id + "\""));
    REQUIRE(log.entries.size() == 1);
    const auto& fields = log.entries[0].fields;
    const auto has = [&](const std::string& name, const std::string& value) {
        return std::ranges::find(fields, std::pair{name, value}) != fields.end();
    };
    CHECK(has("trace_id", id));
    CHECK(has("task_id", task));
    CHECK(has("status", "404"));
    CHECK(has("route", "/v1/tasks/{id}"));
    CHECK(has("method", "GET"));

    ask({{"traceparent", "rubbish"}});
    CHECK_THAT(got.body, !Contains(id) && Contains("\"trace_id\":\""));
    front.handle({"GET", "/nothing", {}, {}},
                 [&](port::HttpResponse response) { got = std::move(response); });
    CHECK_THAT(got.body, Contains("\"trace_id\":\""));
}

TEST_CASE("no line a request unless such lines are wanted", "[trace]") {
    MemoryLog log{port::LogLevel::info};
    ManualClock clock;
    service::HttpFront front{{}, "monitor", [] { return std::nullopt; }, {&log, &clock, 5}};
    front.handle({"GET", "/healthz", {}, {}}, [](port::HttpResponse) {});
    CHECK(log.entries.empty());
}
