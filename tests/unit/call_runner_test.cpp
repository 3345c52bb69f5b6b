// Tasks done by calls of a service: what is sent, and what each answer makes of the task.
#include "taskd/service/call_runner.hpp"

#include "catch.hpp"
#include "sim_world.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/protocol/retry_after.hpp"

using namespace taskd;
using namespace taskd::service;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

RunEnd end_of(int status, std::string body = {}, port::HttpHeaders headers = {}) {
    return end_of_call(port::HttpResponse{status, std::move(headers), std::move(body)}, {});
}

// "http_503 again after 7s", "http_404 permanent".
std::string told(const RunEnd& end) {
    if (end) return *end;
    const RunFailure& failure = end.error();
    std::string text = failure.error.code + (failure.error.permanent ? " permanent" : " again");
    if (failure.retry_after) text += " after " + std::to_string(*failure.retry_after / 1s) + "s";
    return text;
}

const port::HttpHeaders json{{"Content-Type", "application/json; charset=utf-8"}};

struct Service final : port::HttpHandler {
    void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
        asked.push_back(std::move(request));
        if (silent) return held.push_back(std::move(respond));
        respond({200, json, "{\"ok\":true}"});
    }
    std::vector<port::HttpRequest> asked;
    std::vector<port::HttpResponder> held;
    bool silent = false;
};

}  // namespace

TEST_CASE("the status of an answer says whether a task is tried again") {
    for (const int status : {408, 409, 423, 425, 429, 500, 502, 503, 504, 599})
        CHECK(told(end_of(status)) == "http_" + std::to_string(status) + " again");
    for (const int status : {301, 304, 400, 401, 403, 404, 405, 410, 413, 422, 451})
        CHECK(told(end_of(status)) == "http_" + std::to_string(status) + " permanent");
    CHECK(told(end_of(429, "", {{"Retry-After", "7"}})) == "http_429 again after 7s");
    CHECK(told(end_of(503, "", {{"Retry-After", "Thu, 01 Jan 1970 00:02:00 GMT"}})) ==
          "http_503 again after 120s");
    CHECK(told(end_of(503, "", {{"Retry-After", "soon"}})) == "http_503 again");
    CHECK(told(end_of(503, "", {{"Retry-After", "9999999"}})) == "http_503 again after 86400s");
    CHECK(told(end_of(400, "", {{"Retry-After", "7"}})) == "http_400 permanent");
    CHECK(end_of(400, "no such customer").error().error.message == "no such customer");
    CHECK(end_of(400, "caf\xc3\xa9\xff").error().error.message == "caf");
    CHECK(told(end_of_call(fail(ErrorCode::unreachable, "billing"), {})) == "unreachable again");
    CHECK(told(end_of_call(fail(ErrorCode::timed_out), {})) == "timed_out again");
}

TEST_CASE("an answer's body is the result") {
    CHECK(told(end_of(200, "{\"a\": 1}", json)) == "{\"a\": 1}");
    CHECK(told(end_of(204)) == "null");
    CHECK(told(end_of(200, "{\"a\": 1}")) == R"("{\"a\": 1}")");
    CHECK(told(end_of(201, "7", {{"Content-Type", "application/vnd.bill+json"}})) == "7");
    CHECK(told(end_of(200, "{", json)) == "bad_answer again");
    CHECK(told(end_of(200, "\xff")) == "bad_answer again");
    CHECK(told(end_of(200, std::string(limits::result_bytes_max + 1, '1'), json)) ==
          "task_too_large permanent");
    CHECK(told(end_of(200, std::string(limits::result_bytes_max, '1'))) ==
          "task_too_large permanent");  // with its quotes
}

TEST_CASE("Retry-After is seconds or a date") {
    const WallTime now{1'000s};
    using protocol::parse_retry_after;
    CHECK(parse_retry_after("0", now) == Duration{0});
    CHECK(parse_retry_after("120", now) == Duration{120s});
    CHECK(parse_retry_after("Thu, 01 Jan 1970 00:20:00 GMT", now) == Duration{200s});
    CHECK(parse_retry_after("Thu, 01 Jan 1970 00:00:00 GMT", now) == Duration{0});
    for (const char* bad : {"", "-1", "1.5", "soon", "Thu, 01 Foo 1970 00:20:00 GMT",
                            "Thu, 32 Jan 1970 00:20:00 GMT", "Thu, 01 Jan 1970 00:20:00 CET"})
        CHECK_FALSE(parse_retry_after(bad, now));
}

TEST_CASE("a URL is split, and what is none is refused") {
    const auto url = [](const std::string& text) {
        const auto parsed = parse_call_url(text);
        return parsed ? parsed->base_url + " " + parsed->target
                      : std::string{parsed.error().name()};
    };
    CHECK(url("http://a:80/b/c?d=1") == "http://a:80 /b/c?d=1");
    CHECK(url("http://a") == "http://a /");
    CHECK(url("https://a:8443/b") == "https://a:8443 /b");
    CHECK(url("http://[::1]:8080?x=1") == "http://[::1]:8080 /?x=1");
    for (const char* bad : {"", "ftp://a/", "http://", "https://", "https:///x", "http:///x",
                            "a:80", "http://a/b c", "http://a/#b"})
        CHECK(url(bad) == "bad_address");
}

TEST_CASE("a task is posted whole, once named for all its attempts") {
    SimWorld world{1};
    SimHost& host = world.host("worker");
    Service service;
    REQUIRE(world.host("billing").serve(80, service));
    CallRunner runner{
        {.base_url = "http://billing:80", .target = "/charge"}, host.http(), host.clock()};
    const TaskId id = *TaskId::parse("018bcfe5-687b-7000-8000-0000000000ab");
    std::vector<std::string> ends;
    const auto run = [&](std::uint64_t epoch) {
        runner.run({.lease = {id, LeaseEpoch{epoch}},
                    .type = "bill",
                    .payload = "[1, 2]",
                    .attempt = static_cast<std::uint32_t>(epoch)},
                   [&](const RunEnd& end) { ends.push_back(told(end)); });
        world.run_for(1s);
    };
    run(1);
    run(18);
    CHECK(ends == std::vector<std::string>{"{\"ok\":true}", "{\"ok\":true}"});
    REQUIRE(service.asked.size() == 2);
    const auto& asked = service.asked[1];
    CHECK(asked.method + " " + asked.target == "POST /charge");
    CHECK(asked.body == "{\"id\":\"" + id.to_string() +
                            "\",\"type\":\"bill\",\"attempt\":18,\"payload\":[1, 2]}");
    CHECK(port::find_header(asked.headers, "Idempotency-Key") == id.to_string());
    CHECK(port::find_header(asked.headers, "traceparent") ==
          "00-018bcfe5687b700080000000000000ab-0000000000000012-01");
    CHECK(port::find_header(asked.headers, "Authorization").empty());  // the key is not for it

    service.silent = true;
    run(19);
    bool gone = false;
    runner.stop({id, LeaseEpoch{19}}, [&] { gone = true; });
    CHECK(gone);
    run(20);  // times out
    world.run_for(61s);
    CHECK(ends.size() == 3);
    CHECK(ends.back() == "timed_out again");
}
