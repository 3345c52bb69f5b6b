// What workflows ask of the turn, while the view answers late and the journal has no room.
#include "dispatcher_world.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;
using protocol::JsonView;

namespace {

service::DispatcherSettings forgetful() {
    service::DispatcherSettings settings;
    settings.core.engine.ended_in_memory_max = 0;
    return settings;
}

// The task of this type that is leased now, and its payload.
std::pair<std::string, std::string> lease(DispatcherWorld& world, const std::string& type) {
    const auto answer = world.ask("POST", "/v1/leases", R"({"types":[")" + type + R"("]})");
    REQUIRE(answer);
    REQUIRE(answer->status == 200);
    const auto tasks = JsonView{answer->body}["tasks"].items();
    if (tasks.empty()) return {};
    return {tasks[0]["lease"].text(), std::string{tasks[0]["payload"].raw()}};
}

}  // namespace

TEST_CASE("what the view said of a result is kept until the journal has room for the step",
          "[workflow]") {
    DispatcherWorld world{limits::frame_bytes_max, forgetful()};
    const auto begun = world.ask("POST", "/v1/workflows", R"({"document":{"name":"w","steps":[
        {"name":"a","type":"a"},{"name":"gate","type":"gate"},
        {"name":"c","type":"c","after":["a","gate"],"payload":"${a}"}]}})");
    REQUIRE(begun);
    INFO(begun->body);
    REQUIRE(begun->status == 201);
    const auto complete = [&](const std::string& held, const std::string& result) {
        return world
            .ask("POST", "/v1/leases/" + held + "/complete", R"({"result":)" + result + "}")
            ->status;
    };
    CHECK(complete(lease(world, "a").first, "[7]") == 200);
    const auto gate = lease(world, "gate");
    world.world.run_for(2s);  // the view has the first, and memory has forgotten it
    world.view_lane.hold();
    CHECK(complete(gate.first, "1") == 200);
    world.journal.choked = true;
    world.view_lane.release();
    world.world.run_for(10s);  // it would not end if this were asked for without a pause
    CHECK(lease(world, "c").first.empty());
    world.journal.choked = false;
    world.world.run_for(5s);
    CHECK(lease(world, "c").second == "[7]");
}

TEST_CASE("of two who delete one workflow while the view is asked, the second finds nothing",
          "[workflow]") {
    DispatcherWorld world{limits::frame_bytes_max, forgetful()};
    const auto begun = world.ask("POST", "/v1/workflows",
                                 R"({"document":{"name":"w","steps":[{"name":"a","type":"a"}]}})");
    REQUIRE(begun->status == 201);
    const std::string one = "/v1/workflows/" + std::string{JsonView{begun->body}["id"].text()};
    REQUIRE(world.ask("POST", one + "/cancel")->status == 200);
    world.world.run_for(5s);
    world.view_lane.hold();
    std::vector<std::string> answers;
    for (int i = 0; i < 3; ++i)
        world.world.host("client").http().send(
            "http://dispatcher:4000", {"DELETE", one, {}, {}}, 10s,
            [&answers](Result<port::HttpResponse> answer) {
                REQUIRE(answer);
                answers.push_back(answer->status == 204 ? "204" : problem(*answer));
            });
    world.world.run_for(1s);
    CHECK(answers.empty());
    world.view_lane.release();
    world.world.run_for(2s);
    std::ranges::sort(answers);
    CHECK(answers ==
          std::vector<std::string>{"204", "404 workflow_not_found", "404 workflow_not_found"});
    CHECK(problem(world.ask("DELETE", one)) == "404 workflow_not_found");
}
