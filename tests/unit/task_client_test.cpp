// The client of the command line against scripted answers: it goes on over broken connections and
// never makes a second task.
#include "taskd/service/task_client.hpp"
#include "taskd/protocol/problem.hpp"

#include <deque>

#include "catch.hpp"
#include "manual_clock.hpp"
#include "taskd/base/duration_text.hpp"

using namespace taskd;
using namespace taskd::service;
using namespace std::chrono_literals;

namespace {

const std::string id_text = "019387a2-4c00-7a31-8f52-6c1f0e9b7d24";
const std::string task_json = R"({"id":")" + id_text + R"(","state":)";

// Answers what is in its script, and remembers what it was asked. Each call takes `takes`.
struct Script {
    std::deque<Result<port::HttpResponse>> answers;
    std::function<Result<port::HttpResponse>(const port::HttpRequest&)> serve;  // instead
    std::vector<port::HttpRequest> asked;
    std::vector<Duration> pauses;
    int told = 0;
    Duration takes{0};
    support::ManualClock clock;

    TaskClient client(Duration retry_for, std::string key = {}) {
        return TaskClient{
            {.key = protocol::ClusterKey{std::move(key)}, .retry_for = retry_for, .seed = 1},
            {.call = [this](port::HttpRequest request, Duration) -> Result<port::HttpResponse> {
                 asked.push_back(std::move(request));
                 if (serve) return serve(asked.back());
                 clock.advance(takes);
                 if (answers.empty()) return fail(ErrorCode::unreachable, "nobody");
                 auto answer = std::move(answers.front());
                 answers.pop_front();
                 return answer;
             },
             .pause =
                 [this](Duration pause) {
                     pauses.push_back(pause);
                     clock.advance(pause);
                 },
             .trying_again = [this](const Error&) { ++told; },
             .clock = clock}};
    }
};

Result<port::HttpResponse> ok(int status, std::string body) {
    return port::HttpResponse{status, {}, std::move(body)};
}

Result<port::HttpResponse> problem(ErrorCode code) {
    return port::HttpResponse{row_of(code).http_status, {}, protocol::write_problem({code, ""})};
}

TaskSpec spec() {
    TaskSpec made;
    made.id = *TaskId::parse(id_text);
    made.type = "sum";
    made.payload = Blob{"[1,2]"};
    return made;
}

}  // namespace

TEST_CASE("a submit that ends in time is one request") {
    Script script;
    script.answers.push_back(ok(200, task_json + R"("succeeded","result":3})"));
    auto client = script.client(5s, "a secret of 16 bytes");
    const auto outcome = client.submit(spec(), 20s);
    REQUIRE(outcome);
    CHECK(outcome->result == "3");
    REQUIRE(script.asked.size() == 1);
    CHECK(script.asked[0].method == "POST");
    CHECK(script.asked[0].target == "/v1/tasks?wait=20s");
    CHECK(port::find_header(script.asked[0].headers, "Authorization") ==
          "Bearer a secret of 16 bytes");
    CHECK_THAT(script.asked[0].body, Catch::Matchers::Contains(id_text));
}

TEST_CASE("a submit over a broken connection is said again with the same id") {
    Script script;
    script.answers.push_back(fail(ErrorCode::bad_answer, "cut"));
    script.answers.push_back(fail(ErrorCode::unreachable, "refused"));
    script.answers.push_back(problem(ErrorCode::not_ready));
    script.answers.push_back(problem(ErrorCode::backlog_full));  // maybe by what was taken
    script.answers.push_back(ok(200, task_json + R"("succeeded","result":3})"));
    auto client = script.client(5s);
    REQUIRE(client.submit(spec(), 30s));
    REQUIRE(script.asked.size() == 5);
    for (const auto& request : script.asked)
        CHECK(request.body == script.asked[0].body);
    CHECK(script.told == 1);
    REQUIRE(script.pauses.size() == 4);
    CHECK(script.pauses[0] < script.pauses[1]);
    CHECK(script.pauses[1] < script.pauses[2]);
}

TEST_CASE("what is still to wait shrinks with every try") {
    Script script;
    script.takes = 10s;
    script.answers.push_back(fail(ErrorCode::bad_answer, "cut"));
    script.answers.push_back(ok(202, task_json + R"("running"})"));
    script.answers.push_back(ok(200, task_json + R"("succeeded","result":3})"));
    auto client = script.client(5s);
    REQUIRE(client.submit(spec(), 30s));
    REQUIRE(script.asked.size() == 3);
    CHECK(script.asked[1].target.starts_with("/v1/tasks?wait=19s"));
    CHECK(script.asked[2].target.starts_with("/v1/tasks/" + id_text + "/result?wait=9s"));
}

TEST_CASE("without patience the first broken connection is the answer") {
    Script script;
    auto client = script.client(0s);
    const auto outcome = client.submit(spec(), 30s);
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error().code == ErrorCode::unreachable);
    CHECK(script.asked.size() == 1);
    CHECK(script.pauses.empty());
    CHECK(script.told == 0);
}

TEST_CASE("patience counts from the first failure in a row and ends") {
    Script script;
    auto client = script.client(3s);
    const SteadyTime begin = script.clock.steady();
    const auto outcome = client.submit_and_leave(spec());
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error().code == ErrorCode::unreachable);
    CHECK(script.clock.steady() - begin == 3s);
    CHECK(script.asked.size() > 3);
}

TEST_CASE("a refusal is not repeated") {
    for (const ErrorCode code : {ErrorCode::wrong_key, ErrorCode::missing_key, ErrorCode::disk_full,
                                 ErrorCode::id_conflict, ErrorCode::task_too_large}) {
        Script script;
        script.answers.push_back(problem(code));
        auto client = script.client(5s);
        const auto outcome = client.submit(spec(), 30s);
        REQUIRE_FALSE(outcome);
        CHECK(outcome.error().code == code);
        CHECK(script.asked.size() == 1);
    }
}

TEST_CASE("a long wait is asked for in parts") {
    Script script;
    script.takes = 25s;
    script.answers.push_back(ok(202, task_json + R"("running"})"));
    script.answers.push_back(ok(202, task_json + R"("running"})"));
    script.answers.push_back(ok(200, task_json + R"("succeeded","result":1})"));
    auto client = script.client(5s);
    REQUIRE(client.submit(spec(), 60s));
    REQUIRE(script.asked.size() == 3);
    CHECK(script.asked[0].target == "/v1/tasks?wait=25s");
    CHECK(script.asked[1].target.ends_with("result?wait=25s"));
    CHECK(script.asked[2].target.ends_with("result?wait=10s"));
}

// As nginx and most load balancers do: an answer that has not begun after a minute is theirs, and
// two of them in a row are all that a client bears.
TEST_CASE("a long wait behind a proxy that cuts off after half a minute ends well") {
    Script script;
    SteadyTime due = script.clock.steady() + 10min;
    script.serve = [&](const port::HttpRequest& request) -> Result<port::HttpResponse> {
        const std::string text = request.target.starts_with("/v1/results")
                                     ? request.body.substr(request.body.rfind(':') + 1)
                                     : request.target.substr(request.target.rfind('=') + 1);
        const Duration wait = request.target.starts_with("/v1/results")
                                  ? std::chrono::milliseconds{std::stoll(text)}
                                  : parse_duration(text).value();
        CHECK(wait <= 30s);
        const Duration left = std::max(due - script.clock.steady(), Duration{0});
        script.clock.advance(std::min({left, wait, Duration{30s}}));
        if (std::min(left, wait) > 30s)
            return port::HttpResponse{504, {}, "<html>504 Gateway Time-out</html>"};
        const std::string task =
            task_json + (left > wait ? R"("running"})" : R"("succeeded","result":1})");
        return request.target.starts_with("/v1/results")
                   ? ok(200, R"({"tasks":[)" + task + R"(],"missing":[],"left":[]})")
                   : ok(200, task);
    };
    auto client = script.client(30s);
    CHECK(client.submit(spec(), 11min).value().result == "1");
    due += 10min;
    CHECK(client.await(id_text, 11min).value().result == "1");
    due += 10min;
    CHECK(client.results({id_text}, 11min).value().front().result == "1");
    CHECK(script.told == 0);
}

TEST_CASE("a wait that is over says what the task waits for") {
    Script script;
    script.takes = 1s;
    script.answers.push_back(ok(202, task_json + R"("queued"})"));
    script.answers.push_back(ok(202, task_json + R"("queued"})"));
    script.answers.push_back(
        ok(200,
           task_json + R"("queued","waiting_for":{"rule":"no_worker","text":"nobody does it"}})"));
    auto client = script.client(5s);
    const auto outcome = client.submit(spec(), 2s);
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error().code == ErrorCode::timed_out);
    CHECK_THAT(outcome.error().detail,
               Catch::Matchers::Contains(id_text + " is queued: nobody does it"));
}

TEST_CASE("outcomes are read from whole and from brief tasks") {
    const auto dead = parse_outcome(
        task_json +
        R"("dead","error":{"code":"bad_payload","message":"no","permanent":true},"type":"x"})");
    REQUIRE(dead);
    CHECK(dead->ended());
    CHECK(dead->error_state());
    CHECK(dead->error->code == "bad_payload");
    CHECK_FALSE(parse_outcome(task_json + R"("scheduled"})")->ended());
    for (const char* bad : {"", "[]", "{", "{}", R"({"id":"x"})", R"({"state":"dead"})"}) {
        const auto outcome = parse_outcome(bad);
        REQUIRE_FALSE(outcome);
        CHECK(outcome.error().code == ErrorCode::bad_answer);
    }
}

TEST_CASE("results that one answer had no room for are asked for again") {
    const std::string other = "019387a2-4c00-7a31-8f52-6c1f0e9b7d25";
    const auto answer = [](const std::string& id, const std::string& left) {
        return ok(200, R"({"tasks":[{"id":")" + id + R"(","state":"succeeded","result":")" + id +
                           R"("}],"missing":[],"left":[)" + left + "]}");
    };
    std::string upper = id_text;
    for (char& each : upper)
        each = static_cast<char>(std::toupper(static_cast<unsigned char>(each)));
    Script script;
    script.answers = {answer(other, '"' + id_text + '"'), answer(id_text, "")};
    const auto got = script.client(0s).results({upper, other}, 3s);
    REQUIRE(got);
    REQUIRE(got->size() == 2);
    CHECK((*got)[0].id == id_text);
    CHECK((*got)[1].id == other);
    REQUIRE(script.asked.size() == 2);
    CHECK(script.asked[0].body.find("\"wait_ms\":3000") != std::string::npos);
    CHECK(script.asked[1].body == R"({"ids":[")" + id_text + R"("],"wait_ms":0})");
    // An answer that brings nothing would be asked for without end.
    Script empty;
    empty.answers = {ok(200, R"({"tasks":[],"missing":[],"left":[")" + other + "\"]}")};
    CHECK(empty.client(0s).results({other}, 0s).error().code == ErrorCode::bad_answer);
}

TEST_CASE("a long wait for many results is asked for in parts") {
    const auto answer = [](const std::string& rest) {
        return ok(200, R"({"tasks":[)" + task_json + rest + R"(}],"missing":[],"left":[]})");
    };
    Script script;
    script.takes = 25s;
    script.answers = {answer(R"("running")"), answer(R"("running")"),
                      answer(R"("succeeded","result":1)")};
    const auto got = script.client(0s).results({id_text}, 15min);
    REQUIRE(got);
    CHECK(got->front().state == "succeeded");
    REQUIRE(script.asked.size() == 3);
    for (const auto& asked : script.asked)
        CHECK(asked.body == R"({"ids":[")" + id_text + R"("],"wait_ms":25000})");
    // The time is up, whatever the state.
    script.answers = {answer(R"("running")"), answer(R"("running")")};
    CHECK(script.client(0s).results({id_text}, 40s).value().front().state == "running");
    CHECK(script.asked.back().body.find("\"wait_ms\":15000") != std::string::npos);
}
