// Workers that pull: who asks gets what there is, who leaves costs nothing.
#include "dispatcher_world.hpp"
#include "taskd/protocol/json.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

using protocol::JsonView;

// A question of its own to the desk behind the API, whose client can leave.
struct Asked {
    std::shared_ptr<bool> gone = std::make_shared<bool>(false);
    std::shared_ptr<std::optional<std::string>> answer =
        std::make_shared<std::optional<std::string>>();

    std::size_t tasks() const { return JsonView{answer->value()}["tasks"].items().size(); }
    std::string lease(std::size_t i = 0) const {
        return JsonView{answer->value()}["tasks"].items().at(i)["lease"].text();
    }
};

struct World : DispatcherWorld {
    using DispatcherWorld::DispatcherWorld;

    Asked ask_leases(const std::string& body) {
        Asked asked;
        service->front().handle(
            {.method = "POST", .target = "/v1/leases", .body = body, .client_gone = asked.gone},
            [answer = asked.answer](port::HttpResponse response) {
                CHECK(response.status == 200);
                *answer = std::move(response.body);
            });
        world.run_for(20ms);
        return asked;
    }
    std::string newest_task() {
        const auto list = ask("GET", "/v1/tasks");
        text = list->body;
        return JsonView{text}["tasks"].items().back()["id"].text();
    }
    JsonView task(const std::string& id) {
        text = ask("GET", "/v1/tasks/" + id)->body;
        return JsonView{text};
    }
    std::string text;
};

}  // namespace

TEST_CASE("who asks gets at once what there is, up to as many as asked for") {
    World world;
    for (int i = 0; i < 5; ++i)
        world.submit("resize");
    const auto none = world.ask_leases(R"({"types":["other"]})");
    CHECK(none.tasks() == 0);
    const auto three = world.ask_leases(R"({"types":["resize"],"worker":"w1","max":3})");
    CHECK(three.tasks() == 3);
    const auto rest = world.ask_leases(R"({"types":["resize"],"worker":"w1","max":3})");
    CHECK(rest.tasks() == 2);
    const auto answer =
        world.ask("POST", "/v1/leases/" + three.lease() + "/complete", R"({"result":7})");
    CHECK(answer->status == 200);
    CHECK(answer->body.find("succeeded") != std::string::npos);
}

TEST_CASE("an answer is full at 16 MiB of payloads, and the rest comes with the next questions") {
    service::DispatcherSettings settings;
    settings.core.unviewed_bytes_max = 256 * limits::mebibyte;
    settings.core.engine.waiting_bytes_max = 256 * limits::mebibyte;
    World world{limits::frame_bytes_max, settings};
    const std::string task = R"({"type":"a","payload":")" + std::string(1'000'000, 'x') + "\"}";
    for (int i = 0; i < 100; ++i)
        REQUIRE(world.ask("POST", "/v1/tasks", task)->status == 202);
    std::size_t taken = 0;
    std::size_t questions = 0;
    for (; taken < 100 && questions < 10; ++questions) {
        const auto asked = world.ask_leases(R"({"types":["a"],"worker":"w","max":100})");
        REQUIRE(asked.answer->has_value());
        CHECK(asked.answer->value().size() < 17 * limits::mebibyte + 64 * limits::kibibyte);
        taken += asked.tasks();
        CHECK(world.service->core().engine().held_by("w") == taken);
    }
    CHECK(taken == 100);
    CHECK(questions == 6);
    // Once it is known how large they are, hardly more are leased than an answer holds.
    CHECK(world.service->core().engine().totals().leases < 200);
    CHECK(world.service->core().engine().totals().crashes == 0);
    CHECK(world.task(world.newest_task())["failures"].text() == "0");
}

TEST_CASE("who waits is answered as soon as there is a task, or when the time is over") {
    World world;
    const auto waits = world.ask_leases(R"({"types":["a","b"],"wait_ms":5000,"max":2})");
    world.world.run_for(1s);
    CHECK_FALSE(waits.answer->has_value());
    CHECK(world.ask("GET", "/v1/workers")->body.find(R"("via":"http")") != std::string::npos);
    world.submit("b");
    world.world.run_for(100ms);
    REQUIRE(waits.answer->has_value());
    CHECK(waits.tasks() == 1);
    const auto in_vain = world.ask_leases(R"({"types":["a"],"wait_ms":1000})");
    world.world.run_for(900ms);
    CHECK_FALSE(in_vain.answer->has_value());
    world.world.run_for(200ms);
    CHECK(in_vain.tasks() == 0);
    world.submit("a");
    CHECK(world.task(world.newest_task())["state"].text() == "queued");
}

TEST_CASE("questions of one worker add up, and each gets no more than it asked for") {
    World world;
    const auto first = world.ask_leases(R"({"types":["a"],"worker":"w","wait_ms":5000})");
    const auto second = world.ask_leases(R"({"types":["a"],"worker":"w","wait_ms":5000})");
    for (int i = 0; i < 3; ++i)
        world.submit("a");
    world.world.run_for(100ms);
    CHECK(first.tasks() == 1);
    CHECK(second.tasks() == 1);
    CHECK(world.task(world.newest_task())["state"].text() == "queued");
}

TEST_CASE("of the questions of one worker the newest is answered first") {
    World world;
    const auto broken = world.ask_leases(R"({"types":["a"],"worker":"w","wait_ms":60000})");
    const auto newest = world.ask_leases(R"({"types":["a"],"worker":"w","wait_ms":60000})");
    world.submit("a");
    world.world.run_for(100ms);
    CHECK_FALSE(broken.answer->has_value());
    REQUIRE(newest.answer->has_value());
    CHECK(newest.tasks() == 1);
}

TEST_CASE("a client that left while it waited is leased nothing") {
    World world;
    const auto left = world.ask_leases(R"({"types":["a"],"wait_ms":60000})");
    *left.gone = true;
    world.world.run_for(1s);
    world.submit("a");
    world.world.run_for(1s);
    const std::string id = world.newest_task();
    CHECK(world.task(id)["state"].text() == "queued");
    CHECK(world.task(id)["attempts"].items().empty());
}

TEST_CASE("what was leased to a client that left just then goes back without an attempt lost") {
    World world;
    const auto left = world.ask_leases(R"({"types":["a"],"wait_ms":60000})");
    *left.gone = true;  // and nobody has noticed yet
    world.submit("a");
    world.world.run_for(1s);
    const std::string id = world.newest_task();
    CHECK(world.task(id)["state"].text() == "queued");
    CHECK(world.task(id)["crashes"].text() == "0");
    CHECK(world.ask_leases(R"({"types":["a"]})").tasks() == 1);
}

TEST_CASE("a lease is kept by renewing and lost by silence") {
    World world;
    world.submit("a");
    const auto asked = world.ask_leases(R"({"types":["a"],"worker":"w"})");
    REQUIRE(asked.tasks() == 1);
    for (int i = 0; i < 5; ++i) {
        world.world.run_for(10s);
        const auto renewed = world.ask("POST", "/v1/leases/" + asked.lease() + "/renew");
        CHECK(renewed->body == R"({"lease_ms":15000,"cancelled":false})");
    }
    const std::string id = world.newest_task();
    CHECK(world.task(id)["state"].text() == "running");
    world.world.run_for(16s);
    CHECK(world.task(id)["crashes"].text() == "1");
    CHECK(problem(world.ask("POST", "/v1/leases/" + asked.lease() + "/renew")) ==
          "409 stale_lease");
}

TEST_CASE("a cancelled task is told when it is renewed, and its slot is free once released") {
    World world;
    world.submit("a");
    const auto asked = world.ask_leases(R"({"types":["a"],"worker":"w"})");
    const std::string id = world.newest_task();
    world.ask("POST", "/v1/tasks/" + id + "/cancel");
    const std::string lease = "/v1/leases/" + asked.lease();
    CHECK(world.ask("POST", lease + "/renew")->body == R"({"lease_ms":15000,"cancelled":true})");
    CHECK(world.service->core().engine().held_by("w") == 1);
    CHECK(world.ask("POST", lease + "/release")->status == 200);
    CHECK(world.service->core().engine().held_by("w") == 0);
    CHECK(world.task(id)["state"].text() == "cancelled");
}

TEST_CASE("a task cancelled before its lease was told is not handed out and holds nothing") {
    World world;
    const auto waits = world.ask_leases(R"({"types":["a"],"worker":"w","wait_ms":60000})");
    world.journal_lane.hold();
    const std::string id = "018bcfe5-687b-7000-8000-000000000001";
    world.ask("POST", "/v1/tasks", R"({"type":"a","id":")" + id + "\"}");
    CHECK(world.service->core().engine().held_by("w") == 1);
    world.service->core().execute(engine::Cancel{*TaskId::parse(id), {}},
                                  [](const auto&) { return service::Core::Reply{}; });
    world.journal_lane.release();
    world.world.run_for(1s);
    CHECK_FALSE(waits.answer->has_value());
    CHECK(world.service->core().engine().held_by("w") == 0);
    CHECK(world.task(id)["state"].text() == "cancelled");
    // Whoever waited for it takes the next one.
    world.submit("a");
    world.world.run_for(100ms);
    REQUIRE(waits.answer->has_value());
    CHECK(waits.tasks() == 1);
}

TEST_CASE("a worker that has fallen silent is forgotten, one that drains is answered") {
    World world;
    world.ask_leases(R"({"types":["a"],"worker":"w"})");
    CHECK(world.ask("GET", "/v1/workers")->body.find(R"("w")") != std::string::npos);
    world.world.run_for(60s);
    CHECK(world.ask("GET", "/v1/workers")->body == R"({"workers":[]})");
    const auto waits = world.ask_leases(R"({"types":["a"],"wait_ms":600000})");
    CHECK_FALSE(waits.answer->has_value());
    world.service->drain([] {});
    world.world.run_for(100ms);
    CHECK(waits.tasks() == 0);
    CHECK(problem(world.ask("POST", "/v1/leases", R"({"types":["a"]})")) == "503 shutting_down");
}

TEST_CASE("a dispatcher that drains leases nothing more") {
    World world;
    world.submit("a");
    world.service->drain([] {});
    world.service->core().execute(engine::WorkerUp{"w", {"a"}, 1},
                                  [](const auto&) { return service::Core::Reply{}; });
    world.world.run_for(1s);
    CHECK(world.service->core().engine().held_by("w") == 0);
}
