// The dispatcher over the twins of its ports: what is told when, and when new work is refused.
#include "taskd/service/dispatcher.hpp"
#include "catch.hpp"
#include "memory_journal.hpp"
#include "memory_log.hpp"
#include "memory_view.hpp"
#include "sim_world.hpp"
#include "taskd/protocol/json_view.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

// Does its jobs when it is let.
class HeldLane final : public port::Background {
  public:
    explicit HeldLane(SimHost& host) : timers_{host.timers()} {}

    void run(std::function<void()> job, std::function<void()> then) override {
        waiting_.emplace_back(std::move(job), std::move(then));
        if (!held_) go_on();
    }
    void hold() { held_ = true; }
    void release() {
        held_ = false;
        go_on();
    }

  private:
    void go_on() {
        for (auto& [job, then] : std::exchange(waiting_, {})) {
            job();
            if (then) timers_.post(std::move(then));
        }
    }

    port::Timers& timers_;
    bool held_ = false;
    std::vector<std::pair<std::function<void()>, std::function<void()>>> waiting_;
};

// A view whose disk can be made to fail.
class FailingView final : public port::View {
  public:
    explicit FailingView(MemoryTable& table) : twin_{table} {}
    Result<port::ViewMark> mark() override { return twin_.mark(); }
    Result<void> store(const port::ViewChange& change) override {
        if (fails_with) return fail(*fails_with);
        return twin_.store(change);
    }
    Result<std::vector<Task>> find(std::span<const TaskId> ids) override { return twin_.find(ids); }
    Result<TaskPage> list(const TaskQuery& query) override { return twin_.list(query); }
    Result<std::vector<TaskId>> match(std::string_view part) override { return twin_.match(part); }
    Result<void> each_live(const std::function<void(const TaskHead&)>& take) override {
        return twin_.each_live(take);
    }
    Result<std::optional<TaskId>> newest_ended() override { return twin_.newest_ended(); }

    std::optional<ErrorCode> fails_with;

  private:
    MemoryView twin_;
};

struct World {
    explicit World(std::size_t frame_bytes_max = limits::frame_bytes_max)
        : journal{tape, {.frame_bytes_max = frame_bytes_max}} {
        socket = std::move(*host.bind(4000));
        service::DispatcherSettings settings;
        settings.workers.store_id = "0000000000000007";
        settings.workers.session = SessionId{1};
        settings.nameservice_url = "http://nameservice:5001";
        service = std::make_unique<service::Dispatcher>(
            settings,
            service::DispatcherPorts{{journal, view, journal_lane, space_lane, view_lane,
                                      host.clock(), host.timers(), log},
                                     *socket,
                                     host.resolver(),
                                     host.http()},
            [this](const Error& error) { lost = error; });
        REQUIRE(service->start());
        REQUIRE(host.serve(4000, service->front()));
    }

    // The answer to one request, or none within a second.
    std::optional<port::HttpResponse> ask(std::string method, std::string target,
                                          std::string body = {}) {
        auto got = std::make_shared<std::optional<port::HttpResponse>>();
        world.host("client").http().send(
            "http://dispatcher:4000", {std::move(method), std::move(target), {}, std::move(body)},
            10s, [got](Result<port::HttpResponse> answer) {
                if (answer) *got = std::move(*answer);
            });
        world.run_until([got] { return got->has_value(); }, 1s);
        return *got;
    }
    std::optional<port::HttpResponse> submit() {
        return ask("POST", "/v1/tasks", R"({"type":"sum","payload":[1,2]})");
    }

    SimWorld world{1};
    SimHost& host = world.host("dispatcher");
    JournalTape tape;
    MemoryTable table;
    MemoryJournal journal;
    FailingView view{table};
    HeldLane journal_lane{host};
    HeldLane space_lane{host};
    HeldLane view_lane{host};
    MemoryLog log;
    std::unique_ptr<port::Datagram> socket;
    std::unique_ptr<service::Dispatcher> service;
    std::optional<Error> lost;
};

// "429 overloaded".
std::string problem(const std::optional<port::HttpResponse>& answer) {
    if (!answer) return "no answer";
    const protocol::JsonView body{answer->body};
    return std::to_string(answer->status) + " " + body["error"].text();
}

}  // namespace

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
