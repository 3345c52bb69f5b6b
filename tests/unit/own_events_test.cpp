// What the dispatcher tells to groups, over its restarts: nothing twice, nothing left out without a
// word, and no more read than that takes.
#include "catch.hpp"
#include "dispatcher_world.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;
using protocol::JsonView;

namespace {

constexpr const char* mark = "data/own_events.json";
constexpr const char* lost = "what happened is no longer kept for groups";
constexpr const char* not_known = "what groups were told of is not known, and no longer kept";

// A group that wants what is rare: tasks that are cancelled.
void make_group(DispatcherWorld& world, const std::string& name = "g",
                const std::string& pattern = "taskd.task.cancelled") {
    const auto made =
        world.ask("PUT", "/v1/subscriptions/" + name, R"({"pattern":")" + pattern + R"("})");
    REQUIRE(made);
    REQUIRE(made->status == 200);
}

std::string submit(DispatcherWorld& world) {
    const auto made = world.submit();
    REQUIRE(made);
    return JsonView{made->body}["id"].text();
}

void cancel(DispatcherWorld& world, const std::string& id) {
    const auto done = world.ask("POST", "/v1/tasks/" + id + "/cancel");
    REQUIRE(done);
    REQUIRE(done->status == 200);
}

std::uint64_t told(DispatcherWorld& world, const std::string& group = "g") {
    const auto shown = world.ask("GET", "/v1/subscriptions/" + group);
    REQUIRE(shown);
    return JsonView{shown->body}["lag"].number().value_or(0);
}

std::uint64_t marked(const DispatcherWorld& world) {
    const std::string text = world.disk.content(mark).value_or("");
    return JsonView{text}["told"].number().value_or(0);
}

}  // namespace

TEST_CASE("a restart long after the newest of the own events knows that none was missed") {
    DispatcherWorld world;  // whose journal keeps nothing that the view has
    make_group(world);
    cancel(world, submit(world));
    world.world.run_for(20s);
    CHECK(told(world) == 1);
    for (int i = 0; i < 20; ++i)
        submit(world);
    world.world.run_for(20s);
    submit(world);
    world.world.run_for(5s);
    REQUIRE(world.records.oldest().value > 20);
    world.restart();
    world.world.run_for(5s);
    CHECK(world.log.count(lost) == 0);
    CHECK(world.log.count(not_known) == 0);
    CHECK(told(world) == 1);
    cancel(world, submit(world));
    world.world.run_for(2s);
    CHECK(told(world) == 2);
}

TEST_CASE("what is gone before groups were told of it is said, also after a restart") {
    DispatcherWorld world;
    make_group(world);
    world.world.run_for(11s);
    submit(world);
    world.world.run_for(1s);
    const std::string id = submit(world);
    const auto wait = [&](bool is_to) {
        world.service->core().hold_new_work(
            is_to ? std::optional{Error{ErrorCode::disk_full, "own events wait"}} : std::nullopt);
    };
    SECTION("while it runs") {
        wait(true);
        cancel(world, id);
        world.world.run_for(20s);
        CHECK(world.log.count(lost) == 1);
    }
    SECTION("over a restart") {
        wait(true);
        world.log_lane.hold();  // it has not come to read it
        cancel(world, id);
        world.world.run_for(20s);
        world.restart();
        world.log_lane.release();
        world.world.run_for(5s);
        CHECK(world.log.count(lost) == 1);
    }
    SECTION("what is still kept is told, once") {
        world.journal.keeps = true;
        wait(true);
        cancel(world, id);
        world.world.run_for(20s);
        world.restart();
        world.world.run_for(5s);
        CHECK(world.log.count(lost) == 0);
        CHECK(told(world) == 1);
    }
}

TEST_CASE("without a mark it is not known what was missed, and a mark that cannot be is none") {
    for (const char* text : {"", "{", "[]", R"({"told":-1})", R"({"told":99999999})"}) {
        INFO(text);
        DispatcherWorld world;
        make_group(world);
        for (int i = 0; i < 20; ++i)
            submit(world);
        world.world.run_for(20s);
        world.disk.set_content(mark, text);
        world.restart();
        world.world.run_for(5s);
        CHECK(world.log.count(lost) == 0);
        CHECK(world.log.count(not_known) == 1);
        cancel(world, submit(world));
        world.world.run_for(2s);
        CHECK(told(world) == 1);
        CHECK(marked(world) > 20);
    }
}

TEST_CASE("a disk that takes no mark is no harm") {
    DispatcherWorld world;
    world.journal.keeps = true;
    make_group(world);
    world.disk.faults.capacity_bytes = 1;
    for (int i = 0; i < 3; ++i) {
        cancel(world, submit(world));
        world.world.run_for(11s);
    }
    CHECK(told(world) == 3);
    world.restart();
    world.world.run_for(5s);
    CHECK(told(world) == 3);  // read again, and told once
    CHECK(world.log.count(lost) == 0);
}

TEST_CASE("records that nobody wants to hear of are not read while they come") {
    DispatcherWorld world;
    world.journal.keeps = true;
    make_group(world);
    world.world.run_for(1s);
    const std::size_t before = world.records.reads;
    for (int i = 0; i < 50; ++i)
        submit(world);
    world.world.run_for(11s);
    CHECK(world.records.reads == before);
    const std::string id = submit(world);
    CHECK(marked(world) > 50);
    cancel(world, id);
    world.world.run_for(1s);
    CHECK(world.records.reads > before);
    CHECK(told(world) == 1);
}

TEST_CASE("records that nobody wants to hear of cost the view no question when they are read") {
    DispatcherWorld world;
    world.journal.keeps = true;
    std::vector<std::string> tasks;
    for (int i = 0; i < 20; ++i)
        tasks.push_back(submit(world));
    make_group(world, "rare", "taskd.task.dead");
    for (const std::string& id : tasks)
        cancel(world, id);
    world.world.run_for(5s);
    const auto again = [&] {
        world.disk.set_content(mark, "");  // everything is read again
        world.restart();
        const std::size_t before = world.view.tasks_asked;
        world.world.run_for(5s);
        return world.view.tasks_asked - before;
    };
    CHECK(again() == 0);
    make_group(world, "all", "taskd.task.cancelled");
    CHECK(again() == 20);
}
