// The contract of groups, kept by their handlers.
#include "openapi_judge.hpp"

namespace taskd::test {
namespace {

const std::string all = "/v1/groups", one = all + "/{id}";

void refuse_groups(Judge& judge) {
    const auto refused = [&](const std::string& body, int status, const std::string& error) {
        judge.ask("POST", all, all, body, status, error);
    };
    refused("{", 400, "bad_json");
    refused("[]", 422, "invalid_field");
    refused("{}", 422, "missing_field");
    refused("{\"open\":1}", 422, "invalid_field");
    refused("{\"open\":true,\"size\":1}", 422, "unknown_field");
    refused("{\"open\":true,\"id\":\"7\"}", 422, "invalid_id");
    refused("{\"open\":true,\"name\":\"" + std::string(1001, 'n') + "\"}", 422, "invalid_field");
    refused("{\"tasks\":{\"type\":\"echo\"}}", 422, "invalid_field");
    refused("{\"tasks\":[{\"type\":\"echo\",\"group\":\"018bcfe5-687b-7000-8000-0000000000a9\"}]}",
            422, "invalid_field");
    refused("{\"open\":true,\"completion\":[]}", 422, "invalid_field");
    refused("{\"open\":true,\"completion\":{\"type\":\"echo\",\"idempotency_key\":\"k\"}}", 422,
            "invalid_field");
    refused("{\"tasks\":[{\"type\":\"echo\",\"payload\":\"" +
                std::string(limits::task_bytes_max, 'x') + "\"}]}",
            413, "task_too_large");
    std::string many = "{\"tasks\":[{\"type\":\"echo\"}";
    for (std::size_t i = 0; i < limits::submit_tasks_max; ++i)
        many += ",{\"type\":\"echo\"}";
    refused(many + "]}", 413, "too_many_tasks");
    const std::string keyed = "{\"type\":\"echo\",\"idempotency_key\":\"in a group\",\"payload\":";
    refused("{\"tasks\":[" + keyed + "1}," + keyed + "2}]}", 409, "key_conflict");
    judge.ask("POST", "/v1/queues/{type}/drain", "/v1/queues/shut/drain", "", 200);
    refused("{\"tasks\":[{\"type\":\"shut\"}]}", 503, "queue_draining");
    judge.ask("PUT", "/v1/queues/{type}", "/v1/queues/narrow", "{\"key_backlog_max\":1}", 200);
    refused("{\"tasks\":[{\"type\":\"narrow\",\"key\":\"a\"},{\"type\":\"narrow\",\"key\":\"a\"}]}",
            429, "key_backlog_full");
    judge.ask("PUT", "/v1/queues/{type}/schema", "/v1/queues/number/schema",
              R"({"type":"integer"})", 200);
    refused(R"({"tasks":[{"type":"number","payload":"one"}]})", 422, "schema_mismatch");
}

std::string make_group(Judge& judge, const std::string& body) {
    return *protocol::read_string(field(judge.ask("POST", all, all, body, 202), "id"), "id");
}

// As many open ones as may be.
void fill_groups(Judge& judge) {
    for (std::size_t i = 0; i < limits::groups_running_max; ++i) {
        const auto answer = judge.cluster.ask("dispatcher", {"POST", all, {}, "{\"open\":true}"});
        REQUIRE(answer);
        if (answer->status == 202) continue;
        CHECK(answer->status == 429);
        CHECK(i + 10 > limits::groups_running_max);
        break;
    }
    judge.ask("POST", all, all, "{\"open\":true}", 429, "too_many_groups");
}

void try_names(Judge& judge, const std::string& known) {
    const std::tuple<const char*, std::string, std::string> routes[] = {
        {"GET", one, ""}, {"POST", one + "/close", "/close"}, {"POST", one + "/cancel", "/cancel"}};
    for (const auto& [method, path, tail] : routes) {
        judge.ask(method, path, all + "/018bcfe5-687b-7000-8000-0000000000a9" + tail, "", 404,
                  "group_not_found");
        judge.ask(method, path, all + "/xyz" + tail, "", 422, "invalid_id");
        judge.ask(method, path, all + "/" + known.substr(0, 4) + tail, "", 409, "ambiguous_id");
    }
}

}  // namespace

void try_groups(Judge& judge) {
    refuse_groups(judge);
    const std::string mine = "018bcfe5-687b-7000-8000-0000000000a1";
    const std::string body =
        "{\"id\":\"" + mine +
        "\",\"name\":\"two\",\"tasks\":[{\"type\":\"echo\"},{\"type\":\"broken\"}],"
        "\"completion\":{\"type\":\"echo\",\"payload\":[7]}}";
    CHECK(make_group(judge, body) == mine);
    judge.ask("POST", all, all, body, 409, "group_closed");  // its tasks would be others
    judge.ask("POST", all, all, "{\"id\":\"" + mine + "\",\"open\":true}", 409, "id_conflict");
    std::string now = "{}";
    for (int i = 0; i < 100 && field(now, "state") != "\"done\""; ++i) {
        judge.cluster.run_for(100ms);
        now = judge.ask("GET", one, all + "/" + mine, "", 200);
    }
    CHECK(field(now, "succeeded") == "1");
    CHECK(field(now, "dead") == "1");
    CHECK(split_array(field(now, "failed"))->size() == 1);
    const std::string next = *protocol::read_string(field(now, "completion_id"), "id");
    const std::string task = judge.ask("GET", "/v1/tasks/{id}/result",
                                       "/v1/tasks/" + next + "/result?wait=10s", "", 200);
    CHECK_THAT(task, Catch::Matchers::Contains("\"succeeded\":1,\"dead\":1"));
    CHECK_THAT(task, Catch::Matchers::Contains("\"payload\":[7]"));

    const std::string open = make_group(judge, "{\"open\":true}");
    const auto submit = [&](const std::string& group, int status, const std::string& error) {
        judge.ask("POST", "/v1/tasks", "/v1/tasks",
                  "{\"type\":\"nobody\",\"group\":\"" + group + "\"}", status, error);
    };
    submit(open, 202, "");
    submit("018bcfe5-687b-7000-8000-0000000000a9", 404, "group_not_found");
    judge.ask("POST", one + "/close", all + "/" + open + "/close", "", 200);
    submit(open, 409, "group_closed");
    judge.ask("POST", one + "/cancel", all + "/" + open + "/cancel", "", 202);
    judge.cluster.run_for(2s);
    CHECK(field(judge.ask("GET", one, all + "/" + open, "", 200), "cancelled") == "1");
    judge.ask("GET", all, all, "", 200);
    try_names(judge, make_group(judge, "{\"open\":true}"));
    fill_groups(judge);
}

}  // namespace taskd::test
