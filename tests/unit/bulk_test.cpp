// Many tasks from one file: how it is read, cut into batches, and told in order.
#include "taskd/service/bulk.hpp"

#include "catch.hpp"
#include "manual_clock.hpp"
#include "taskd/protocol/json.hpp"

using namespace taskd;
using namespace taskd::service;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

struct Ids {
    Random random{3};
    std::uint64_t ms = 1'700'000'000'000;
    TaskId operator()() { return TaskId::make(WallTime{std::chrono::milliseconds{ms++}}, random); }
};

Result<std::vector<TaskSpec>> parse(std::string_view text, std::string type = {}) {
    TaskSpec defaults;
    defaults.type = std::move(type);
    defaults.priority = 7;
    return parse_bulk(text, defaults, Ids{});
}

std::string fault(std::string_view text, std::string type = {}) {
    const auto tasks = parse(text, std::move(type));
    REQUIRE_FALSE(tasks);
    return std::string{tasks.error().name()} + " " + tasks.error().detail;
}

// A server that takes tasks and ends so many of them each time it is asked.
struct Server {
    support::ManualClock clock;
    std::vector<std::size_t> batches;
    std::vector<std::string> ids;
    std::size_t ended = 0;
    std::size_t step = 1;
    std::vector<std::string> told;
    BulkCounts last;
    TaskClient client{
        {.retry_for = 0s, .seed = 1},
        {.call = [this](port::HttpRequest request, Duration) { return answer(std::move(request)); },
         .pause = [](Duration) {},
         .trying_again = [](const Error&) {},
         .clock = clock}};

    Result<port::HttpResponse> answer(const port::HttpRequest& request) {
        std::string out = "{\"tasks\":[";
        if (request.target == "/v1/tasks") {
            const auto tasks = protocol::split_array(request.body).value();
            batches.push_back(tasks.size());
            for (const auto& task : tasks) {
                const auto fields = protocol::split_object(task).value();
                for (const auto& [key, raw] : fields)
                    if (key == "id") {
                        ids.push_back(protocol::read_string(raw, key).value());
                        out += "{\"id\":" + std::string{raw} + ",\"state\":\"queued\"},";
                    }
            }
        } else {
            CHECK(request.target == "/v1/results");
            ended = std::min(ended + step, ids.size());
            clock.advance(1s);
            const auto fields = protocol::split_object(request.body).value();
            for (const auto& [key, raw] : fields) {
                if (key != "ids") continue;
                const auto asked = protocol::split_array(raw).value();
                for (const auto& id : asked) {
                    const auto at = std::ranges::find(ids, protocol::read_string(id, key).value());
                    const auto number = static_cast<std::size_t>(at - ids.begin());
                    out += "{\"id\":" + std::string{id};
                    if (number >= ended)
                        out += ",\"state\":\"queued\"},";
                    else if (number == 2)
                        out +=
                            ",\"state\":\"dead\",\"error\":{\"code\":\"bad\",\"message\":\"m\","
                            "\"permanent\":true}},";
                    else
                        out += ",\"state\":\"succeeded\",\"result\":1},";
                }
            }
        }
        out.back() = ']';
        return port::HttpResponse{200, {}, out + "}"};
    }

    Result<BulkCounts> run(std::size_t count, BulkSettings settings) {
        std::string text;
        for (std::size_t i = 0; i < count; ++i)
            text += "[1]\n";
        return submit_bulk(
            client, parse(text, "sum").value(), settings,
            {.tell = [this](const TaskOutcome& outcome) { told.push_back(outcome.id); },
             .progress = [this](const BulkCounts& now) { last = now; },
             .clock = clock});
    }
};

}  // namespace

TEST_CASE("a line is a task, or the payload of one", "[bulk]") {
    const auto tasks = parse(R"({"type":"sum","payload":[1]}
  {"type":"upper","payload":"a","priority":1}

)");
    REQUIRE(tasks);
    REQUIRE(tasks->size() == 2);
    CHECK((*tasks)[1].type == "upper");
    CHECK((*tasks)[1].priority == 1);
    const auto payloads = parse("[1, 2]\n\"text\"\n{\"a\": 1}", "sum");
    REQUIRE(payloads);
    REQUIRE(payloads->size() == 3);
    CHECK((*payloads)[0].payload.view() == "[1, 2]");
    CHECK((*payloads)[2].type == "sum");
    CHECK((*payloads)[2].priority == 7);
    CHECK((*payloads)[0].id != (*payloads)[1].id);
    CHECK(parse("")->empty());
}

TEST_CASE("one array is many tasks", "[bulk]") {
    CHECK(parse("[{\"type\":\"a\"},\n {\"type\":\"b\"}]")->size() == 2);
    CHECK(parse("[1, 2,\n 3]", "sum")->size() == 3);
    CHECK(parse("[]")->empty());
}

TEST_CASE("what cannot be taken is told with its place", "[bulk]") {
    CHECK_THAT(fault("{\"type\":\"sum\"}\n{\"type\":}\n"), Contains("bad_json line 2:"));
    CHECK_THAT(fault("\n\n1\n"), Contains("invalid_field line 3:"));
    CHECK_THAT(fault("{\"type\":\"sum\",\"colour\":1}"), Contains("unknown_field line 1: "));
    CHECK_THAT(fault("[{\"type\":\"a\"},{\"typ\":\"b\"}]"), Contains("element 2:"));
    CHECK_THAT(fault("[1]\nnope\n", "sum"), Contains("bad_json line 2:"));
}

TEST_CASE("tasks go in batches, and their ends come in the order given", "[bulk]") {
    Server server;
    server.step = 2;
    const auto counts = server.run(7, {.wait = 1h, .batch_tasks_max = 3});
    REQUIRE(counts);
    CHECK(server.batches == std::vector<std::size_t>{3, 3, 1});
    CHECK(server.told == server.ids);
    CHECK(counts->succeeded == 6);
    CHECK(counts->failed == 1);
    CHECK(server.last.succeeded + server.last.failed == 7);

    Server small;
    REQUIRE(small.run(4, {.detach = true, .batch_bytes_max = 600}));
    CHECK(small.batches == std::vector<std::size_t>{2, 2});
    CHECK(small.told == small.ids);
}

TEST_CASE("when the wait is over all are told as they stand", "[bulk]") {
    Server server;
    const auto counts = server.run(50, {.wait = 10s});
    REQUIRE_FALSE(counts);
    CHECK(counts.error().code == ErrorCode::timed_out);
    CHECK_THAT(counts.error().detail, Contains("of 50 tasks have not ended"));
    CHECK(server.told.size() == 50);
}
