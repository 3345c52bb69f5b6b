// The forms that answers take beside plain JSON: tags, HEAD and OPTIONS on every route, lines.
#include <algorithm>
#include <sstream>

#include "openapi_judge.hpp"

using namespace taskd;
using namespace taskd::test;

namespace {

std::string header(const port::HttpResponse& answer, std::string_view name) {
    return std::string{port::find_header(answer.headers, name)};
}

void try_tags(Judge& judge, const std::string& done) {
    const auto ask = [&](const std::string& target, const std::string& known) {
        return *judge.cluster.ask("dispatcher", {"GET", target, {{"If-None-Match", known}}, {}});
    };
    for (const std::string& target :
         {"/v1/tasks/" + done, std::string{"/v1/queues"}, std::string{"/v1/queues/held"},
          std::string{"/v1/workers"}, std::string{"/openapi.json"}}) {
        INFO(target);
        const auto first = ask(target, "");
        const std::string tag = header(first, "ETag");
        CHECK(first.status == 200);
        CHECK(tag.size() == 18);
        for (const std::string& known : {tag, "W/" + tag, "\"x\", " + tag, std::string{"*"}}) {
            const auto same = ask(target, known);
            CHECK(same.status == 304);
            CHECK(same.body.empty());
            CHECK(header(same, "ETag") == tag);
        }
        CHECK(ask(target, "\"0123456789abcdef\"").status == 200);
    }
    const std::string tag = header(ask("/v1/queues/held", ""), "ETag");
    judge.ask("POST", "/v1/queues/{type}/pause", "/v1/queues/held/pause", "", 200);
    CHECK(ask("/v1/queues/held", tag).status == 200);
    judge.ask("POST", "/v1/queues/{type}/resume", "/v1/queues/held/resume", "", 200);
    CHECK(ask("/v1/tasks/018bcfe5-687b-7000-8000-000000000001", "*").status == 404);
}

// HEAD is GET without its body, OPTIONS tells the methods, on every route.
void try_heads_and_options(Judge& judge, const std::string& done) {
    std::map<std::string, std::set<std::string>> methods;
    for (const ApiOperation& each : judge.contract.operations)
        if (each.roles.contains("dispatcher")) methods[each.path].insert(each.method);
    for (const auto& [path, taken] : methods) {
        std::string target = path;
        for (const char* name : {"{id}", "{lease}", "{type}", "{name}"})
            if (const auto at = target.find(name); at != std::string::npos)
                target.replace(at, std::string_view{name}.size(), done);
        if (path == "/v1/events") target += "?since=oldest&limit=1";  // an end for the stream
        INFO(target);
        const auto options = *judge.cluster.ask("dispatcher", {"OPTIONS", target, {}, {}});
        CHECK(options.status == 204);
        for (const std::string& method : taken)
            CHECK(header(options, "Allow").find(method) != std::string::npos);
        const bool reads = taken.contains("GET");
        CHECK((header(options, "Allow").find("HEAD") != std::string::npos) == reads);
        const auto head = *judge.cluster.ask("dispatcher", {"HEAD", target, {}, {}});
        if (!reads) {
            CHECK(head.status == 405);
            continue;
        }
        const auto get = *judge.cluster.ask("dispatcher", {"GET", target, {}, {}});
        CHECK(head.status == get.status);
        CHECK(header(head, "Content-Type") == header(get, "Content-Type"));
        CHECK(head.body.empty());
    }
}

void try_lines(Judge& judge) {
    const std::string path = "/v1/tasks";
    const port::HttpHeaders lines{{"Content-Type", "application/x-ndjson"}};
    const std::string answer =
        judge.ask("POST", path, path,
                  "{\"type\":\"echo\",\"payload\":1}\n\n{\"type\":5}\r\n[]\n{\n"
                  "{\"type\":\"echo\"}",
                  200, "", lines);
    std::vector<std::string> told;
    std::istringstream text{answer};
    for (std::string line; std::getline(text, line);) {
        REQUIRE(protocol::check_json(line));
        std::string what{field(line, "line")};
        const std::string_view problem = field(line, "problem");
        if (problem.empty()) {
            CHECK(TaskId::parse(*protocol::read_string(field(line, "id"), "id")));
            what += " " + *protocol::read_string(field(line, "state"), "state");
        } else {
            CHECK_FALSE(field(problem, "trace_id").empty());
            what += " " + *protocol::read_string(field(problem, "error"), "error");
        }
        told.push_back(what);
    }
    const bool leased = !told.empty() && told[0] == "1 running";
    CHECK(told == std::vector<std::string>{leased ? "1 running" : "1 queued", "3 invalid_field",
                                           "4 invalid_field", "5 bad_json", told.back()});
    CHECK(judge.ask("POST", path, path, "", 200, "", lines).empty());
    judge.ask("POST", path, path + "?wait=1s", "{}", 422, "invalid_field", lines);
    judge.ask("POST", path, path, "{}", 422, "invalid_field",
              {{"Content-Type", "application/x-ndjson"}, {"Idempotency-Key", "k"}});
    judge.ask("POST", path, path, std::string(limits::submit_lines_max + 1, '\n'), 413,
              "too_many_tasks", lines);
    const auto page = *judge.cluster.ask(
        "dispatcher", {"GET", path + "?limit=1", {{"Accept", "application/x-ndjson"}}, {}});
    CHECK(header(page, "Content-Type") == "application/x-ndjson");
    CHECK(std::ranges::count(page.body, '\n') == 1);
    REQUIRE(TaskId::parse(header(page, "Taskd-Next")));
    CHECK(protocol::check_json(page.body));
    CHECK(page.body.find(header(page, "Taskd-Next")) != std::string::npos);
}

}  // namespace

TEST_CASE("answers carry tags, and who has them already gets nothing else") {
    Judge judge;
    const std::string done = judge.submit("echo", "1");
    judge.cluster.run_for(2s);
    try_tags(judge, done);
}

TEST_CASE("HEAD and OPTIONS are right on every route") {
    Judge judge;
    const std::string done = judge.submit("echo", "1");
    judge.cluster.run_for(2s);
    try_heads_and_options(judge, done);
}

TEST_CASE("tasks go in and out one a line") {
    Judge judge;
    try_lines(judge);
}

TEST_CASE("many lines are taken a step at a time, each once") {
    Judge judge;
    std::string body;
    for (std::size_t i = 0; i < 2 * limits::submit_lines_step + 5; ++i)
        body += "{\"type\":\"held\",\"idempotency_key\":\"" + std::to_string(i % 2'000) + "\"}\n";
    const std::string answer = judge.ask("POST", "/v1/tasks", "/v1/tasks", body, 200, "",
                                         {{"Content-Type", "application/x-ndjson"}});
    CHECK(std::ranges::count(answer, '\n') == 2 * limits::submit_lines_step + 5);
    std::set<std::string> ids;
    std::istringstream text{answer};
    for (std::string line; std::getline(text, line);)
        ids.insert(std::string{field(line, "id")});
    CHECK(ids.size() == 2'000);  // the last five were there already
    const std::string counted =
        judge.ask("GET", "/v1/tasks/count", "/v1/tasks/count?type=held", "", 200);
    CHECK(field(counted, "count") == "2000");
}
