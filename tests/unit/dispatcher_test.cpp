// The dispatcher over the twins of its ports: what is told when, and when new work is refused.
#include <algorithm>
#include <map>

#include "dispatcher_world.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;
using World = DispatcherWorld;

TEST_CASE("nothing is told before it is synced") {
    World world;
    world.world.run_for(1s);
    const std::size_t before = world.tape.commits.size();
    world.journal_lane.hold();
    CHECK_FALSE(world.submit().has_value());
    CHECK_FALSE(world.ask("GET", "/v1/stats").has_value());  // it saw what is not durable yet
    CHECK(world.tape.commits.size() == before);
    world.journal_lane.release();
    world.world.run_for(1s);
    CHECK(world.tape.commits.size() == before + 1);
    const auto again = world.submit();
    REQUIRE(again);
    CHECK(again->status == 202);
}

TEST_CASE("what comes while a batch syncs is one next batch") {
    World world;
    world.world.run_for(1s);
    const std::size_t before = world.tape.commits.size();
    world.journal_lane.hold();
    for (int i = 0; i < 20; ++i)
        CHECK_FALSE(world.submit().has_value());
    world.journal_lane.release();
    world.world.run_for(1s);
    CHECK(world.tape.commits.size() == before + 2);
    CHECK(world.tape.commits.back() == 19);
}

TEST_CASE("a view that falls behind slows the submitters, and nobody else") {
    World world;
    world.view_lane.hold();
    const auto first = world.submit();
    REQUIRE(first);
    CHECK(first->status == 202);
    world.world.run_for(limits::view_lag_max + 1s);
    const auto refused = world.submit();
    CHECK(problem(refused) == "429 overloaded");
    CHECK(port::find_header(refused->headers, "Retry-After") == "1");
    CHECK(world.ask("GET", "/v1/stats")->status == 200);
    world.view_lane.release();
    world.world.run_for(1s);
    CHECK(world.submit()->status == 202);
}

TEST_CASE("a view that falls behind slows those who bring dead tasks back, too") {
    World world;
    const auto dead =
        world.ask("POST", "/v1/tasks", R"({"type":"nobody","queue_timeout_ms":1000})");
    REQUIRE(dead);
    const std::string task =
        "/v1/tasks/" + std::string{protocol::JsonView{dead->body}["id"].text()};
    world.world.run_for(3s);
    REQUIRE(world.ask("PUT", task + "/payload", "1")->status == 200);
    world.view_lane.hold();
    REQUIRE(world.submit());
    world.world.run_for(limits::view_lag_max + 1s);
    const auto refused = world.ask("PUT", task + "/payload", "2");
    CHECK(problem(refused) == "429 overloaded");
    CHECK(port::find_header(refused->headers, "Retry-After") == "1");
    CHECK(problem(world.ask("POST", task + "/redrive")) == "429 overloaded");
    world.view_lane.release();
    world.world.run_for(1s);
    CHECK(world.ask("PUT", task + "/payload", "2")->status == 200);
    CHECK(world.ask("POST", task + "/redrive")->status == 200);
}

// Submits until it is told to come later, and cancels each task or not; how many were taken.
static std::size_t submit_until_refused(World& world, std::size_t most, bool cancel = false) {
    for (std::size_t taken = 0; taken < most; ++taken) {
        const auto answer = world.submit();
        REQUIRE(answer);
        if (answer->status != 202) {
            CHECK(problem(answer) == "429 overloaded");
            return taken;
        }
        const std::string id{protocol::JsonView{answer->body}["id"].text()};
        if (cancel) REQUIRE(world.ask("POST", "/v1/tasks/" + id + "/cancel")->status == 200);
    }
    return most;
}

TEST_CASE("a burst waits for the view in changes of a few tasks each") {
    service::DispatcherSettings settings;
    settings.core.view_change_tasks = 10;
    World world{limits::frame_bytes_max, settings};
    world.world.run_for(1s);
    world.view_lane.hold();
    CHECK(submit_until_refused(world, 100) == 100);
    const std::size_t before = world.view.changes;
    world.view_lane.release();
    world.world.run_for(1s);
    CHECK(world.view.changes >= before + 10);
    CHECK(world.view.change_tasks_max == 10);
    CHECK(world.table.tasks.size() == 100);
}

TEST_CASE("a change is stored only once the journal has all of it") {
    service::DispatcherSettings settings;
    settings.core.view_change_tasks = 1;
    World world{limits::frame_bytes_max, settings};
    world.world.run_for(1s);
    world.view_lane.hold();
    REQUIRE(world.submit());
    world.world.run_for(1s);  // the view has begun with it
    world.journal_lane.hold();
    CHECK_FALSE(world.submit());  // collected when its batch was closed
    world.view_lane.release();
    world.world.run_for(1s);
    CHECK(world.table.tasks.size() == 1);
    world.journal_lane.release();
    world.world.run_for(1s);
    CHECK(world.table.tasks.size() == 2);
}

TEST_CASE("a task that changes again and again waits in few changes") {
    service::DispatcherSettings settings;
    settings.core.view_change_tasks = 1;
    settings.core.view_copies_bytes_max = 4'000;
    World world{limits::frame_bytes_max, settings};
    world.world.run_for(1s);
    world.view_lane.hold();
    const std::string id{protocol::JsonView{world.submit()->body}["id"].text()};
    for (int i = 0; i < 100; ++i) {
        const std::string priority = R"({"priority":)" + std::to_string(i % 10) + "}";
        REQUIRE(world.ask("POST", "/v1/tasks/" + id + "/priority", priority)->status == 200);
    }
    const std::size_t before = world.view.changes;
    world.view_lane.release();
    world.world.run_for(1s);
    CHECK(world.view.changes > before);
    CHECK(world.view.changes < before + 20);
    CHECK(world.table.tasks.at(*TaskId::parse(id)).priority == 9);
}

TEST_CASE("tasks that the view does not have yet are bounded, those that have ended too") {
    service::DispatcherSettings settings;
    settings.core.unviewed_bytes_max = 50'000;
    settings.core.engine.waiting_bytes_max = settings.core.engine.ended_bytes_max = 1'000;
    settings.core.engine.events_bytes_max = 1'000;
    const bool cancel = GENERATE(false, true);
    CAPTURE(cancel);
    World world{limits::frame_bytes_max, settings};
    world.world.run_for(1s);
    world.view_lane.hold();
    const std::size_t taken = submit_until_refused(world, 1'000, cancel);
    CHECK(taken > 30);
    CHECK(taken < 90);
    world.view_lane.release();
    world.world.run_for(1s);
    CHECK(world.submit()->status == 202);
}

TEST_CASE("no more tasks are taken than there is memory to know of, until some have ended") {
    service::DispatcherSettings settings;
    settings.core.engine.ended_in_memory_max = 0;
    settings.core.backlog_bytes_max =
        limits::queue_bytes + 2 * limits::lane_bytes + 20 * limits::head_bytes;
    World world{limits::frame_bytes_max, settings};
    world.world.run_for(1s);
    std::vector<std::string> ids;
    std::optional<port::HttpResponse> answer;
    while ((answer = world.submit())->status == 202)
        ids.emplace_back(protocol::JsonView{answer->body}["id"].text());
    CHECK(problem(answer) == "429 backlog_full");
    CHECK(ids.size() > 20);
    CHECK(ids.size() < 26);
    for (const std::string target :
         std::vector<std::string>{"/v1/groups", "/v1/workflows", "/v1/schedules/s/run",
                                  "/v1/tasks/" + ids[0] + "/redrive"})
        CHECK(problem(world.ask("POST", target, "{}")) == "429 backlog_full");
    world.world.run_for(5s);
    CHECK(std::ranges::count(world.log.entries, "as many tasks wait as there is memory for",
                             &MemoryLog::Entry::message) == 1);
    // What is there goes on, and events are no tasks.
    CHECK(world.ask("POST", "/v1/topics/t/events", R"({"data":1})")->status == 201);
    for (const std::string& id : ids)
        REQUIRE(world.ask("POST", "/v1/tasks/" + id + "/cancel")->status == 200);
    world.world.run_for(2s);
    CHECK(world.submit()->status == 202);
}

TEST_CASE("keys take of the memory that there is for waiting tasks, long ones more") {
    const auto taken = [](std::size_t key_bytes) {
        service::DispatcherSettings settings;
        settings.core.backlog_bytes_max = 50'000;
        World world{limits::frame_bytes_max, settings};
        world.world.run_for(1s);
        for (std::size_t i = 0; i < 500; ++i) {
            const std::string key = std::to_string(1'000 + i) + std::string(key_bytes - 4, 'k');
            const auto answer = world.ask("POST", "/v1/tasks",
                                          R"({"type":"sum","payload":1,"key":")" + key + R"("})");
            if (answer->status != 202) return i;
        }
        return 500uz;
    };
    CHECK(taken(4) == 112);
    CHECK(taken(200) == 56);
}

TEST_CASE("what has ended is forgotten though somebody always asks the view") {
    service::DispatcherSettings settings;
    settings.core.engine.keys_in_memory_max = 1;
    settings.core.engine.ended_in_memory_max = 10;
    World world{limits::frame_bytes_max, settings};
    const auto submit_keyed = [&](int number) {
        const std::string key = "k" + std::to_string(number);
        return world.ask("POST", "/v1/tasks",
                         R"({"type":"kept","payload":1,"idempotency_key":")" + key + R"("})");
    };
    int key = 0;
    for (; key < 3; ++key) {  // from now on the view knows keys that memory does not
        REQUIRE(submit_keyed(key));
        world.world.run_for(1s);
    }
    world.view_lane.hold();
    for (; key < 103; ++key) {
        const std::string id{protocol::JsonView{world.submit()->body}["id"].text()};
        REQUIRE(world.ask("POST", "/v1/tasks/" + id + "/cancel")->status == 200);
        CHECK_FALSE(submit_keyed(key));  // asks behind the store
        world.view_lane.release();
        world.view_lane.hold();
    }
    CHECK(world.metrics.values().at("taskd_tasks_in_memory") < 103 + 30);
}

TEST_CASE("a task that cannot be leased for want of room says so") {
    World world;
    const std::string id{protocol::JsonView{world.submit()->body}["id"].text()};
    const auto rule = [&] {
        return protocol::JsonView{world.ask("GET", "/v1/tasks/" + id + "/explain")->body}["rule"]
            .text();
    };
    CHECK(rule() == "no_worker");
    world.journal.choked = true;
    CHECK_FALSE(world.ask("POST", "/v1/leases", R"({"types":["sum"],"wait_ms":60000})"));
    CHECK(rule() == "no_room");
    CHECK(world.ask("GET", "/v1/tasks")->body.find("no_room") != std::string::npos);
    world.journal.choked = false;
    REQUIRE(world.submit("other"));  // whatever happens next has it tried again
    CHECK(rule() == "running");
}

TEST_CASE("who is resumed by its full name is shown as held while its lasting name is") {
    World world;
    REQUIRE(world.ask("POST", "/v1/workers/sum-1/pause", R"({"by":"ann"})")->status == 200);
    const auto answer = world.ask("POST", "/v1/workers/sum-1-5f1c0d9a/resume");
    REQUIRE(answer->status == 200);
    const protocol::JsonView hold{answer->body};
    CHECK(hold["instance"].text() == "sum-1");
    CHECK(hold["paused"]["by"].text() == "ann");
    const auto free = world.ask("POST", "/v1/workers/sum-1/resume");
    CHECK(free->body == R"({"instance":"sum-1","draining":false})");
}

TEST_CASE("the tasks of a group match the schemas of their types, its completion need not") {
    World world;
    REQUIRE(world.ask("PUT", "/v1/queues/count/schema", R"({"type":"integer"})")->status == 200);
    const auto make = [&](const std::string& second) {
        return world.ask("POST", "/v1/groups",
                         R"({"tasks":[{"type":"count","payload":1},{"type":"count","payload":)" +
                             second + R"(}],"completion":{"type":"count","payload":"done"}})");
    };
    const auto refused = make("\"two\"");
    CHECK(problem(refused) == "422 schema_mismatch");
    CHECK(protocol::JsonView{refused->body}["index"].text() == "1");
    CHECK(make("2")->status == 202);
}

TEST_CASE("a task that is said twice in one array is answered twice, once its one run has ended") {
    World world;
    const std::string id = "018bcfe5-687b-7000-8000-000000000001";
    const std::string one = R"({"type":"sum","payload":1,"id":")" + id + R"("})";
    const std::string keyed = R"({"type":"sum","payload":2,"idempotency_key":"order-7"})";
    const std::string array = "[" + one + "," + keyed + "," + one + "," + keyed + "]";
    auto waited = std::make_shared<std::optional<port::HttpResponse>>();
    world.service->front().handle(
        {.method = "POST", .target = "/v1/tasks?wait=60s", .body = array},
        [waited](port::HttpResponse answer) { *waited = std::move(answer); });
    world.world.run_for(1s);
    CHECK_FALSE(waited->has_value());
    CHECK(world.table.tasks.size() == 2);
    const auto leased = world.ask("POST", "/v1/leases", R"({"types":["sum"],"max":9})");
    const std::string result = "\"" + std::string(1'000'000, 'r') + "\"";
    for (const auto& task : protocol::JsonView{leased->body}["tasks"].items()) {
        CHECK_FALSE(waited->has_value());
        const bool first = task["id"].text() == id;
        const std::string path = "/v1/leases/" + std::string{task["lease"].text()} + "/complete";
        REQUIRE(world.ask("POST", path, R"({"result":)" + (first ? result : "2") + "}")->status ==
                200);
    }
    world.world.run_for(1s);
    REQUIRE(waited->has_value());
    CHECK((*waited)->status == 200);
    const auto told = protocol::JsonView{(*waited)->body}["tasks"].items();
    REQUIRE(told.size() == 4);
    CHECK(told[0]["id"].text() == id);
    CHECK(told[2]["id"].text() == id);
    CHECK(told[1]["id"].text() == told[3]["id"].text());
    // An answer has room for so much, however often it was said.
    std::string often = "[" + one;
    for (int i = 0; i < 20; ++i)
        often += "," + one;
    const auto brief = world.ask("POST", "/v1/tasks?wait=1s", often + "]");
    CHECK(brief->status == 202);
    CHECK(protocol::JsonView{brief->body}["tasks"].items().size() == 21);
}

TEST_CASE("a dispatcher on its way out refuses new tasks, lets go who waits and tells why") {
    World world;
    bool drained = false;
    auto waited = std::make_shared<std::optional<port::HttpResponse>>();
    world.world.host("client").http().send(
        "http://dispatcher:4000",
        {"POST", "/v1/tasks?wait=60s", {}, R"({"type":"sum","payload":[1,2]})"}, 60s,
        [waited](Result<port::HttpResponse> answer) { *waited = *answer; });
    world.world.run_for(1s);
    CHECK_FALSE(waited->has_value());
    world.service->drain([&] { drained = true; });
    world.world.run_for(1s);
    REQUIRE(waited->has_value());
    CHECK((*waited)->status == 202);
    CHECK(drained);
    CHECK(problem(world.submit()) == "503 shutting_down");
    CHECK(problem(world.ask("GET", "/readyz")) == "503 shutting_down");
    CHECK(world.ask("GET", "/healthz")->status == 200);
    // Who comes to wait now is not kept.
    const auto list = world.ask("GET", "/v1/tasks");
    REQUIRE(list);
    const auto at = list->body.find("\"id\":\"") + 6;
    const auto result =
        world.ask("GET", "/v1/tasks/" + list->body.substr(at, 36) + "/result?wait=60s");
    REQUIRE(result);
    CHECK(result->status == 202);
}

TEST_CASE("a view whose disk fails ends the dispatcher; one without room waits") {
    World world;
    world.view.fails_with = ErrorCode::disk_full;
    CHECK(world.submit()->status == 202);
    CHECK(problem(world.ask("GET", "/v1/tasks")) == "507 disk_full");
    CHECK_FALSE(world.lost.has_value());
    world.view.fails_with.reset();
    world.world.run_for(2s);
    CHECK(world.ask("GET", "/v1/tasks")->status == 200);
    world.view.fails_with = ErrorCode::io_failed;
    CHECK(world.submit()->status == 202);
    world.world.run_for(1s);
    REQUIRE(world.lost.has_value());
    CHECK(world.lost->code == ErrorCode::io_failed);
}

TEST_CASE("a submit larger than a frame is refused by name, one that must wait is not") {
    World world{8 * limits::kibibyte};
    const auto big = [&](std::size_t bytes) {
        return world.ask("POST", "/v1/tasks",
                         R"({"type":"x","payload":")" + std::string(bytes, 'x') + "\"}");
    };
    CHECK(problem(big(8'000)) == "413 body_too_large");
    CHECK(big(5'000)->status == 202);
    CHECK(big(5'000)->status == 202);
}

namespace {

using Answers = std::shared_ptr<std::map<std::string, int>>;

// A request whose answer may be long in coming: counted by its status, and what was wrong.
void begin(World& world, std::string method, std::string target, std::string body,
           const Answers& answers) {
    world.service->front().handle(
        {.method = std::move(method), .target = std::move(target), .body = std::move(body)},
        [answers](const port::HttpResponse& got) {
            ++(*answers)[got.status < 300 ? std::to_string(got.status) : problem(got)];
        });
}

std::string task_of(std::size_t bytes) {
    return R"({"type":"sum","payload":")" + std::string(bytes, 'x') + R"("})";
}

}  // namespace

TEST_CASE("a journal that cannot be filled refuses by its own error, and is tried in its time") {
    World world;
    world.world.run_for(1s);
    world.journal.fault = Error{ErrorCode::io_failed, "a bad sector"};
    world.journal.use_up();
    const std::size_t before = world.journal.prepares;
    for (int i = 0; i < 3; ++i)
        CHECK(problem(world.submit()) == "500 io_failed");
    world.world.run_for(5s);
    CHECK(world.journal.prepares - before <= 10);
    CHECK(world.journal.prepares - before >= 4);
    CHECK(world.ask("GET", "/v1/stats")->status == 200);
    CHECK(std::ranges::count(world.log.entries, "no room for the journal",
                             &MemoryLog::Entry::message) == 1);
    world.journal.fault.reset();
    world.world.run_for(2s);
    CHECK(world.submit()->status == 202);
}

TEST_CASE("while a sync stands still only so much is taken to wait for it") {
    World world;
    world.world.run_for(1s);
    world.journal_lane.hold();
    const auto answers = std::make_shared<std::map<std::string, int>>();
    for (int i = 0; i < 100; ++i) {
        begin(world, "POST", "/v1/tasks", task_of(limits::mebibyte - 100), answers);
        world.world.run_for(1ms);
    }
    CHECK(answers->size() == 1);
    CHECK((*answers)["429 overloaded"] > 60);
    CHECK((*answers)["429 overloaded"] < 80);
    world.journal_lane.release();
    world.world.run_for(3s);
    CHECK((*answers)["429 overloaded"] + (*answers)["202"] == 100);
    CHECK(world.submit()->status == 202);
}

TEST_CASE("changes that wait behind each other undo nothing of each other") {
    World world;
    CHECK(world.ask("PUT", "/v1/topics/t", "{}")->status == 200);
    world.world.run_for(1s);
    world.journal_lane.hold();
    const auto answers = std::make_shared<std::map<std::string, int>>();
    for (int i = 0; i < 10; ++i) {  // more than a batch takes while another one syncs
        begin(world, "POST", "/v1/tasks", task_of(limits::mebibyte - 100), answers);
        world.world.run_for(1ms);
    }
    begin(world, "PUT", "/v1/queues/sum", R"({"concurrency":3})", answers);
    begin(world, "PUT", "/v1/queues/sum/schema", R"({"type":"string"})", answers);
    begin(world, "PATCH", "/v1/topics/t", R"({"keep_count":7})", answers);
    begin(world, "PATCH", "/v1/topics/t", R"({"keep_bytes":9})", answers);
    world.world.run_for(1s);
    CHECK(answers->empty());
    world.journal_lane.release();
    world.world.run_for(3s);
    CHECK(*answers == std::map<std::string, int>{{"200", 4}, {"202", 10}});
    const auto queue = world.ask("GET", "/v1/queues/sum")->body;
    CHECK(protocol::JsonView{queue}["concurrency"].number() == 3);
    CHECK(protocol::JsonView{queue}["schema"]["type"].text() == "string");
    const auto topic = world.ask("GET", "/v1/topics/t")->body;
    CHECK(protocol::JsonView{topic}["keep_count"].number() == 7);
    CHECK(protocol::JsonView{topic}["keep_bytes"].number() == 9);
    CHECK(problem(world.ask("PATCH", "/v1/topics/none", "{}")) == "404 topic_not_found");
}

TEST_CASE("a key in a header is text, as one in a body is") {
    World world;
    std::optional<port::HttpResponse> answer;
    world.service->front().handle({.method = "POST",
                                   .target = "/v1/tasks",
                                   .headers = {{"Idempotency-Key", "caf\xe9"}},
                                   .body = R"({"type":"sum","payload":1})"},
                                  [&](port::HttpResponse response) { answer = response; });
    world.world.run_for(1s);
    CHECK(problem(answer) == "422 invalid_field");
    CHECK(world.ask("GET", "/v1/tasks")->body.find("\"id\"") == std::string::npos);
}
