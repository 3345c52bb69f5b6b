// The contract of workflows, kept by their handlers.
#include "openapi_judge.hpp"

namespace taskd::test {
namespace {

const std::string all = "/v1/workflows", one = all + "/{id}";
const std::string nobody = "018bcfe5-687b-7000-8000-0000000000b9";

std::string id_of(const std::string& answer) {
    return *protocol::read_string(field(answer, "id"), "id");
}

std::string document(const std::string& steps, const std::string& more = "") {
    return "{\"document\":{\"name\":\"w\",\"steps\":[" + steps + "]" + more + "}}";
}

std::string start(Judge& judge, const std::string& steps) {
    return id_of(judge.ask("POST", all, all, document(steps), 201));
}

void refuse_documents(Judge& judge) {
    const auto refused = [&](const std::string& body, int status, const std::string& error) {
        judge.ask("POST", all, all, body, status, error);
    };
    refused("{", 400, "bad_json");
    refused("[]", 422, "invalid_field");
    refused("{}", 422, "missing_field");
    refused("{\"document\":5}", 422, "invalid_field");
    refused("{\"document\":{},\"inputs\":[]}", 422, "invalid_field");
    refused("{\"document\":{},\"id\":\"7\"}", 422, "invalid_field");
    refused("{\"document\":{},\"when\":1}", 422, "unknown_field");
    refused("{\"document\":{}}", 422, "bad_workflow");
    refused("{\"document\":\"a: [\"}", 422, "bad_workflow");
    refused(document("{\"name\":\"a\",\"type\":\"echo\",\"payload\":\"${b}\"}"), 422,
            "unresolved_reference");
    refused(document("{\"name\":\"a\",\"type\":\"echo\",\"when\":\"1 >\"}"), 422, "bad_condition");
    refused(document("{\"name\":\"a\",\"type\":\"echo\",\"after\":[\"b\"]},"
                     "{\"name\":\"b\",\"type\":\"echo\",\"after\":[\"a\"]}"),
            422, "step_cycle");
    std::string many = "{\"type\":\"echo\",\"name\":\"s\"}";
    for (std::size_t i = 0; i < limits::workflow_steps_max; ++i)
        many += ",{\"type\":\"echo\",\"name\":\"s" + std::to_string(i) + "\"}";
    refused(document(many), 422, "too_many_steps");
    judge.ask("PUT", "/v1/queues/{type}", "/v1/queues/strict",
              "{\"schema\":{\"type\":\"integer\"}}", 200);
    refused(document("{\"name\":\"a\",\"type\":\"strict\",\"payload\":\"x\"}"), 422,
            "schema_mismatch");
    judge.ask("POST", all, all + "?wait=soon", document("{\"name\":\"a\",\"type\":\"echo\"}"), 422,
              "invalid_field");
}

void try_reading(Judge& judge, const std::string& known) {
    judge.ask("GET", all, all + "?state=succeeded&name=w&limit=1&inner=true", "", 200);
    judge.ask("GET", all, all + "?after=" + known, "", 200);
    judge.ask("GET", all, all + "?after=7", "", 422, "invalid_id");
    for (const char* bad : {"state=busy", "limit=x"})
        judge.ask("GET", all, all + "?" + std::string{bad}, "", 422, "invalid_field");
    judge.ask("GET", one, all + "/" + known + "?wait=soon", "", 422, "invalid_field");
    const std::string steps = one + "/steps", at = all + "/" + known + "/steps";
    CHECK(split_array(field(judge.ask("GET", steps, at + "?after=1&limit=1", "", 200), "steps"))
              ->size() == 1);
    judge.ask("GET", steps, at + "?after=-1", "", 422, "invalid_field");
    const std::string graph = one + "/graph", drawn = all + "/" + known + "/graph";
    CHECK(judge.ask("GET", graph, drawn, "", 200).starts_with("<svg"));
    CHECK(judge.ask("GET", graph, drawn + "?format=dot", "", 200).starts_with("digraph"));
    judge.ask("GET", graph, drawn + "?format=png", "", 422, "invalid_field");
    std::string many = "{\"join\":true,\"name\":\"s\"}";
    for (std::size_t i = 0; i < limits::graph_steps_max; ++i)
        many += ",{\"join\":true,\"name\":\"s" + std::to_string(i) + "\"}";
    const std::string large = start(judge, many);
    judge.ask("GET", graph, all + "/" + large + "/graph", "", 422, "too_many_steps");
}

void try_acts(Judge& judge, const std::string& done) {
    const std::string open =
        start(judge, "{\"name\":\"ask\",\"approval\":\"ok?\"},{\"name\":\"go\",\"signal\":\"go\"}");
    const std::string at = all + "/" + open;
    CHECK(split_array(
              field(judge.ask("GET", one + "/explain", at + "/explain", "", 200), "waits_for"))
              ->size() == 2);
    const std::string signals = one + "/signals/{name}";
    judge.ask("POST", signals, at + "/signals/go", "{", 400, "bad_json");
    judge.ask("POST", signals, at + "/signals/a%20b", "1", 422, "invalid_field");
    judge.ask("POST", signals, at + "/signals/go",
              "\"" + std::string(limits::signal_bytes_max, 'x') + "\"", 413, "body_too_large");
    for (std::size_t i = 0; i < limits::workflow_signals_max; ++i)
        judge.ask("POST", signals, at + "/signals/early", "7", 200);
    judge.ask("POST", signals, at + "/signals/early", "7", 429, "too_many_signals");
    judge.ask("POST", signals, at + "/signals/go", "{\"a\":1}", 200);
    for (const std::string verb : {"approve", "reject"}) {
        const std::string path = one + "/steps/{step}/" + verb, step = at + "/steps/";
        judge.ask("POST", path, step + "ask/" + verb, "{", 400, "bad_json");
        judge.ask("POST", path, step + "ask/" + verb, "[]", 422, "invalid_field");
        judge.ask("POST", path, step + "ask/" + verb, "{\"who\":1}", 422, "unknown_field");
        judge.ask("POST", path, step + "none/" + verb, "", 404, "step_not_found");
        judge.ask("POST", path, step + "go/" + verb, "", 409, "step_not_waiting");
    }
    judge.ask("POST", one + "/retry", at + "/retry", "", 409, "workflow_running");
    judge.ask("DELETE", one, at, "", 409, "workflow_running");
    judge.ask("POST", one + "/steps/{step}/reject", at + "/steps/ask/reject",
              "{\"by\":\"ann\",\"comment\":\"no\"}", 200);
    const std::string failed = judge.ask("GET", one, at + "?wait=5s&steps=true", "", 200);
    CHECK(field(failed, "state") == "\"failed\"");
    CHECK_THAT(failed, Catch::Matchers::Contains("\"rejected\""));
    judge.ask("POST", one + "/retry", at + "/retry", "", 200);
    judge.ask("POST", one + "/steps/{step}/approve", at + "/steps/ask/approve", "{\"by\":\"ann\"}",
              200);
    CHECK(field(judge.ask("GET", one, at + "?wait=5s", "", 200), "state") == "\"succeeded\"");

    const std::string over = all + "/" + done;
    judge.ask("POST", one + "/retry", over + "/retry", "", 409, "workflow_finished");
    judge.ask("POST", signals, over + "/signals/go", "1", 409, "workflow_finished");
    judge.ask("POST", one + "/steps/{step}/approve", over + "/steps/a/approve", "", 409,
              "workflow_finished");
    judge.ask("POST", one + "/steps/{step}/reject", over + "/steps/a/reject", "", 409,
              "workflow_finished");
    const std::string cancel = one + "/cancel";
    judge.ask("POST", cancel, over + "/cancel", "", 409, "workflow_finished");
    const std::string other = all + "/" + start(judge, "{\"name\":\"a\",\"type\":\"nobody\"}");
    judge.ask("POST", cancel, other + "/cancel", "{", 400, "bad_json");
    judge.ask("POST", cancel, other + "/cancel", "{\"why\":1}", 422, "unknown_field");
    judge.ask("POST", cancel, other + "/cancel", "{\"reason\":1}", 422, "invalid_field");
    CHECK(field(judge.ask("POST", cancel, other + "/cancel", "{\"reason\":\"enough\"}", 200),
                "state") == "\"cancelled\"");
    judge.ask("DELETE", one, other, "", 204);
    judge.ask("GET", one, other, "", 404, "workflow_not_found");
}

// A workflow within another is tried again with it.
void try_inner(Judge& judge) {
    const std::string outer =
        start(judge,
              "{\"name\":\"in\",\"workflow\":{\"name\":\"inner\",\"steps\":[{\"name\":\"a\","
              "\"signal\":\"s\",\"timeout\":\"1s\"}]}}");
    judge.ask("GET", one, all + "/" + outer + "?wait=10s", "", 200);
    const std::string steps =
        judge.ask("GET", one + "/steps", all + "/" + outer + "/steps", "", 200);
    const auto inner = protocol::read_string(
        field(split_array(field(steps, "steps"))->front(), "workflow"), "workflow");
    REQUIRE(inner);
    judge.ask("POST", one + "/retry", all + "/" + *inner + "/retry", "", 409, "is_step");
}

void try_names(Judge& judge, const std::string& known) {
    const std::tuple<const char*, std::string, std::string> routes[] = {
        {"GET", one, ""},
        {"DELETE", one, ""},
        {"GET", one + "/steps", "/steps"},
        {"GET", one + "/explain", "/explain"},
        {"GET", one + "/graph", "/graph"},
        {"POST", one + "/cancel", "/cancel"},
        {"POST", one + "/retry", "/retry"},
        {"POST", one + "/signals/{name}", "/signals/x"},
        {"POST", one + "/steps/{step}/approve", "/steps/x/approve"},
        {"POST", one + "/steps/{step}/reject", "/steps/x/reject"}};
    for (const auto& [method, path, tail] : routes) {
        judge.ask(method, path, all + "/" + nobody + tail, "", 404, "workflow_not_found");
        judge.ask(method, path, all + "/xyz" + tail, "", 422, "invalid_id");
        judge.ask(method, path, all + "/" + known.substr(0, 4) + tail, "", 409, "ambiguous_id");
    }
}

// As many as may be; each waits for what never comes.
void fill_workflows(Judge& judge) {
    const std::string body = document("{\"name\":\"a\",\"signal\":\"s\"}");
    const std::string failed = start(judge, "{\"name\":\"a\",\"approval\":\"?\"}");
    judge.ask("POST", one + "/steps/{step}/reject", all + "/" + failed + "/steps/a/reject", "",
              200);
    for (std::size_t i = 0; i < limits::workflows_running_max; ++i) {
        const auto answer = judge.cluster.ask("dispatcher", {"POST", all, {}, body});
        REQUIRE(answer);
        if (answer->status == 429) break;
        CHECK(answer->status == 201);
    }
    judge.ask("POST", all, all, body, 429, "too_many_workflows");
    judge.ask("POST", one + "/retry", all + "/" + failed + "/retry", "", 429, "too_many_workflows");
}

}  // namespace

void try_workflows(Judge& judge) {
    refuse_documents(judge);
    const std::string mine = "018bcfe5-687b-7000-8000-0000000000b1";
    const std::string body =
        "{\"id\":\"" + mine +
        "\",\"inputs\":{\"n\":2},\"document\":{\"name\":\"w\",\"inputs\":[\"n\"],\"steps\":["
        "{\"name\":\"a\",\"type\":\"echo\",\"payload\":[\"${inputs.n}\"]},"
        "{\"name\":\"b\",\"type\":\"echo\",\"payload\":\"${a[0]}\",\"after\":[\"a\"]}]}}";
    const std::string done = judge.ask("POST", all, all + "?wait=10s", body, 201);
    CHECK(id_of(done) == mine);
    CHECK(field(done, "state") == "\"succeeded\"");
    CHECK(field(done, "output") == "2");
    judge.ask("POST", all, all, body, 200);
    judge.ask("POST", all, all,
              "{\"id\":\"" + mine +
                  "\",\"document\":{\"name\":\"w\",\"steps\":["
                  "{\"name\":\"a\",\"type\":\"echo\"}]}}",
              409, "id_conflict");
    judge.ask("POST", all, all, "name: y\nsteps:\n  - {name: a, type: echo}\n", 201, {},
              {{"Content-Type", "application/yaml"}});
    try_reading(judge, mine);
    try_acts(judge, mine);
    try_inner(judge);
    try_names(judge, start(judge, "{\"name\":\"a\",\"type\":\"echo\"}"));
    fill_workflows(judge);
}

}  // namespace taskd::test
