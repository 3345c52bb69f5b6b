// Schedules over the twins: when times have their turn, and what the calendar has to do with it.
#include "dispatcher_world.hpp"
#include "taskd/protocol/schedule_json.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

using protocol::JsonView;

struct World : DispatcherWorld {
    World() { world.run_for(1s); }

    JsonView put(const std::string& name, const std::string& when, const std::string& more = {}) {
        text = ask("PUT", "/v1/schedules/" + name,
                   "{" + when + more + R"(,"task":{"type":"sum","payload":[1,2]}})")
                   ->body;
        return JsonView{text};
    }
    JsonView get(const std::string& name) {
        text = ask("GET", "/v1/schedules/" + name)->body;
        return JsonView{text};
    }
    std::vector<std::string> planned() {
        const std::string list = ask("GET", "/v1/tasks")->body;
        std::vector<std::string> times;
        for (const JsonView& task : JsonView{list}["tasks"].items())
            times.push_back(task["planned_at"].text());
        return times;
    }
    WallTime now() { return host.clock().wall(); }
    std::string text;
};

const std::string every_10s = R"("every_ms":10000)";
const std::string allow = R"(,"overlap":"allow")";

}  // namespace

TEST_CASE("each time has its turn when it comes") {
    World world;
    const auto made = world.put("beat", every_10s, allow);
    const auto first = parse_rfc3339(made["made_at"].text()).value();
    world.world.run_for(35s);
    CHECK(world.planned() ==
          std::vector{to_rfc3339(first + 10s), to_rfc3339(first + 20s), to_rfc3339(first + 30s)});
    const auto beat = world.get("beat");
    CHECK(beat["submitted"].text() == "3");
    CHECK(beat["next"].items().front().text() == to_rfc3339(first + 40s));
    for (const JsonView& fire : beat["fires"].items()) {
        const auto at = parse_rfc3339(fire["at"].text()).value();
        CHECK(at - parse_rfc3339(fire["planned_at"].text()).value() < 100ms);
    }
}

TEST_CASE("a task that has not ended leaves the next times out") {
    World world;
    world.put("beat", every_10s);
    world.world.run_for(35s);
    CHECK(world.planned().size() == 1);
    CHECK(world.get("beat")["overlapped"].text() == "2");
}

TEST_CASE("a clock that is set ahead misses times, one that is set back repeats none") {
    World world;
    world.put("once", every_10s, allow);
    world.put("all", every_10s, allow + R"(,"misfire":"all")");
    world.put("none", every_10s, allow + R"(,"misfire":"skip")");
    world.world.run_for(15s);
    world.world.set_wall_offset(world.host, 1h);
    world.world.run_for(10s);
    // Of an hour the newest; each of them; and those of the last minute alone.
    CHECK(world.get("once")["submitted"].text() == "3");
    CHECK(world.get("once")["missed"].text() == "359");
    CHECK(world.get("all")["submitted"].text() == "362");
    CHECK(world.get("all")["missed"].text() == "0");
    const auto none = world.get("none");
    CHECK(none["submitted"].text() == "8");
    CHECK(none["missed"].text() == "354");
    // Set back, it goes on by what the clock says now; a time that had its turn has none again.
    world.world.set_wall_offset(world.host, 0h);
    world.world.run_for(65s);
    CHECK(std::stoi(world.get("once")["submitted"].text()) >= 9);
    CHECK(world.get("all")["submitted"].text() == "362");
    const auto next = parse_rfc3339(world.get("all")["next"].items().front().text()).value();
    CHECK(next - world.now() <= 10s);
    auto times = world.planned();
    std::ranges::sort(times);
    CHECK(std::ranges::adjacent_find(times) == times.end());
}

TEST_CASE("however many times a clock that leapt ahead makes come, each is counted") {
    World world;
    world.put("beat", R"("every_ms":1000)", allow);
    world.world.run_for(1500ms);
    CHECK(world.get("beat")["submitted"].text() == "1");
    world.world.set_wall_offset(world.host, 10 * 24h);
    world.world.run_for(2s);
    const auto beat = world.get("beat");
    const int submitted = std::stoi(beat["submitted"].text());
    CHECK(submitted >= 3);
    CHECK(submitted <= 5);
    CHECK(submitted + std::stoi(beat["missed"].text()) >= 864'002);
    CHECK(submitted + std::stoi(beat["missed"].text()) <= 864'004);
    world.world.set_wall_offset(world.host, 0h);
    world.world.run_for(10s);
    CHECK(std::stoi(world.get("beat")["submitted"].text()) >= submitted + 9);
}

TEST_CASE("what is made or ends by a clock that is ahead goes on when that is set right") {
    World world;
    const std::string end = to_rfc3339(world.now() + 1h);
    world.put("ends", every_10s, allow + R"(,"end_at":")" + end + "\"");
    world.world.set_wall_offset(world.host, 24h);
    world.world.run_for(15s);
    const int before = std::stoi(world.get("ends")["submitted"].text());
    world.put("made", every_10s, allow);
    world.world.run_for(1s);
    world.world.set_wall_offset(world.host, 0h);
    world.world.run_for(35s);
    CHECK(std::stoi(world.get("ends")["submitted"].text()) >= before + 3);
    CHECK(std::stoi(world.get("made")["submitted"].text()) >= 3);
}

TEST_CASE("one that a wrong clock has settled goes on when it is resumed") {
    World world;
    world.put("beat", every_10s, allow);
    world.put("held", every_10s, allow);
    world.world.set_wall_offset(world.host, 24h);
    world.world.run_for(5s);
    CHECK(world.get("beat")["submitted"].text() == "1");
    world.ask("POST", "/v1/schedules/held/pause", R"({"by":"ann","reason":"moving"})");
    world.world.set_wall_offset(world.host, 0h);
    world.ask("POST", "/v1/schedules/held/resume");
    world.world.run_for(35s);
    CHECK(std::stoi(world.get("beat")["submitted"].text()) >= 4);
    CHECK(std::stoi(world.get("held")["submitted"].text()) >= 4);
}

TEST_CASE("times go by the clocks of the zone") {
    World world;
    const auto made =
        world.put("daily", R"("cron":"0 3 * * *","zone":"Europe/Berlin")", R"(,"misfire":"skip")");
    const WallTime next = parse_rfc3339(made["next"].items().front().text()).value();
    CHECK(next > world.now());
    CHECK(next - world.now() <= 25h);
    const auto hour = (next.time_since_epoch() / 1h) % 24;
    CHECK((hour == 1 || hour == 2));
    CHECK(problem(world.ask("PUT", "/v1/schedules/x",
                            R"({"cron":"@daily","zone":"Mars/Base","task":{"type":"sum"}})")) ==
          "422 unknown_zone");
}

TEST_CASE("what was paused meanwhile is left out, and made up for when asked") {
    World world;
    world.put("beat", every_10s, allow);
    const WallTime begin = world.now();
    world.ask("POST", "/v1/schedules/beat/pause", R"({"by":"ann","reason":"moving"})");
    world.world.run_for(35s);
    CHECK(world.get("beat")["next"].items().empty());
    CHECK(world.get("beat")["paused"]["by"].text() == "ann");
    world.ask("POST", "/v1/schedules/beat/resume");
    world.world.run_for(1s);
    CHECK(world.planned().empty());
    const std::string span =
        R"({"from":")" + to_rfc3339(begin) + R"(","to":")" + to_rfc3339(begin + 31s) + R"("})";
    CHECK(world.ask("POST", "/v1/schedules/beat/backfill", span)->body ==
          R"({"submitted":3,"there":0})");
    CHECK(world.ask("POST", "/v1/schedules/beat/backfill", span)->body ==
          R"({"submitted":0,"there":3})");
    CHECK(world.planned().size() == 3);
}

TEST_CASE("while new work is refused a time waits, and has its turn afterwards") {
    World world;
    world.put("beat", every_10s, allow + R"(,"misfire":"all")");
    world.view_lane.hold();
    world.submit();
    world.world.run_for(limits::view_lag_max + 25s);
    CHECK(world.service->core().slow_down());
    const Schedule* beat = world.service->core().engine().schedule("beat");
    REQUIRE(beat != nullptr);
    const auto before = beat->submitted;
    world.view_lane.release();
    world.world.run_for(3s);
    CHECK(beat->submitted > before);
    CHECK(beat->missed == 0);
}

TEST_CASE("a full disk is asked again once a second, and the time has its turn afterwards") {
    World world;
    world.put("beat", every_10s, allow + R"(,"misfire":"all")");
    world.journal.full = true;
    const std::size_t before = world.log.entries.size();
    world.world.run_for(25s);
    world.put("beat", every_10s, allow + R"(,"misfire":"all")");  // planned anew meanwhile
    world.world.run_for(1s);
    CHECK(world.get("beat")["submitted"].text() == "0");
    CHECK(world.log.entries.size() - before < 40);
    world.journal.full = false;
    world.world.run_for(2s);
    CHECK(world.get("beat")["submitted"].text() == "2");
    CHECK(world.get("beat")["missed"].text() == "0");
}

TEST_CASE("one that is changed or removed goes by what it now is") {
    World world;
    world.put("beat", every_10s, allow);
    world.world.run_for(5s);
    world.put("beat", R"("every_ms":60000)", allow);
    world.world.run_for(20s);
    CHECK(world.planned().empty());
    CHECK(world.ask("DELETE", "/v1/schedules/beat")->status == 204);
    world.world.run_for(2min);
    CHECK(world.planned().empty());
    CHECK(problem(world.ask("GET", "/v1/schedules/beat")) == "404 schedule_not_found");
}

TEST_CASE("there are no more schedules than may be") {
    engine::Engine engine{{}};
    Random random{1};
    const Now now{WallTime{1h}, EngineTime{1s}};
    Sequence at;
    for (std::size_t i = 0; i <= limits::schedules_max; ++i) {
        ScheduleSpec spec;
        spec.name = "s" + std::to_string(i);
        spec.every = 1h;
        const auto decision = engine.decide(now, engine::SetSchedule{spec}, random);
        if (i == limits::schedules_max) {
            REQUIRE(decision.refused);
            CHECK(decision.refused->code == ErrorCode::too_many_schedules);
            break;
        }
        engine.apply(at = at.next(), decision.records.front());
    }
}
