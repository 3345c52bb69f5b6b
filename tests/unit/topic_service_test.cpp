// Topics in the dispatcher: who waits is answered in the same batch, what is too old goes, a full
// disk refuses, a restart forgets nothing; the dispatcher's own events; webhooks.
#include <algorithm>

#include "catch.hpp"
#include "dispatcher_world.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/webhook_signature.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;
using protocol::JsonView;

namespace {

using Answer = std::shared_ptr<std::optional<port::HttpResponse>>;

// A question that may wait.
Answer ask_later(DispatcherWorld& world, std::string target, std::string body) {
    auto got = std::make_shared<std::optional<port::HttpResponse>>();
    world.world.host("client").http().send("http://dispatcher:4000",
                                           {"POST", std::move(target), {}, std::move(body)}, 60s,
                                           [got](Result<port::HttpResponse> answer) {
                                               if (answer) *got = std::move(*answer);
                                           });
    return got;
}

void make_group(DispatcherWorld& world, const std::string& name, const std::string& body) {
    const auto made = world.ask("PUT", "/v1/subscriptions/" + name, body);
    REQUIRE(made);
    INFO(made->body);
    REQUIRE(made->status == 200);
}

void publish(DispatcherWorld& world, const std::string& topic, const std::string& body) {
    const auto published = world.ask("POST", "/v1/topics/" + topic + "/events", body);
    REQUIRE(published);
    INFO(published->body);
    REQUIRE(published->status == 201);
}

std::vector<std::string> lease(DispatcherWorld& world, const std::string& group) {
    const auto answer =
        world.ask("POST", "/v1/subscriptions/" + group + "/deliveries", R"({"max":100})");
    REQUIRE(answer);
    REQUIRE(answer->status == 200);
    std::vector<std::string> found;
    for (const JsonView& each : JsonView{answer->body}["deliveries"].items())
        found.push_back(each["event"]["topic"].text() + " " +
                        std::string{each["event"]["data"].raw()});
    return found;
}

}  // namespace

TEST_CASE("who waits is leased what is published in the same batch") {
    DispatcherWorld world;
    make_group(world, "g", R"({"pattern":"order.*"})");
    const Answer answer =
        ask_later(world, "/v1/subscriptions/g/deliveries", R"({"wait_ms":30000})");
    world.world.run_for(1s);
    CHECK_FALSE(answer->has_value());
    world.view_lane.hold();  // so that no batch is dropped
    publish(world, "order.placed", R"({"data":1})");
    world.world.run_until([&] { return answer->has_value(); }, 1s);
    REQUIRE(answer->has_value());
    CHECK(JsonView{(*answer)->body}["deliveries"].items().size() == 1);
    const bool together = std::ranges::any_of(world.tape.batches, [](const RecordBatch& batch) {
        const auto holds = [&]<class Kind>(const Kind*) {
            return std::ranges::any_of(batch.records, [](const Record& record) {
                return std::holds_alternative<Kind>(record);
            });
        };
        return holds(static_cast<EventPublished*>(nullptr)) &&
               holds(static_cast<DeliveriesLeased*>(nullptr));
    });
    CHECK(together);
}

TEST_CASE("a wait ends with nothing, with a retry that is due, or with the group") {
    DispatcherWorld world;
    make_group(world, "g", R"({"pattern":"t","retry":{"initial_ms":2000,"jitter_percent":0}})");
    const Answer nothing = ask_later(world, "/v1/subscriptions/g/deliveries", R"({"wait_ms":500})");
    world.world.run_for(2s);
    REQUIRE(nothing->has_value());
    CHECK((*nothing)->body == R"({"ack_timeout_ms":30000,"deliveries":[]})");
    publish(world, "t", R"({"data":1})");
    CHECK(lease(world, "g").size() == 1);
    const Answer retried =
        ask_later(world, "/v1/subscriptions/g/deliveries", R"({"wait_ms":9000})");
    const auto failed = world.ask("GET", "/v1/subscriptions/g");
    const Subscription* group = world.service->core().engine().subscription("g");
    REQUIRE(group);
    const std::string id = "g:t:1:" + std::to_string(group->epoch.value);
    CHECK(world.ask("POST", "/v1/deliveries/" + id + "/nack")->status == 200);
    world.world.run_for(1s);
    CHECK_FALSE(retried->has_value());
    world.world.run_for(2s);
    REQUIRE(retried->has_value());
    CHECK(JsonView{(*retried)->body}["deliveries"].items()[0]["attempt"].number() == 2);
    const Answer gone = ask_later(world, "/v1/subscriptions/g/deliveries", R"({"wait_ms":9000})");
    world.world.run_for(100ms);
    CHECK(world.ask("DELETE", "/v1/subscriptions/g")->status == 204);
    world.world.run_for(1s);
    CHECK(problem(*gone) == "404 subscription_not_found");
}

TEST_CASE("a reader of a topic is told when something comes") {
    DispatcherWorld world;
    publish(world, "t", R"({"data":1})");
    auto got = std::make_shared<std::optional<port::HttpResponse>>();
    world.world.host("client").http().send("http://dispatcher:4000",
                                           {"GET", "/v1/topics/t/events?after=1&wait=30s", {}, {}},
                                           60s, [got](Result<port::HttpResponse> answer) {
                                               if (answer) *got = std::move(*answer);
                                           });
    world.world.run_for(1s);
    CHECK_FALSE(got->has_value());
    publish(world, "t", R"([{"data":2},{"data":3}])");
    world.world.run_for(1s);
    REQUIRE(got->has_value());
    CHECK(JsonView{(*got)->body}["events"].items().size() == 2);
    CHECK(JsonView{(*got)->body}["last"].number() == 3);
}

TEST_CASE("a place behind the newest event is refused, the newest itself may be waited behind") {
    DispatcherWorld world;
    publish(world, "t", R"({"data":1})");
    CHECK(problem(world.ask("GET", "/v1/topics/t/events?after=2&wait=30s")) == "422 invalid_field");
    CHECK_FALSE(world.ask("GET", "/v1/topics/t/events?after=1&wait=30s"));
    CHECK(world.ask("GET", "/v1/topics/t/events?after=1")->status == 200);
    CHECK(world.ask("PUT", "/v1/topics/empty", "{}")->status == 200);
    CHECK_FALSE(world.ask("GET", "/v1/topics/empty/events?wait=30s"));
}

TEST_CASE("readers that have left make room for others") {
    DispatcherWorld world;
    publish(world, "t", R"({"data":1})");
    const auto gone = std::make_shared<bool>(false);
    std::size_t answered = 0;
    const auto read = [&](std::shared_ptr<const bool> left) {
        auto status = std::make_shared<int>(0);
        world.service->front().handle({.method = "GET",
                                       .target = "/v1/topics/t/events?after=1&wait=60s",
                                       .client_gone = std::move(left)},
                                      [status, &answered](port::HttpResponse response) {
                                          *status = response.status;
                                          ++answered;
                                      });
        world.world.run_for(1ms);
        return status;
    };
    for (std::size_t i = 0; i + 1 < limits::delivery_questions_max; ++i)
        world.service->front().handle({.method = "GET",
                                       .target = "/v1/topics/t/events?after=1&wait=60s",
                                       .client_gone = gone},
                                      [](const port::HttpResponse&) {});
    read(nullptr);
    CHECK(*read(nullptr) == 429);
    *gone = true;
    const auto waits = read(nullptr);
    CHECK(*waits == 0);
    publish(world, "t", R"({"data":2})");
    world.world.run_for(1s);
    CHECK(*waits == 200);
    CHECK(answered == 3);
}

TEST_CASE("what of a traceparent nobody has read is not kept") {
    DispatcherWorld world;
    const std::string read = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    std::optional<port::HttpResponse> answer;
    world.service->front().handle({.method = "POST",
                                   .target = "/v1/topics/t/events",
                                   .headers = {{"traceparent", read + "-\xff"}},
                                   .body = R"({"data":1})"},
                                  [&](port::HttpResponse response) { answer = response; });
    world.world.run_for(1s);
    REQUIRE(answer);
    CHECK(answer->status == 201);
    const auto events = world.ask("GET", "/v1/topics/t/events");
    REQUIRE(protocol::check_json(events->body));
    CHECK(JsonView{events->body}["events"].items().at(0)["traceparent"].text() == read);
}

TEST_CASE("events go by age, and the group is told by name") {
    DispatcherWorld world;
    REQUIRE(world.ask("PUT", "/v1/topics/t", R"({"keep_ms":5000})")->status == 200);
    make_group(world, "g", R"({"pattern":"t"})");
    publish(world, "t", R"([{"data":1},{"data":2}])");
    world.world.run_for(3s);
    publish(world, "t", R"({"data":3})");
    world.world.run_for(4s);
    const auto shown = world.ask("GET", "/v1/topics/t");
    CHECK(JsonView{shown->body}["oldest"].number() == 3);
    CHECK(JsonView{shown->body}["groups"].items()[0]["last_gap"]["count"].number() == 2);
    const auto told = world.ask("POST", "/v1/subscriptions/g/deliveries", "");
    const JsonView gap = JsonView{told->body}["gaps"].items().at(0);
    CHECK(gap["error"].text() == "behind_retention");
    CHECK(gap["to"].number() == 2);
    CHECK(lease(world, "g").empty());
    const std::string metrics = world.ask("GET", "/metrics")->body;
    for (const char* row : {"taskd_topics 1", "taskd_topic_events{t} 1", "taskd_group_lag{g} 1",
                            "taskd_group_open{g} 1", "taskd_group_lost_total{g} 2"})
        CHECK_THAT(metrics, Catch::Matchers::Contains(row));
    world.world.run_for(5s);
    CHECK(JsonView{world.ask("GET", "/v1/topics/t")->body}["count"].number() == 0);
}

TEST_CASE("what the dispatcher tells stands in topics of its own, when a group wants it") {
    DispatcherWorld world;
    REQUIRE(world.submit("before"));
    make_group(world, "g", "{\"pattern\":\"taskd.task.(submitted|cancelled)\"}");
    const auto submitted = world.submit("sum");
    const std::string id = JsonView{submitted->body}["id"].text();
    REQUIRE(world.ask("POST", "/v1/tasks/" + id + "/cancel")->status == 200);
    world.world.run_for(2s);
    auto had = lease(world, "g");
    REQUIRE(had.size() == 2);
    std::ranges::sort(had);  // topics take turns
    CHECK(had[0].starts_with("taskd.task.cancelled {\"event\":\"task.cancelled\""));
    CHECK(had[1].find(id) != std::string::npos);
    CHECK(world.service->core().engine().topic("taskd.task.leased") == nullptr);
    // Deliveries make none.
    make_group(world, "all", R"({"pattern":"taskd.**"})");
    publish(world, "t", R"({"data":1})");
    world.world.run_for(2s);
    CHECK(lease(world, "all").size() == 2);
}

TEST_CASE("the newest of the own events stays: it says up to where all is told") {
    DispatcherWorld world;
    make_group(world, "g", R"({"pattern":"taskd.task.submitted"})");
    for (int i = 0; i < 3; ++i)
        world.submit();
    world.world.run_for(2s);
    REQUIRE(world.ask("PUT", "/v1/topics/taskd.task.submitted", R"({"keep_ms":1000})")->status ==
            200);
    world.world.run_for(10s);
    const auto count = [&] {
        return JsonView{world.ask("GET", "/v1/topics/taskd.task.submitted")->body}["count"]
            .number();
    };
    CHECK(count() == 1);
    world.world.run_for(10s);
    CHECK(count() == 1);
}

TEST_CASE("own events that no topic has room for are told again, and the log says so once") {
    DispatcherWorld world;
    world.journal.keeps = true;
    for (std::size_t i = 0; i < limits::topics_max; ++i)
        world.service->core().execute(
            engine::SetTopic{"t" + std::to_string(i), {}},
            [](const engine::Decision&) { return service::Core::Reply{}; });
    world.world.run_for(1s);
    make_group(world, "g", R"({"pattern":"taskd.task.submitted"})");
    world.submit();
    world.world.run_for(10s);
    CHECK(std::ranges::count(world.log.entries, "groups are not told what happened",
                             &MemoryLog::Entry::message) == 1);
    world.service->core().execute(engine::RemoveTopic{"t1"},
                                  [](const engine::Decision&) { return service::Core::Reply{}; });
    world.world.run_for(3s);
    const auto group = world.ask("GET", "/v1/subscriptions/g");
    REQUIRE(group);
    INFO(group->status << group->body.substr(0, 500));
    CHECK(JsonView{group->body}["lag"].number() == 1);
}

TEST_CASE("a question for many topics, and a redrive, read little of the view") {
    DispatcherWorld world;
    make_group(world, "g", R"({"pattern":"t.*","attempts_max":1})");
    const std::string body = R"({"data":")" + std::string(limits::mebibyte / 2, 'x') + R"("})";
    for (int i = 0; i < 60; ++i)
        publish(world, "t." + std::to_string(i % 20), body);
    world.world.run_for(5s);
    world.view.event_bytes_read = 0;
    CHECK(lease(world, "g").size() == 7);
    CHECK(world.view.event_bytes_read < 6 * limits::mebibyte);

    world.world.run_for(60s);  // they run out, and are dead
    const auto dead = world.ask("GET", "/v1/subscriptions/g/dead");
    REQUIRE(JsonView{dead->body}["dead"].items().size() == 7);
    world.view.event_bytes_read = 0;
    const auto redriven = world.ask("POST", "/v1/subscriptions/g/dead/redrive", R"({"all":true})");
    REQUIRE(redriven);
    INFO(redriven->body);
    CHECK(redriven->status == 200);
    CHECK(world.view.event_bytes_read < limits::kibibyte);
    CHECK(JsonView{world.ask("GET", "/v1/subscriptions/g")->body}["dead"].number() == 0);
}

TEST_CASE("a webhook gets what is published, signed, and again when it failed") {
    DispatcherWorld world;
    struct Hook final : port::HttpHandler {
        void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
            calls.push_back(std::move(request));
            respond({calls.size() < 3 ? 500 : 200, {}, "no"});
        }
        std::vector<port::HttpRequest> calls;
    } hook;
    REQUIRE(world.world.host("shop").serve(8000, hook));
    make_group(world, "g",
               R"({"pattern":"t","retry":{"initial_ms":1000,"jitter_percent":0},)"
               R"("webhook":{"url":"http://shop:8000/in?x=1","secret":"s"}})");
    publish(world, "t", R"({"id":"1","source":"here","data":{"a":1}})");
    world.world.run_for(5s);
    REQUIRE(hook.calls.size() == 3);
    CHECK(hook.calls[2].target == "/in?x=1");
    CHECK(hook.calls[2].body == R"({"a":1})");
    CHECK(port::find_header(hook.calls[2].headers, "ce-source") == "here");
    CHECK(port::find_header(hook.calls[2].headers, "Taskd-Attempt") == "3");
    CHECK(protocol::check_webhook(port::find_header(hook.calls[2].headers, "Taskd-Signature"), "s",
                                  world.host.clock().wall(), 1min, hook.calls[2].body));
    const auto shown = world.ask("GET", "/v1/subscriptions/g");
    CHECK(JsonView{shown->body}["lag"].number() == 0);
    CHECK(JsonView{shown->body}["failed"].number() == 2);
    // One that never takes it: a dead letter with a name.
    make_group(world, "dead",
               R"({"pattern":"t","attempts_max":2,"retry":{"initial_ms":10,"max_ms":10},)"
               R"("webhook":{"url":"http://nobody:1/"}})");
    world.world.run_for(30s);
    const auto dead = world.ask("GET", "/v1/subscriptions/dead/dead");
    REQUIRE(JsonView{dead->body}["dead"].items().size() == 1);
    CHECK(JsonView{dead->body}["dead"].items()[0]["error"]["code"].text() == "webhook_failed");
}

TEST_CASE(
    "a webhook whose address is none, or that is taken away, leases nothing again and again") {
    DispatcherWorld world;
    const auto records = [&] { return world.service->core().applied().value; };
    // Of an earlier version: the contract takes none such any more.
    Subscription group;
    group.spec.group = "old";
    group.spec.pattern = "t";
    group.spec.attempts_max = 2;
    group.spec.webhook = Webhook{"http://shop/in#x", {}};
    world.service->core().execute(engine::SetSubscription{group.spec},
                                  [](const engine::Decision&) { return service::Core::Reply{}; });
    publish(world, "t", R"({"data":1})");
    world.world.run_for(60s);
    const auto dead = world.ask("GET", "/v1/subscriptions/old/dead");
    REQUIRE(JsonView{dead->body}["dead"].items().size() == 1);
    CHECK(JsonView{dead->body}["dead"].items()[0]["error"]["code"].text() == "bad_address");
    CHECK(records() < 20);

    struct Hook final : port::HttpHandler {
        void handle(port::HttpRequest&&, port::HttpResponder respond) override {
            waiting.push_back(std::move(respond));
        }
        std::vector<port::HttpResponder> waiting;
    } hook;
    REQUIRE(world.world.host("shop").serve(8000, hook));
    make_group(world, "g", R"({"pattern":"t","webhook":{"url":"http://shop:8000/"}})");
    for (int i = 0; i < 20; ++i)  // more than are posted at once
        publish(world, "t", R"({"data":2})");
    world.world.run_for(1s);
    REQUIRE(hook.waiting.size() > 1);
    make_group(world, "g", R"({"pattern":"t"})");
    const std::uint64_t before = records();
    for (auto& respond : hook.waiting)
        respond({500, {}, {}});
    world.world.run_for(30s);
    CHECK(records() < before + 50);
    CHECK_FALSE(lease(world, "g").empty());
}

TEST_CASE("a webhook's events and their ends wait for room in the journal, and nobody wakes them") {
    DispatcherWorld world;
    struct Hook final : port::HttpHandler {
        explicit Hook(sim::MemoryJournal& j) : journal{j} {}
        void handle(port::HttpRequest&&, port::HttpResponder respond) override {
            ++calls;
            journal.choked = chokes;
            respond({200, {}, {}});
        }
        sim::MemoryJournal& journal;
        bool chokes = false;
        int calls = 0;
    } hook{world.journal};
    REQUIRE(world.world.host("shop").serve(8000, hook));
    make_group(world, "g", R"({"pattern":"t","webhook":{"url":"http://shop:8000/"}})");
    world.journal_lane.hold();
    const Answer published = ask_later(world, "/v1/topics/t/events", R"({"data":1})");
    world.world.run_for(100ms);
    world.journal.choked = true;
    world.journal_lane.release();
    world.world.run_for(2s);
    REQUIRE(published->has_value());
    CHECK(hook.calls == 0);
    world.journal.choked = false;
    world.world.run_for(1s);
    CHECK(hook.calls == 1);
    // What came of the call is not forgotten either.
    hook.chokes = true;
    publish(world, "t", R"({"data":2})");
    world.world.run_for(2s);
    world.journal.choked = hook.chokes = false;
    world.world.run_for(60s);
    CHECK(hook.calls == 2);
    CHECK(JsonView{world.ask("GET", "/v1/subscriptions/g")->body}["acknowledged"].number() == 2);
}

TEST_CASE("own events that are too much for one write are told in several") {
    DispatcherWorld world;
    world.journal.keeps = true;
    make_group(world, "g", R"({"pattern":"taskd.task.failed"})");
    constexpr int failures = 30;
    const std::string error = R"({"error":{"code":"no","permanent":true,"message":")" +
                              std::string(900'000, 'x') + R"("}})";
    for (int i = 0; i < failures; ++i)
        world.submit("a");
    world.service->core().hold_new_work(Error{ErrorCode::disk_full, "own events wait"});
    for (int i = 0; i < failures; ++i) {
        const auto leased = world.ask("POST", "/v1/leases", R"({"types":["a"]})");
        const auto tasks = JsonView{leased->body}["tasks"].items();
        REQUIRE(tasks.size() == 1);
        const auto failed =
            world.ask("POST", "/v1/leases/" + tasks[0]["lease"].text() + "/fail", error);
        REQUIRE(failed->status == 200);
    }
    world.service->core().hold_new_work(std::nullopt);
    world.world.run_for(30s);
    const auto group = world.ask("GET", "/v1/subscriptions/g");
    INFO(group->body);
    CHECK(JsonView{group->body}["lag"].number() == failures);
}
