// Holds the handlers to config/openapi.yaml: the same routes on both sides, and every answer's
// status and error among those its operation lists. What the contract lists must have been seen, or
// stands below with the place where it is tested.
#include <fstream>

#include "openapi_judge.hpp"

using namespace taskd;
using namespace taskd::test;

namespace {

// What every operation under /v1 may answer before it looks at anything.
void try_keys_and_query(Judge& judge) {
    for (ApiOperation& each : judge.contract.operations) {
        const bool of_another =
            !each.roles.contains("nameservice") && !each.roles.contains("dispatcher");
        if (!each.errors.contains("missing_key") || of_another) continue;
        std::string target = each.path;
        for (const char* name : {"{id}", "{lease}", "{instance}", "{type}", "{name}", "{topic}",
                                 "{group}", "{delivery}", "{step}"})
            if (const auto at = target.find(name); at != std::string::npos)
                target.replace(at, std::string_view{name}.size(), unknown_id);
        judge.ask(each.method, each.path, target, "", 401, "missing_key",
                  {{"Authorization", "Basic eDp5"}});
        judge.ask(each.method, each.path, target, "", 403, "wrong_key",
                  {{"Authorization", "Bearer nobody"}});
        judge.ask(each.method, each.path, target + "?nonsense=1", "", 422, "unknown_field");
        if (each.errors.contains("unsupported_media_type"))
            judge.ask(each.method, each.path, target, "<a/>", 415, "unsupported_media_type",
                      {{"Content-Type", "text/xml"}});
    }
}

void try_submits(Judge& judge) {
    const auto refused = [&](const std::string& body, int status, const std::string& error) {
        judge.ask("POST", "/v1/tasks", "/v1/tasks", body, status, error);
    };
    refused("{", 400, "bad_json");
    refused("", 400, "bad_json");
    refused("5", 422, "invalid_field");
    refused("[]", 422, "invalid_field");
    refused("{\"payload\":1}", 422, "missing_field");
    refused("{\"type\":\"echo\",\"kind\":1}", 422, "unknown_field");
    refused("{\"type\":\"echo\",\"priority\":10}", 422, "invalid_field");
    refused("{\"type\":\"../x\"}", 422, "invalid_field");
    refused("{\"type\":\"echo\",\"id\":\"7\"}", 422, "invalid_id");
    refused("[{\"type\":\"echo\"},{\"type\":5}]", 422, "invalid_field");
    refused("{\"type\":\"echo\",\"backoff\":{\"initial_ms\":5,\"max_ms\":4}}", 422,
            "invalid_field");
    for (const char* bad :
         {"\"run_at\":\"soon\"", "\"delay_ms\":-1", "\"timeout_ms\":0", "\"queue_timeout_ms\":0",
          "\"total_timeout_ms\":99999999999999", "\"backoff\":{\"kind\":\"wild\"}",
          "\"backoff\":{\"jitter_percent\":101}", "\"no_retry\":[1]", "\"no_retry\":[\"\"]",
          "\"labels\":[]", "\"labels\":{\"a b\":\"\"}", "\"labels\":{\"a\":1}",
          "\"delay_ms\":1,\"run_at\":\"2026-01-02T03:04:05Z\"",
          "\"expires_at\":\"2026-01-02T03:04:05Z\",\"run_at\":\"2026-01-02T03:04:05Z\""})
        refused("{\"type\":\"echo\"," + std::string{bad} + "}", 422, "invalid_field");
    refused("{\"type\":\"echo\",\"payload\":\"" + std::string(limits::task_bytes_max, 'x') + "\"}",
            413, "task_too_large");
    std::string many = "[{\"type\":\"echo\"}";
    for (std::size_t i = 0; i < limits::submit_tasks_max; ++i)
        many += ",{\"type\":\"echo\"}";
    refused(many + "]", 413, "too_many_tasks");
    judge.ask("POST", "/v1/tasks", "/v1/tasks?wait=soon", "{\"type\":\"echo\"}", 422,
              "invalid_field");
    judge.ask("POST", "/v1/tasks", "/v1/tasks?wait=20s", "{\"type\":\"echo\",\"payload\":[1,2.50]}",
              200);
    judge.ask("POST", "/v1/tasks", "/v1/tasks?wait=1ms", "[{\"type\":\"sleep\",\"payload\":60000}]",
              202);
    const auto once = [&](const std::string& body, int status, const std::string& error,
                          const std::string& header) {
        return judge.ask("POST", "/v1/tasks", "/v1/tasks", body, status, error,
                         {{"Idempotency-Key", header}});
    };
    const std::string first = once("{\"type\":\"echo\",\"payload\":7}", 202, "", "key-1");
    const auto id_of = [](const std::string& answer) { return std::string{field(answer, "id")}; };
    CHECK(id_of(once("{\"type\":\"echo\",\"payload\":7}", 202, "", "key-1")) == id_of(first));
    CHECK(id_of(judge.ask("POST", "/v1/tasks", "/v1/tasks?wait=20s",
                          "{\"type\":\"echo\",\"payload\":7,\"idempotency_key\":\"key-1\"}",
                          200)) == id_of(first));
    once("{\"type\":\"echo\",\"payload\":8}", 409, "key_conflict", "key-1");
    once("[{\"type\":\"echo\"}]", 422, "invalid_field", "key-2");
    once("{\"type\":\"echo\",\"idempotency_key\":\"other\"}", 422, "invalid_field", "key-2");
    once("{\"type\":\"echo\"}", 422, "invalid_field", std::string(300, 'k'));
    refused("{\"type\":\"echo\",\"idempotency_key\":\"\"}", 422, "invalid_field");
    const std::string keyed = "{\"type\":\"echo\",\"idempotency_key\":\"twice\",\"payload\":";
    refused("[" + keyed + "1}," + keyed + "2}]", 409, "key_conflict");
    judge.ask("POST", "/v1/tasks", "/v1/tasks", "[" + keyed + "1}," + keyed + "1}]", 202);
    const std::string mine = "{\"id\":\"" + unknown_id + "\",\"type\":\"echo\",\"payload\":";
    judge.ask("POST", "/v1/tasks", "/v1/tasks", mine + "1}", 202);
    judge.ask("POST", "/v1/tasks", "/v1/tasks", mine + "1}", 202);
    judge.ask("POST", "/v1/tasks", "/v1/tasks", mine + "2}", 409, "id_conflict");
    judge.ask("POST", "/v1/tasks", "/v1/tasks", "[" + mine + "1}," + mine + "1}]", 202);
}

void try_labels(Judge& judge) {
    const auto refused = [&](const std::string& body) {
        judge.ask("POST", "/v1/tasks", "/v1/tasks", body, 422, "invalid_field");
    };
    const std::string labelled = judge.ask(
        "POST", "/v1/tasks", "/v1/tasks?wait=20s",
        "{\"type\":\"echo\",\"payload\":1,\"labels\":{\"team\":\"red\",\"env\":\"\"}}", 200);
    CHECK_THAT(labelled, Catch::Matchers::Contains("\"labels\":{\"env\":\"\",\"team\":\"red\"}"));
    CHECK_THAT(judge.ask("GET", "/v1/tasks", "/v1/tasks?q=label:team%3Dred", "", 200),
               Catch::Matchers::Contains(std::string{field(labelled, "id")}));
    std::string labels;
    for (std::size_t i = 0; i <= limits::labels_max; ++i)
        labels += (i == 0 ? "\"l" : ",\"l") + std::to_string(i) + "\":\"\"";
    refused("{\"type\":\"echo\",\"labels\":{" + labels + "}}");
    refused("{\"type\":\"echo\",\"labels\":{\"" + std::string(65, 'n') + "\":\"\"}}");
    refused("{\"type\":\"echo\",\"labels\":{\"n\":\"" + std::string(257, 'v') + "\"}}");
}

void try_reads(Judge& judge, const std::string& done, const std::string& slow) {
    const std::string one = "/v1/tasks/{id}", result = "/v1/tasks/{id}/result";
    for (const auto& [path, tail] :
         {std::pair{one, std::string{}}, std::pair{result, std::string{"/result"}},
          std::pair{one + "/explain", std::string{"/explain"}}}) {
        const std::string at = "/v1/tasks/";
        judge.ask("GET", path, at + done + tail, "", 200);
        judge.ask("GET", path, at + done.substr(20) + tail, "", 200);  // a suffix
        judge.ask("GET", path, at + "018bcfe5-687b-7000-8000-000000000001" + tail, "", 404,
                  "task_not_found");
        judge.ask("GET", path, at + done.substr(0, 4) + tail, "", 409, "ambiguous_id");
        judge.ask("GET", path, at + "xyz" + tail, "", 422, "invalid_id");
    }
    judge.ask("GET", result, "/v1/tasks/" + slow + "/result", "", 202);
    judge.ask("GET", result, "/v1/tasks/" + slow + "/result?wait=100ms", "", 202);
    judge.ask("GET", result, "/v1/tasks/" + slow + "/result?wait=x", "", 422, "invalid_field");
    judge.ask("GET", "/v1/tasks", "/v1/tasks?type=echo&state=succeeded&limit=1", "", 200);
    for (const char* bad : {"state=lost", "limit=0", "limit=1001", "limit="})
        judge.ask("GET", "/v1/tasks", "/v1/tasks?" + std::string{bad}, "", 422, "invalid_field");
    judge.ask("GET", "/v1/tasks", "/v1/tasks?after=1", "", 422, "invalid_id");
    const std::string found =
        judge.ask("GET", "/v1/tasks", "/v1/tasks?q=state:succeeded+id:" + done, "", 200);
    CHECK(found.find(done) != std::string::npos);
    const std::string fault =
        judge.ask("GET", "/v1/tasks", "/v1/tasks?q=type:a%20tsate:dead", "", 422, "invalid_field");
    CHECK_THAT(fault, Catch::Matchers::Contains("in 'tsate:dead': there is no field 'tsate'"));
    const std::string count = "/v1/tasks/count";
    CHECK(judge.ask("GET", count, count + "?q=id:" + done, "", 200) ==
          "{\"count\":1,\"next\":null}");
    CHECK(judge.ask("GET", count, count + "?state=running&type=nobody", "", 200) ==
          "{\"count\":0,\"next\":null}");
    judge.ask("GET", count, count + "?q=age", "", 200);
    judge.ask("GET", count, count + "?q=age:soon", "", 422, "invalid_field");
    judge.ask("GET", count, count + "?after=1", "", 422, "invalid_id");
    judge.ask("GET", "/v1/stats", "/v1/stats", "", 200);
    CHECK_THAT(
        judge.ask("GET", "/v1/doctor", "/v1/doctor", "", 200),
        Catch::Matchers::StartsWith("{\"sound\":true,\"faults\":[],\"idle_with_work_ms\":0"));
    judge.ask("GET", "/v1/workers", "/v1/workers", "", 200);
    const std::string all = "/v1/results";
    judge.ask("POST", all, all,
              "{\"ids\":[\"" + done + "\",\"" + slow +
                  "\",\"018bcfe5-687b-7000-8000-000000000001\"],\"wait_ms\":10,\"for\":\"first\"}",
              200);
    judge.ask("POST", all, all, "[", 400, "bad_json");
    judge.ask("POST", all, all, "{}", 422, "missing_field");
    judge.ask("POST", all, all, "{\"ids\":[]}", 422, "invalid_field");
    judge.ask("POST", all, all, "{\"ids\":[\"1\"]}", 422, "invalid_id");
    judge.ask("POST", all, all, "{\"ids\":[\"" + done + "\"],\"until\":1}", 422, "unknown_field");
}

void try_cancel(Judge& judge, const std::string& done, const std::string& slow) {
    const std::string path = "/v1/tasks/{id}/cancel", at = "/v1/tasks/";
    judge.ask("POST", path, at + done + "/cancel", "", 409, "task_finished");
    judge.ask("POST", path, at + done.substr(0, 4) + "/cancel", "", 409, "ambiguous_id");
    judge.ask("POST", path, at + "018bcfe5-687b-7000-8000-000000000001/cancel", "{}", 404,
              "task_not_found");
    judge.ask("POST", path, at + "xyz/cancel", "{}", 422, "invalid_id");
    judge.ask("POST", path, at + slow + "/cancel", "{", 400, "bad_json");
    judge.ask("POST", path, at + slow + "/cancel", "{\"reason\":1}", 422, "invalid_field");
    judge.ask("POST", path, at + slow + "/cancel", "{\"why\":1}", 422, "unknown_field");
    judge.ask("POST", path, at + slow + "/cancel", "{\"reason\":\"enough\"}", 200);
    judge.ask("POST", path, at + slow + "/cancel", "", 200);
}

void try_priority(Judge& judge, const std::string& done, const std::string& slow) {
    const std::string path = "/v1/tasks/{id}/priority", at = "/v1/tasks/";
    const auto ask = [&](const std::string& id, const std::string& body, int status,
                         const std::string& error = {}) {
        judge.ask("POST", path, at + id + "/priority", body, status, error);
    };
    ask(slow, "{\"priority\":9}", 200);
    ask(done, "{\"priority\":9}", 409, "task_finished");
    ask(done.substr(0, 4), "{\"priority\":9}", 409, "ambiguous_id");
    ask("018bcfe5-687b-7000-8000-000000000001", "{\"priority\":9}", 404, "task_not_found");
    ask("xyz", "{\"priority\":9}", 422, "invalid_id");
    ask(slow, "{", 400, "bad_json");
    ask(slow, "{}", 422, "missing_field");
    ask(slow, "{\"priority\":10}", 422, "invalid_field");
    ask(slow, "{\"urgent\":1}", 422, "unknown_field");
}

void try_workers(Judge& judge) {
    for (const std::string verb : {"pause", "drain", "resume"}) {
        const std::string path = "/v1/workers/{instance}/" + verb;
        const auto ask = [&](const std::string& name, const std::string& body, int status,
                             const std::string& error) {
            return judge.ask("POST", path, "/v1/workers/" + name + "/" + verb, body, status, error);
        };
        ask("w7", "{", 400, "bad_json");
        ask("w7", "{\"who\":1}", 422, "unknown_field");
        ask("w7", "{\"key\":\"a\"}", 422, "invalid_field");
        ask("a%20b", "", 422, "invalid_field");
        ask("w7", "{\"by\":\"ann\",\"reason\":\"because\"}", 200, "");
        const std::string hold = ask("w7", "", 200, "");
        CHECK((hold.find("\"paused\"") != std::string::npos) == (verb != "resume"));
        CHECK(field(hold, "draining") == (verb == "drain" ? "true" : "false"));
    }
}

void try_queues(Judge& judge) {
    const std::string all = "/v1/queues", one = "/v1/queues/{type}", held = all + "/held";
    judge.ask("GET", all, all, "", 200);
    judge.ask("GET", one, held, "", 200);
    judge.ask("GET", one, all + "/..x", "", 422, "invalid_field");
    judge.ask("PUT", one, held,
              "{\"concurrency\":1,\"key_concurrency\":1,\"key_backlog_max\":1,"
              "\"rate\":{\"count\":1,\"per_ms\":1000,\"burst\":2},\"key_rate\":{\"count\":1},"
              "\"weights\":{\"gold\":5}}",
              200);
    judge.ask("PUT", one, held, "{", 400, "bad_json");
    judge.ask("PUT", one, held, "{\"limit\":1}", 422, "unknown_field");
    for (const char* bad : {"\"concurrency\":-1", "\"rate\":1", "\"rate\":{\"per_ms\":1}",
                            "\"rate\":{\"burst\":0}", "\"weights\":[]", "\"weights\":{\"a\":0}"})
        judge.ask("PUT", one, held, "{" + std::string{bad} + "}", 422, "invalid_field");
    judge.ask("PUT", one, all + "/..x", "{}", 422, "invalid_field");
    for (const std::string verb : {"pause", "resume", "drain"}) {
        const std::string path = one + "/" + verb, at = held + "/" + verb;
        judge.ask("POST", path, at, "{", 400, "bad_json");
        judge.ask("POST", path, at, "{\"who\":1}", 422, "unknown_field");
        judge.ask("POST", path, at, "{\"by\":1}", 422, "invalid_field");
        judge.ask("POST", path, all + "/..x/" + verb, "", 422, "invalid_field");
        if (verb == "drain")
            judge.ask("POST", path, at, "{\"key\":\"a\"}", 422, "invalid_field");
        else
            judge.ask("POST", path, at, "{\"key\":\"a\"}", 200);
        judge.ask("POST", path, at, "{\"by\":\"ann\",\"reason\":\"because\"}", 200);
    }
    const auto submit = [&](int status, const std::string& error) {
        judge.ask("POST", "/v1/tasks", "/v1/tasks", "{\"type\":\"held\",\"key\":\"a\"}", status,
                  error);
    };
    submit(503, "queue_draining");
    judge.ask("POST", one + "/resume", held + "/resume", "", 200);
    submit(202, "");
    submit(429, "key_backlog_full");
}

void try_schemas(Judge& judge) {
    const std::string one = "/v1/queues/{type}", shaped = "/v1/queues/shaped";
    for (const char* bad : {"1", "\"text\"", "{\"type\":\"integr\"}", "{\"$ref\":\"#\"}"})
        judge.ask("PUT", one, shaped, "{\"schema\":" + std::string{bad} + "}", 422, "bad_schema");
    judge.ask("PUT", one, shaped,
              "{\"schema\":{\"properties\":{\"n\":{\"items\":{\"type\":\"integer\"}}}}}", 200);
    judge.ask("GET", one, shaped, "", 200);
    const auto submit = [&](const std::string& payload, int status, const std::string& error) {
        const std::string task = "{\"type\":\"shaped\",\"payload\":" + payload + "}";
        judge.ask("POST", "/v1/tasks", "/v1/tasks", task, status, error);
        judge.ask("POST", "/v1/tasks", "/v1/tasks", "[" + task + "]", status, error);
        judge.ask("PUT", "/v1/schedules/{name}", "/v1/schedules/shaped",
                  "{\"every_ms\":1000,\"task\":" + task + "}", error.empty() ? 200 : status, error);
    };
    submit("{\"n\":[1,\"x\"]}", 422, "schema_mismatch");
    submit("{\"n\":[1,2]}", 202, "");
    const std::string path = one + "/schema", at = shaped + "/schema";
    judge.ask("PUT", path, at, "{", 400, "bad_json");
    judge.ask("PUT", path, at, "{\"type\":\"no\"}", 422, "bad_schema");
    judge.ask("PUT", path, "/v1/queues/..x/schema", "true", 422, "invalid_field");
    judge.ask("PUT", path, at, "{\"type\":\"integer\"}", 200);
    submit("{\"n\":[1,2]}", 422, "schema_mismatch");
    judge.ask("PUT", path, at, "null", 200);
    submit("{\"n\":[1,\"x\"]}", 202, "");
    judge.ask("DELETE", "/v1/schedules/{name}", "/v1/schedules/shaped", "", 204);
}

void try_leases(Judge& judge) {
    const std::string held = judge.submit("sleep", "60000"), other = judge.submit("sleep", "60000");
    judge.cluster.run_for(2s);
    const std::string at = "/v1/leases/";
    const std::string said = "/v1/leases/{lease}/progress", at_held = at + held + ".1/progress";
    const auto report = [&](const std::string& body, int status, const std::string& error) {
        judge.ask("POST", said, at_held, body, status, error);
    };
    report("{", 400, "bad_json");
    report("[]", 422, "invalid_field");
    report("{\"percent\":101}", 422, "invalid_field");
    report("{\"note\":\"" + std::string(1001, 'n') + "\"}", 422, "invalid_field");
    report("{\"details\":\"" + std::string(4096, 'd') + "\"}", 422, "invalid_field");
    report("{\"eta\":1}", 422, "unknown_field");
    judge.ask("POST", said, at + "nonsense/progress", "{}", 422, "invalid_id");
    judge.ask("POST", said, at + "018bcfe5-687b-7000-8000-000000000001.1/progress", "{}", 404,
              "task_not_found");
    judge.ask("POST", said, at + held + ".9/progress", "{}", 409, "stale_lease");
    report("{\"percent\":40,\"note\":\"half way\",\"details\":{\"rows\":[7]}}", 200, "");
    CHECK_THAT(
        judge.ask("GET", "/v1/tasks/{id}", "/v1/tasks/" + held, "", 200),
        Catch::Matchers::Contains(
            "\"progress\":{\"percent\":40,\"note\":\"half way\",\"details\":{\"rows\":[7]}"));
    for (const std::string end : {"renew", "release"}) {
        const std::string path = "/v1/leases/{lease}/" + end;
        judge.ask("POST", path, at + "nonsense/" + end, "", 422, "invalid_id");
        judge.ask("POST", path, at + "018bcfe5-687b-7000-8000-000000000001.1/" + end, "", 404,
                  "task_not_found");
        judge.ask("POST", path, at + held + ".9/" + end, "", 409, "stale_lease");
    }
    for (const std::string end : {"payload", "complete", "fail"}) {
        const std::string path = "/v1/leases/{lease}/" + end,
                          method = end == "payload" ? "GET" : "POST";
        const std::string body = end == "payload" ? ""
                                 : end == "fail"  ? "{\"error\":{\"code\":\"x\"}}"
                                                  : "{\"result\":1}";
        judge.ask(method, path, at + "nonsense/" + end, body, 422, "invalid_id");
        judge.ask(method, path, at + "018bcfe5-687b-7000-8000-000000000001.1/" + end, body, 404,
                  "task_not_found");
        judge.ask(method, path, at + held + ".9/" + end, body, 409, "stale_lease");
        if (end == "payload") {
            judge.ask(method, path, at + held + ".1/" + end, "", 200);
            continue;
        }
        const std::string field_name = end == "fail" ? "error" : "result";
        judge.ask(method, path, at + held + ".1/" + end, "{", 400, "bad_json");
        judge.ask(method, path, at + held + ".1/" + end, "{}", 422, "missing_field");
        judge.ask(method, path, at + held + ".1/" + end, "{\"more\":1}", 422, "unknown_field");
        judge.ask(method, path, at + held + ".1/" + end, "[]", 422, "invalid_field");
        judge.ask(method, path, at + held + ".1/" + end,
                  "{\"" + field_name + "\":\"" + std::string(limits::result_bytes_max, 'x') + "\"}",
                  413, "task_too_large");
    }
    judge.ask("POST", "/v1/leases/{lease}/complete", at + held + ".1/complete", "{\"result\":1}",
              200);
    judge.ask("POST", "/v1/leases/{lease}/fail", at + other + ".1/fail",
              "{\"error\":{\"code\":\"x\",\"permanent\":true}}", 200);
}

void try_pulling(Judge& judge) {
    const std::string path = "/v1/leases";
    judge.ask("POST", path, path, "{", 400, "bad_json");
    judge.ask("POST", path, path, "[]", 422, "invalid_field");
    judge.ask("POST", path, path, "{}", 422, "missing_field");
    judge.ask("POST", path, path, R"({"types":["a"],"more":1})", 422, "unknown_field");
    for (const char* wrong :
         {R"({"types":[]})", R"({"types":"a"})", R"({"types":["a b"]})",
          R"({"types":["a"],"worker":"a b"})", R"({"types":["a"],"max":0})",
          R"({"types":["a"],"max":1001})", R"({"types":["a"],"wait_ms":600001})"})
        judge.ask("POST", path, path, wrong, 422, "invalid_field");
    judge.ask("POST", path, path, R"({"types":["pulled"]})", 200);  // none yet
    const std::string workers = judge.ask("GET", "/v1/workers", "/v1/workers", "", 200);
    const auto first = split_array(field(workers, "workers"))->front();
    judge.ask("POST", path, path,
              R"({"types":["pulled"],"worker":)" + std::string{field(first, "instance")} + "}", 409,
              "registration_conflict");
    const std::string id = judge.submit("pulled", "1"), back = judge.submit("pulled", "1");
    judge.ask("POST", path, path, R"({"types":["pulled","more"],"worker":"w1","max":2})", 200);
    const std::string lease = "/v1/leases/" + id + ".1/";
    judge.ask("POST", "/v1/leases/{lease}/renew", lease + "renew", "", 200);
    judge.ask("POST", "/v1/leases/{lease}/release", "/v1/leases/" + back + ".1/release", "", 200);
    judge.ask("GET", "/v1/workers", "/v1/workers", "", 200);
    judge.ask("POST", "/v1/tasks/{id}/cancel", "/v1/tasks/" + id + "/cancel", "", 200);
    judge.ask("POST", "/v1/leases/{lease}/renew", lease + "renew", "", 200);  // says so
    judge.ask("POST", "/v1/leases/{lease}/release", lease + "release", "", 200);
}

void try_logs(Judge& judge) {
    const std::string id = judge.submit("printing", "1"), path = "/v1/tasks/{id}/logs",
                      at = "/v1/tasks/" + id + "/logs";
    judge.ask("GET", path, at + "?wait=10ms", "", 200);  // no attempt yet
    judge.ask("POST", "/v1/leases", "/v1/leases", R"({"types":["printing"]})", 200);
    const std::string append = "/v1/leases/{lease}/logs", lease = "/v1/leases/" + id + ".1/logs";
    const port::HttpHeaders text{{"Content-Type", "text/plain"}};
    judge.ask("POST", append, lease + "?offset=0", "hello\n", 200, "", text);
    judge.ask("POST", append, lease + "?offset=0", "hello\n", 200, "", text);
    CHECK(judge.ask("GET", path, at, "", 200) == "hello\n");
    CHECK(judge.ask("GET", path, at + "?attempt=1&from=1&limit=3&wait=1s", "", 200) == "ell");
    judge.ask("POST", append, lease, "x", 422, "missing_field", text);
    judge.ask("POST", append, lease + "?offset=-1", "x", 422, "invalid_field", text);
    judge.ask("POST", append, "/v1/leases/x/logs?offset=0", "x", 422, "invalid_id", text);
    judge.ask("POST", append, "/v1/leases/018bcfe5-687b-7000-8000-000000000001.1/logs?offset=0",
              "x", 404, "task_not_found", text);
    judge.ask("POST", append, "/v1/leases/" + id + ".9/logs?offset=0", "x", 409, "stale_lease",
              text);
    judge.ask("POST", append, lease + "?offset=4194304", "x", 413, "log_full", text);
    judge.ask("POST", append, lease + "?offset=6",
              std::string(limits::log_append_bytes_max + 1, 'x'), 413, "body_too_large", text);
    for (const char* bad : {"attempt=0", "from=x", "limit=1048577", "wait=soon"})
        judge.ask("GET", path, at + "?" + std::string{bad}, "", 422, "invalid_field");
    judge.ask("GET", path, "/v1/tasks/xyz/logs", "", 422, "invalid_id");
    judge.ask("GET", path, "/v1/tasks/018bcfe5-687b-7000-8000-000000000001/logs", "", 404,
              "task_not_found");
    judge.ask("GET", path, "/v1/tasks/" + id.substr(0, 4) + "/logs", "", 409, "ambiguous_id");
    judge.ask("POST", "/v1/leases/{lease}/complete", "/v1/leases/" + id + ".1/complete",
              "{\"result\":1}", 200);
    judge.ask("GET", path, at + "?attempt=2", "", 404, "not_found");
}

void try_registrations(Judge& judge) {
    const std::string all = "/v1/registrations", one = "/v1/registrations/{instance}",
                      me = "/v1/registrations/me";
    const std::string body =
        "{\"type\":\"echo\",\"host\":\"10.9.9.9\",\"port\":7,\"session\":\"00000000000000";
    judge.ask("PUT", one, me, body + "01\"}", 201);
    judge.ask("PUT", one, me, body + "01\"}", 200);
    judge.ask("PUT", one, me, body + "02\"}", 201);
    judge.ask("PUT", one, me, body + "01\"}", 409, "registration_conflict");
    judge.ask("PUT", one, me, "{", 400, "bad_json");
    judge.ask("PUT", one, me, "{\"type\":\"echo\"}", 422, "missing_field");
    judge.ask("PUT", one, me, body + "02\",\"more\":1}", 422, "unknown_field");
    judge.ask("PUT", one, "/v1/registrations/a%20b", body + "02\"}", 422, "invalid_field");
    judge.ask("GET", one, me, "", 200);
    judge.ask("GET", one, "/v1/registrations/a%20b", "", 422, "invalid_field");
    judge.ask("GET", one, "/v1/registrations/you", "", 404, "registration_not_found");
    judge.ask("GET", all, all + "?type=echo", "", 200);
    judge.ask("GET", all, all + "?watch=1&wait=5s", "", 200);
    judge.ask("GET", all, all + "?watch=x", "", 422, "invalid_field");
    judge.ask("DELETE", one, me, "", 422, "missing_field");
    judge.ask("DELETE", one, me + "?session=1", "", 422, "invalid_field");
    judge.ask("DELETE", one, me + "?session=0000000000000001", "", 409, "registration_conflict");
    judge.ask("DELETE", one, me + "?session=0000000000000002", "", 204);
    judge.ask("DELETE", one, me + "?session=0000000000000002", "", 404, "registration_not_found");
    judge.ask("PUT", one, me, body + "02\"}", 409, "registration_conflict");
}

void try_a_full_disk(Judge& judge, const std::string& slow) {
    judge.cluster.disk().faults.capacity_bytes = judge.cluster.disk().bytes_used();
    const std::string big =
        "{\"type\":\"nobody\",\"payload\":\"" + std::string(40'000, 'x') + "\"}";
    bool refused = false;
    for (int i = 0; i < 60 && !refused; ++i) {
        const auto answer = judge.cluster.ask("dispatcher", {"POST", "/v1/tasks", {}, big});
        REQUIRE(answer);
        refused = answer->status != 202;
        judge.cluster.run_for(200ms);
    }
    judge.ask("POST", "/v1/tasks", "/v1/tasks", big, 507, "disk_full");
    judge.ask("POST", "/v1/tasks/{id}/cancel", "/v1/tasks/" + slow + "/cancel", "",
              200);  // old work ends
    judge.ask("GET", "/readyz", "/readyz", "", 503, "not_ready");
    judge.cluster.run_for(2s);
    judge.ask("GET", "/v1/tasks", "/v1/tasks", "", 507, "disk_full");  // its view has no room
    judge.cluster.disk().faults.capacity_bytes = 0;
    judge.cluster.run_for(5s);
    judge.ask("POST", "/v1/tasks", "/v1/tasks", big, 202);
    judge.ask("GET", "/readyz", "/readyz", "", 200);
}

// Listed by the contract and tested elsewhere, with the place.
bool tested_elsewhere(const ApiOperation& operation, const std::string& error) {
    static const std::map<std::string, std::string> places{
        {"body_too_large", "tests/unit/dispatcher_test.cpp"},
        {"backup_running", "tests/unit/backups_test.cpp"},
        {"io_failed", "tests/unit/dispatcher_test.cpp"},
        {"view_corrupt", "tests/contract/view_contract.cpp"},
        {"too_many_schedules", "tests/unit/schedule_desk_test.cpp"},
        {"too_many_waiters", "tests/unit/waiters_test.cpp"},
        {"overloaded", "tests/unit/dispatcher_test.cpp"},
        {"backlog_full", "tests/unit/dispatcher_test.cpp"},
        {"shutting_down", "tests/unit/dispatcher_test.cpp"},
        {"unreachable", "tests/unit/monitor_test.cpp"},
        {"too_many_operations", "tests/contract/openapi_operations.cpp"},
        {"timed_out", "tests/unit/monitor_test.cpp"},
        {"too_many_topics", "tests/unit/topics_test.cpp"},
    };
    if (const auto place = places.find(error); place != places.end()) {
        std::ifstream file{TASKD_SOURCE_DIR "/" + place->second};
        const std::string text{std::istreambuf_iterator<char>{file}, {}};
        INFO(place->second << " must test " << error);
        REQUIRE(text.find(error) != std::string::npos);
        return true;
    }
    if (error == "not_ready")
        return operation.path != "/readyz";  // the door answers it: system tests
    // Ending a lease is old work: it is refused only when the last segment is full too.
    if (error == "disk_full") return operation.name() != "POST /v1/tasks";
    return false;
}

}  // namespace

TEST_CASE("the handlers keep to the contract, and the contract to the handlers") {
    Judge judge;
    const std::string done = judge.submit("echo", "{\"a\":[1]}");
    const std::string slow = judge.submit("sleep", "3000000"),
                      slower = judge.submit("sleep", "3000000");
    judge.cluster.run_for(2s);
    try_keys_and_query(judge);
    try_submits(judge);
    try_labels(judge);
    try_reads(judge, done, slow);
    try_priority(judge, done, slow);
    try_dead_letters(judge, done);
    try_operations(judge);
    try_groups(judge);
    try_workflows(judge);
    try_workers(judge);
    try_queues(judge);
    try_schemas(judge);
    try_schedules(judge);
    try_cancel(judge, done, slow);
    try_leases(judge);
    try_pulling(judge);
    try_logs(judge);
    try_backups(judge);
    try_registrations(judge);
    try_events(judge);
    try_endpoints(judge);
    judge.ask("GET", "/healthz", "/healthz", "", 200);
    judge.ask("GET", "/readyz", "/readyz", "", 200);
    judge.ask("GET", "/openapi.json", "/openapi.json", "", 200);
    const std::string figures = judge.ask("GET", "/metrics", "/metrics", "", 200);
    CHECK_THAT(figures, Catch::Matchers::Contains("taskd_tasks_submitted_total"));
    CHECK_THAT(figures, Catch::Matchers::Contains("taskd_submit_seconds"));
    try_a_full_disk(judge, slower);
    try_topics(judge);  // behind those who count on tasks that take a while
    for (const ApiOperation& each : judge.contract.operations) {
        if (!each.roles.contains("dispatcher") && !each.roles.contains("nameservice")) continue;
        INFO(each.name());
        for (const std::string& status : each.statuses)
            if (status[0] == '2') CHECK(each.seen_statuses.contains(status));
        for (const std::string& error : each.errors) {
            INFO(error);
            CHECK((each.seen_errors.contains(error) || tested_elsewhere(each, error)));
        }
    }
}

TEST_CASE("routes and contract name the same operations") {
    Contract contract;
    SimCluster cluster{{.seed = 1}};
    std::set<std::string> routed;
    for (const auto& route : cluster.dispatcher().front().routes())
        routed.insert(std::string{route.method} + " " + std::string{route.pattern});
    std::set<std::string> written;
    for (const ApiOperation& each : contract.operations)
        if (each.roles.contains("dispatcher")) written.insert(each.name());
    CHECK(routed == written);
}
