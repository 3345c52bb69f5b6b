// Backups that a running dispatcher makes: what is in them, one at a time, and nothing is left of
// one that was not made.
#include "catch.hpp"
#include "dispatcher_world.hpp"
#include "files_vfs.hpp"
#include "sim_cluster.hpp"
#include "taskd/io/store_backup.hpp"
#include "taskd/protocol/json_view.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace taskd::support;
using namespace std::chrono_literals;
using protocol::JsonView;

namespace {

// Whole at once; notes which tasks the view had.
struct NotedCopy final : port::ViewCopy {
    Result<std::optional<port::ViewCopied>> copy_some(const std::string& path,
                                                      const std::string&) override {
        world->disk.set_content(path, "a copy");
        for (const auto& [id, task] : world->table.tasks)
            ids.insert(id.to_string());
        return port::ViewCopied{};
    }
    void drop_copy() override {}

    DispatcherWorld* world = nullptr;
    std::set<std::string> ids;
};

}  // namespace

TEST_CASE("a backup holds what was acknowledged before it was asked for, however late the view") {
    NotedCopy copies;
    DispatcherWorld world{limits::frame_bytes_max, {}, nullptr, &copies};
    copies.world = &world;
    world.view_lane.hold();
    std::set<std::string> acknowledged;
    for (int i = 0; i < 5; ++i) {
        const auto answer = world.submit();
        REQUIRE((answer && answer->status == 202));
        acknowledged.insert(std::string{JsonView{answer->body}["id"].text()});
        world.world.run_for(1s);  // the view is given some of them and not yet the others
    }
    CHECK(world.table.tasks.empty());
    std::optional<port::HttpResponse> made;
    world.world.host("client").http().send("http://dispatcher:4000",
                                           {"POST", "/v1/backups", {}, ""}, 20s,
                                           [&](Result<port::HttpResponse> answer) {
                                               if (answer) made = std::move(*answer);
                                           });
    world.world.run_for(5s);
    CHECK_FALSE(made.has_value());
    world.view_lane.release();
    world.world.run_until([&] { return made.has_value(); }, 5s);
    REQUIRE((made && made->status == 201));
    CHECK(copies.ids == acknowledged);
}

TEST_CASE("a backup leaves alone what is kept free for tasks that end") {
    SimCluster cluster{{.seed = 8, .disk_reserve = 200'000}};
    cluster.run_for(2s);
    for (int i = 0; i < 20; ++i)
        cluster.submit({cluster.make_task("nobody", "\"" + std::string(10'000, 'x') + "\"")});
    cluster.run_for(5s);
    cluster.disk().faults.capacity_bytes = cluster.disk().bytes_used() + 300'000;
    const auto refused = cluster.ask("dispatcher", {"POST", "/v1/backups", {}, ""});
    REQUIRE(refused.has_value());
    CHECK(refused->status == 507);
    CHECK_THAT(refused->body, Catch::Matchers::Contains("leaves the disk's reserve alone"));
    for (const auto& [path, bytes] : cluster.disk().snapshot())
        CHECK(path.find("backups") == std::string::npos);
    cluster.disk().faults.capacity_bytes = 0;
    const auto made = cluster.ask("dispatcher", {"POST", "/v1/backups", {}, ""});
    REQUIRE(made.has_value());
    CHECK(made->status == 201);
}

TEST_CASE("one backup is made at a time") {
    SimCluster cluster{{.seed = 6}};
    cluster.run_for(2s);
    std::map<std::string, int> answers;
    for (int i = 0; i < 8; ++i)
        cluster.host("client").http().send(
            "http://dispatcher:4000",
            {"POST", "/v1/backups", {}, R"({"name":"b)" + std::to_string(i) + "\"}"}, 10s,
            [&](const Result<port::HttpResponse>& answer) {
                REQUIRE(answer.has_value());
                const JsonView body{answer->body};
                ++answers[answer->status == 201 ? "made" : body["error"].text()];
            });
    cluster.run_for(5s);
    CHECK(answers["made"] >= 1);
    CHECK(answers["backup_running"] >= 1);
    CHECK(answers["made"] + answers["backup_running"] == 8);
}

TEST_CASE("a dispatcher that dies during a backup leaves nothing of it behind") {
    SimCluster cluster{{.seed = 4}};
    cluster.run_for(2s);
    int cut = 0, whole = 0;
    for (std::uint64_t ahead = 1; ahead < 60; ahead += 3) {
        cluster.submit({cluster.make_task("echo", std::to_string(ahead))});
        cluster.run_for(1s);
        const std::string name = "b" + std::to_string(ahead);
        cluster.disk().faults.cut_at = cluster.disk().operations() + ahead;
        cluster.post("/v1/backups", R"({"name":")" + name + "\"}");
        cluster.run_for(5s);
        cluster.disk().faults.cut_at = 0;
        cluster.start_dispatcher();
        cluster.run_for(5s);
        INFO(name);
        for (const auto& [path, bytes] : cluster.disk().snapshot())
            CHECK(path.find(".part") == std::string::npos);
        const std::string path = "data/backups/" + name;
        const FilesVfs vfs{cluster.disk()};
        ++(cluster.disk().content(path) ? whole : cut);
        if (!cluster.disk().content(path)) continue;
        const auto found = io::check_backup(cluster.disk(), path, vfs.name());
        REQUIRE(found.has_value());
        CHECK(found->sound());
        REQUIRE(cluster.disk().remove(path));
    }
    CHECK(cut > 5);
    CHECK(whole > 0);
    REQUIRE(cluster.settle(1h));
    CHECK(cluster.broken_promises().empty());
}

TEST_CASE("a backup that is told as not made does not stand there") {
    SimCluster cluster{{.seed = 7}};
    cluster.run_for(2s);
    int refused = 0;
    bool struck = true;
    for (std::uint64_t ahead = 1; struck && ahead < 100; ++ahead) {
        const std::string name = "b" + std::to_string(ahead);
        const std::uint64_t before = cluster.disk().hits().syncs_failed;
        cluster.disk().faults.sync_fails_at = cluster.disk().syncs() + ahead;
        const auto made =
            cluster.ask("dispatcher", {"POST", "/v1/backups", {}, R"({"name":")" + name + "\"}"});
        struck = cluster.disk().hits().syncs_failed > before;
        cluster.disk().faults.sync_fails_at = 0;
        cluster.start_dispatcher();
        cluster.run_for(5s);
        if (!made) continue;
        INFO(name << ": " << made->body);
        CHECK(cluster.disk().content("data/backups/" + name).has_value() == (made->status == 201));
        refused += made->status == 201 ? 0 : 1;
    }
    CHECK_FALSE(struck);
    CHECK(refused > 1);
}
