// Schedules held to the contract.
#include "openapi_judge.hpp"

namespace taskd::test {
namespace {

const std::string all = "/v1/schedules", one = all + "/{name}", at = all + "/nightly";
const std::string task = R"("task":{"type":"echo","payload":1})";

void put(Judge& judge, const std::string& body, int status, const std::string& error = {}) {
    judge.ask("PUT", one, at, body, status, error);
}

void try_to_set(Judge& judge) {
    put(judge,
        "{\"cron\":\"30 3 * * *\",\"zone\":\"Europe/Berlin\",\"overlap\":\"skip\","
        "\"misfire\":\"all\",\"start_at\":\"2026-01-01T00:00:00Z\","
        "\"end_at\":\"2099-01-01T00:00:00Z\"," +
            task + "}",
        200);
    put(judge, "{\"every_ms\":1000," + task + "}", 200);
    put(judge, "{", 400, "bad_json");
    put(judge, "{\"every_ms\":1000}", 422, "missing_field");
    put(judge, "{\"often\":1," + task + "}", 422, "unknown_field");
    put(judge,
        "{\"every_ms\":1000,\"task\":{\"type\":\"echo\",\"payload\":\"" +
            std::string(limits::task_bytes_max, 'x') + "\"}}",
        413, "task_too_large");
    put(judge, "{\"every_ms\":1000,\"zone\":\"Europe/Nowhere\"," + task + "}", 422, "unknown_zone");
    for (const char* bad :
         {"\"cron\":\"99 * * * *\"", "\"cron\":\"\"", "\"every_ms\":1", "\"every_ms\":\"1s\"",
          "\"every_ms\":1000,\"cron\":\"@daily\"", "\"every_ms\":1000,\"overlap\":\"wait\"",
          "\"every_ms\":1000,\"misfire\":1", "\"every_ms\":1000,\"start_at\":\"soon\"",
          "\"every_ms\":1000,\"start_at\":\"2026-01-01T00:00:00Z\","
          "\"end_at\":\"2026-01-01T00:00:00Z\""})
        put(judge, "{" + std::string{bad} + "," + task + "}", 422, "invalid_field");
    for (const char* single : {"\"idempotency_key\":\"a\"", "\"run_at\":\"2099-01-01T00:00:00Z\"",
                               "\"id\":\"018bcfe5-687b-7000-8000-000000000001\""})
        put(judge, "{\"every_ms\":1000,\"task\":{\"type\":\"echo\"," + std::string{single} + "}}",
            422, "invalid_field");
    judge.ask("PUT", one, all + "/..x", "{\"every_ms\":1000," + task + "}", 422, "invalid_field");
    judge.ask("GET", all, all, "", 200);
    judge.ask("GET", one, at, "", 200);
    judge.ask("GET", one, all + "/other", "", 404, "schedule_not_found");
    judge.ask("GET", one + "/times", at + "/times?limit=3&after=2026-01-01T00:00:00Z", "", 200);
    judge.ask("GET", one + "/times", at + "/times?limit=0", "", 422, "invalid_field");
    judge.ask("GET", one + "/times", at + "/times?after=soon", "", 422, "invalid_field");
    judge.ask("GET", one + "/times", all + "/other/times", "", 404, "schedule_not_found");
    judge.cluster.run_for(3s);
    judge.ask("GET", one, at, "", 200);
}

void try_to_run(Judge& judge) {
    for (const std::string verb : {"pause", "resume"}) {
        const std::string path = one + "/" + verb;
        judge.ask("POST", path, at + "/" + verb, "{\"by\":\"ann\",\"reason\":\"moving\"}", 200);
        judge.ask("POST", path, at + "/" + verb, "{", 400, "bad_json");
        judge.ask("POST", path, at + "/" + verb, "{\"by\":1}", 422, "invalid_field");
        judge.ask("POST", path, at + "/" + verb, "{\"key\":\"a\"}", 422, "unknown_field");
        judge.ask("POST", path, all + "/other/" + verb, "", 404, "schedule_not_found");
    }
    const std::string run = one + "/run", fill = one + "/backfill", times = at + "/backfill";
    judge.ask("PUT", one, at, "{\"cron\":\"@yearly\",\"task\":{\"type\":\"held\",\"key\":\"z\"}}",
              200);
    judge.ask("POST", run, at + "/run", "", 200);
    judge.ask("POST", run, at + "/run", "", 409, "schedule_overlap");
    judge.ask("POST", run, all + "/other/run", "", 404, "schedule_not_found");
    const std::string held = R"("task":{"type":"held","key":"z"})";
    put(judge, "{\"cron\":\"@yearly\",\"overlap\":\"allow\"," + held + "}", 200);
    judge.ask("POST", run, at + "/run", "", 429, "key_backlog_full");
    const auto span = [](const std::string& from, const std::string& to) {
        return "{\"from\":\"" + from + "\",\"to\":\"" + to + "\"}";
    };
    judge.ask("POST", fill, times, "{", 400, "bad_json");
    judge.ask("POST", fill, times, "{\"from\":\"2020-01-01T00:00:00Z\"}", 422, "missing_field");
    judge.ask("POST", fill, times, "{\"since\":1}", 422, "unknown_field");
    judge.ask("POST", fill, times, span("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"), 422,
              "invalid_field");
    judge.ask("POST", fill, all + "/other/backfill",
              span("2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"), 404, "schedule_not_found");
    const std::string year = span("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z");
    judge.ask("POST", "/v1/queues/{type}/drain", "/v1/queues/held/drain", "", 200);
    judge.ask("POST", run, at + "/run", "", 503, "queue_draining");
    judge.ask("POST", fill, times, year, 503, "queue_draining");
    judge.ask("POST", "/v1/queues/{type}/resume", "/v1/queues/held/resume", "", 200);
    // One of its key may wait, and does.
    judge.ask("POST", fill, times, year, 429, "key_backlog_full");
    judge.ask("PUT", one, at, "{\"overlap\":\"allow\",\"cron\":\"* * * * *\"," + task + "}", 200);
    judge.ask("POST", fill, times, span("2020-01-01T00:00:00Z", "2020-01-01T00:05:00Z"), 200);
    judge.ask("POST", fill, times, span("2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z"), 413,
              "too_many_tasks");
    judge.ask("DELETE", one, at, "", 204);
    judge.ask("DELETE", one, at, "", 404, "schedule_not_found");
}

}  // namespace

void try_schedules(Judge& judge) {
    try_to_set(judge);
    try_to_run(judge);
}

}  // namespace taskd::test
