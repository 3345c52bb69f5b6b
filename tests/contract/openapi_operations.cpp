// The contract of dead letters and of operations, kept by their handlers.
#include "openapi_judge.hpp"

namespace taskd::test {
namespace {

const std::string all = "/v1/operations", one = all + "/{id}";

std::string begin_operation(Judge& judge, const std::string& body) {
    const std::string answer = judge.ask("POST", all, all, body, 202);
    return *protocol::read_string(field(answer, "id"), "id");
}

void refuse_operations(Judge& judge) {
    const auto refused = [&](const std::string& body, int status, const std::string& error) {
        judge.ask("POST", all, all, body, status, error);
    };
    refused("{", 400, "bad_json");
    refused("[]", 422, "invalid_field");
    refused("{\"q\":\"type:a\"}", 422, "missing_field");
    refused("{\"action\":\"cancel\"}", 422, "missing_field");
    refused("{\"action\":\"burn\",\"q\":\"type:a\"}", 422, "invalid_field");
    refused("{\"action\":\"cancel\",\"q\":\" \"}", 422, "invalid_field");
    refused("{\"action\":\"cancel\",\"q\":\"tpye:a\"}", 422, "invalid_field");
    refused("{\"action\":\"cancel\",\"q\":\"type:a\",\"rate\":-1}", 422, "invalid_field");
    refused("{\"action\":\"cancel\",\"q\":\"type:a\",\"by\":\"" + std::string(1001, 'b') + "\"}",
            422, "invalid_field");
    refused("{\"action\":\"cancel\",\"q\":\"type:a\",\"id\":\"7\"}", 422, "invalid_id");
    refused("{\"action\":\"cancel\",\"q\":\"type:a\",\"where\":1}", 422, "unknown_field");
}

void run_operations(Judge& judge, const std::string& mine) {
    const std::string first = judge.submit("nobody", "1"), second = judge.submit("nobody", "2");
    const std::string body = "{\"id\":\"" + mine +
                             "\",\"action\":\"cancel\",\"q\":\"type:nobody "
                             "payload[0]:1,2 type:nobody\",\"reason\":\"test\"}";
    const auto ended = [&](const std::string& id) {
        std::string now;
        for (int i = 0; i < 100 && field(now = judge.ask("GET", one, all + "/" + id, "", 200),
                                   "state") == "\"running\"";
             ++i)
            judge.cluster.run_for(100ms);
        return now;
    };
    const auto begin = [&](const std::string& text) { return begin_operation(judge, text); };
    CHECK(begin(body) == mine);
    CHECK(begin(body) == mine);  // said again
    judge.ask("POST", all, all,
              "{\"id\":\"" + mine + "\",\"action\":\"delete\",\"q\":\"type:nobody\"}", 409,
              "id_conflict");
    CHECK(field(ended(mine), "changed") == "0");
    const std::string cancel =
        begin("{\"action\":\"cancel\",\"q\":\"type:nobody\",\"reason\":\"test\",\"by\":\"ann\"}");
    CHECK(field(ended(cancel), "state") == "\"done\"");
    CHECK_THAT(judge.ask("GET", "/v1/tasks/{id}", "/v1/tasks/" + first, "", 200),
               Catch::Matchers::Contains("\"message\":\"test\""));
    const std::string remove = begin("{\"action\":\"delete\",\"q\":\"id:" + first + "\"}");
    CHECK(field(ended(remove), "changed") == "1");
    judge.ask("GET", "/v1/tasks/{id}", "/v1/tasks/" + first, "", 404, "task_not_found");
    judge.ask("GET", "/v1/tasks/{id}", "/v1/tasks/" + second, "", 200);
    const std::string redrive = begin("{\"action\":\"redrive\",\"q\":\"type:fatal\",\"rate\":100}");
    CHECK(field(ended(redrive), "changed") == "1");
}

void stop_operations(Judge& judge, const std::string& mine) {
    const auto begin = [&](const std::string& text) { return begin_operation(judge, text); };
    std::string many = "[";
    for (int i = 0; i < 50; ++i)
        many += (i == 0 ? "{\"type\":\"slow\"}" : ",{\"type\":\"slow\"}");
    judge.ask("POST", "/v1/tasks", "/v1/tasks", many + "]", 202);
    const std::string slow = "{\"action\":\"cancel\",\"q\":\"type:slow\",\"rate\":1}";
    std::vector<std::string> ids;
    for (std::size_t i = 0; i < limits::operations_running_max; ++i)
        ids.push_back(begin(slow));
    judge.ask("POST", all, all, slow, 429, "too_many_operations");
    judge.ask("GET", all, all, "", 200);
    const std::string stop = one + "/stop";
    for (const std::string& id : ids)
        CHECK(field(judge.ask("POST", stop, all + "/" + id + "/stop", "", 200), "state") ==
              "\"stopped\"");
    for (const auto& [method, path, tail] :
         {std::tuple{"GET", one, ""}, std::tuple{"POST", stop, "/stop"}}) {
        judge.ask(method, path, all + "/018bcfe5-687b-7000-8000-0000000000f9" + tail, "", 404,
                  "operation_not_found");
        judge.ask(method, path, all + "/ffff0000" + tail, "", 404, "operation_not_found");
        judge.ask(method, path, all + "/xyz" + tail, "", 422, "invalid_id");
        judge.ask(method, path, all + "/" + ids[0].substr(0, 4) + tail, "", 409, "ambiguous_id");
        judge.ask(method, path, all + "/" + mine.substr(0, 36) + tail, "", 200);
    }
}

}  // namespace

// Of a type that a pulling worker of the test fails.
static std::string make_dead(Judge& judge, const std::string& payload) {
    const std::string id = judge.submit("fatal", payload);
    judge.ask("POST", "/v1/leases", "/v1/leases", R"({"types":["fatal"],"worker":"w9"})", 200);
    judge.ask("POST", "/v1/leases/{lease}/fail", "/v1/leases/" + id + ".1/fail",
              "{\"error\":{\"code\":\"x\",\"permanent\":true}}", 200);
    return id;
}

void try_dead_letters(Judge& judge, const std::string& done) {
    const std::string dead = make_dead(judge, "[1]"), at = "/v1/tasks/";
    const std::string other = make_dead(judge, "[2]");
    for (const std::string verb : {"redrive", "payload"}) {
        const std::string path = "/v1/tasks/{id}/" + verb,
                          method = verb == "redrive" ? "POST" : "PUT";
        const auto ask = [&](const std::string& id, int status, const std::string& error) {
            judge.ask(method, path, at + id + "/" + verb, verb == "redrive" ? "" : "[5]", status,
                      error);
        };
        ask(done, 409, "task_not_dead");
        ask(done.substr(0, 4), 409, "ambiguous_id");
        ask("018bcfe5-687b-7000-8000-000000000001", 404, "task_not_found");
        ask("xyz", 422, "invalid_id");
    }
    const std::string payload = "/v1/tasks/{id}/payload";
    judge.ask("PUT", payload, at + dead + "/payload", "[", 400, "bad_json");
    judge.ask("PUT", payload, at + dead + "/payload",
              "\"" + std::string(limits::task_bytes_max, 'x') + "\"", 413, "task_too_large");
    const std::string schema = "/v1/queues/{type}/schema", fatal = "/v1/queues/fatal/schema";
    judge.ask("PUT", schema, fatal, "{\"type\":\"array\"}", 200);
    judge.ask("PUT", payload, at + dead + "/payload", "{\"to\":\"ann\"}", 422, "schema_mismatch");
    judge.ask("PUT", schema, fatal, "null", 200);
    judge.ask("PUT", payload, at + dead + "/payload", "{\"to\":\"ann\"}", 200);
    judge.ask("POST", "/v1/tasks/{id}/redrive", at + dead + "/redrive", "", 200);
    const std::string now = judge.ask("GET", "/v1/tasks/{id}", at + dead, "", 200);
    CHECK(field(now, "payload") == "{\"to\":\"ann\"}");
    CHECK(field(now, "redrives") == "1");
    CHECK(field(now, "state") == "\"queued\"");
    CHECK(field(now, "attempts_made") == "1");
    CHECK(field(now, "failures") == "0");
    CHECK_FALSE(field(now, "edited_at").empty());
}

void try_operations(Judge& judge) {
    const std::string mine = "018bcfe5-687b-7000-8000-0000000000f1";
    refuse_operations(judge);
    run_operations(judge, mine);
    stop_operations(judge, mine);
}

}  // namespace taskd::test
