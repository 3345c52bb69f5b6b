// The route of a registry: each status and error that the contract lists, and no other.
#include "openapi_judge.hpp"
#include "sim_world.hpp"
#include "taskd/protocol/value_json.hpp"
#include "taskd/service/registry_api.hpp"

using namespace taskd;
using namespace taskd::test;

namespace {

// Answers a change with what it is told to.
struct World {
    World() { api.add_routes(front); }

    // Version 1 makes an entry, 2 changes it, 3 takes it away, and so on.
    Result<std::vector<port::EntryChange>> step(std::uint64_t number) {
        if (fault != ErrorCode::internal) return fail(fault, "as told");
        Entry entry{"a:b", "queue", *protocol::read_json_value(R"({"concurrency":1})")};
        Entry other{"a:b", "queue", *protocol::read_json_value(R"({"concurrency":2})")};
        if (number % 3 == 1) return std::vector{port::EntryChange{"a:b", {}, entry}};
        if (number % 3 == 2) return std::vector{port::EntryChange{"a:b", entry, other}};
        return std::vector{port::EntryChange{"a:b", other, {}}};
    }

    using Answer = std::shared_ptr<std::optional<port::HttpResponse>>;
    Answer follow(const std::string& query) {
        auto answer = std::make_shared<std::optional<port::HttpResponse>>();
        front.handle({"GET", "/registry/changes" + query, {}, {}},
                     [answer](port::HttpResponse got) { *answer = std::move(got); });
        return answer;
    }
    std::string told(const Answer& answer) {
        ApiOperation& operation = contract.find("GET", "/registry/changes");
        REQUIRE(*answer);
        const std::string status = std::to_string((*answer)->status);
        CHECK(operation.statuses.contains(status));
        operation.seen_statuses.insert(status);
        if (status == "200") return (*answer)->body;
        const auto error = protocol::read_string(field((*answer)->body, "error"), "error");
        operation.seen_errors.insert(*error);
        return status + " " + *error;
    }

    void ask(const std::string& body, int status, const std::string& error = {},
             const std::string& media = "application/json") {
        ApiOperation& operation = contract.find("POST", "/registry/versions");
        std::optional<port::HttpResponse> answer;
        front.handle({"POST", "/registry/versions", {{"Content-Type", media}}, body},
                     [&](port::HttpResponse got) { answer = std::move(got); });
        INFO(body);
        REQUIRE(answer);
        INFO(answer->body);
        CHECK(answer->status == status);
        CHECK(operation.statuses.contains(std::to_string(answer->status)));
        operation.seen_statuses.insert(std::to_string(answer->status));
        if (status < 400) {
            last = answer->body;
            return;
        }
        CHECK(*protocol::read_string(field(answer->body, "error"), "error") == error);
        operation.seen_errors.insert(error);
    }

    Contract contract;
    service::RegistryApi::Made made = std::nullopt;
    protocol::RegistryAsked asked;
    std::string last;
    SimWorld world{1};
    std::uint64_t version = 3;
    ErrorCode fault = ErrorCode::internal;  // none
    service::RegistryApi api{{.change =
                                  [this](protocol::RegistryAsked what, const auto& done) {
                                      asked = std::move(what);
                                      done(made);
                                  },
                              .version = [this] { return version; },
                              .step = [this](std::uint64_t number) { return step(number); },
                              .clock = world.host("up").clock(),
                              .timers = world.host("up").timers()}};
    service::HttpFront front{{}, "up", [] { return std::nullopt; }};
};

}  // namespace

TEST_CASE("a registry's route keeps to the contract") {
    World world;
    world.ask("{", 400, "bad_json");
    world.ask("{}", 422, "missing_field");
    world.ask(R"({"restore":1,"entries":[]})", 422, "missing_field");
    world.ask(R"({"entries":[{"id":"a:b"}]})", 422, "missing_field");
    world.ask(R"({"more":1})", 422, "unknown_field");
    for (const char* wrong :
         {"[]", R"({"entries":{}})", R"({"entries":[1]})", R"({"entries":[{"id":1,"kind":"x"}]})",
          R"({"entries":[{"id":"ab","kind":"x"}]})", R"({"restore":"1"})", R"({"restore":-1})",
          R"({"restore":1.5})", R"({"restore":1,"note":7})",
          R"({"entries":[{"id":"a:b","kind":"x"},{"id":"a:b","kind":"y"}]})"})
        world.ask(wrong, 422, "invalid_field");
    world.ask("<a/>", 415, "unsupported_media_type", "text/xml");
    world.ask(R"({"entries":[]})", 200);
    CHECK(world.last == R"({"changes":0})");
    world.made = port::RegistryVersion{4, WallTime{}, "so", 2};
    world.ask(R"({"entries":[{"id":"b:c","kind":"queue","concurrency":2},
                             {"kind":"note","id":"a:b","text":"x"}],"note":"why"})",
              201);
    CHECK(world.last ==
          R"({"version":4,"at":"1970-01-01T00:00:00.000000Z","changes":2,"note":"so"})");
    REQUIRE(world.asked.entries.size() == 2);
    CHECK(world.asked.entries.front().id == "a:b");
    CHECK(world.asked.entries.back().find("concurrency")->text == "2");
    CHECK(world.asked.note == "why");
    CHECK(protocol::parse_registry_asked(protocol::write_registry_asked(world.asked)).value() ==
          world.asked);
    world.ask(R"({"restore":3})", 201);
    CHECK(world.asked.restore == 3U);
    CHECK(protocol::parse_registry_asked(protocol::write_registry_asked(world.asked)).value() ==
          world.asked);
    for (const ErrorCode code :
         {ErrorCode::config_invalid, ErrorCode::dependency_cycle, ErrorCode::dependency_missing,
          ErrorCode::entry_refused, ErrorCode::registry_moved, ErrorCode::version_not_found,
          ErrorCode::io_failed, ErrorCode::disk_full, ErrorCode::store_locked,
          ErrorCode::view_corrupt}) {
        world.made = fail(code, "as told");
        world.ask(R"({"restore":3})", row_of(code).http_status, std::string{row_of(code).name});
    }
    const ApiOperation& operation = world.contract.find("POST", "/registry/versions");
    CHECK(operation.seen_errors == operation.errors);
    for (const std::string& status : operation.statuses)
        if (status != "default") CHECK(operation.seen_statuses.contains(status));
}

TEST_CASE("who follows a registry is told of each change, and waits for the next") {
    World world;
    const std::string made = R"({"version":1,"id":"a:b","kind":"queue","change":"created",)"
                             R"("after":{"id":"a:b","kind":"queue","concurrency":1}})";
    const std::string gone = R"({"version":3,"id":"a:b","kind":"queue","change":"deleted",)"
                             R"("before":{"id":"a:b","kind":"queue","concurrency":2}})";
    CHECK(world.told(world.follow("")) == R"({"version":3,"changes":[]})");
    CHECK(world.told(world.follow("?after=3")) == R"({"version":3,"changes":[]})");
    CHECK(world.told(world.follow("?after=2")) == R"({"version":3,"changes":[)" + gone + "]}");
    CHECK_THAT(world.told(world.follow("?after=0&wait=1m")), Catch::Matchers::Contains(made));
    CHECK(world.told(world.follow("?after=4")) == "404 version_not_found");
    for (const char* wrong : {"?after=x", "?after=-1", "?after=3&wait=61s", "?after=3&wait=x"})
        CHECK(world.told(world.follow(wrong)) == "422 invalid_field");
    CHECK(world.told(world.follow("?more=1")) == "422 unknown_field");
    const auto waits = world.follow("?after=3&wait=30s");
    CHECK_FALSE(waits->has_value());
    world.version = 4;
    world.api.moved();
    CHECK_THAT(world.told(waits), Catch::Matchers::Contains(R"("version":4,"id":"a:b")"));
    const auto over = world.follow("?after=4&wait=30s");
    world.world.run_for(29s);
    CHECK_FALSE(over->has_value());
    world.world.run_for(2s);
    CHECK(world.told(over) == R"({"version":4,"changes":[]})");
    world.version = 1'000;
    CHECK_THAT(world.told(world.follow("?after=4")),
               Catch::Matchers::Contains(R"({"version":104,)"));
    for (const ErrorCode code : {ErrorCode::io_failed, ErrorCode::view_corrupt}) {
        world.fault = code;
        CHECK(world.told(world.follow("?after=4")) == "500 " + std::string{row_of(code).name});
    }
    std::vector<World::Answer> all;
    for (std::size_t i = 0; i < limits::registry_waiters_max; ++i)
        all.push_back(world.follow("?after=1000&wait=30s"));
    CHECK(world.told(world.follow("?after=1000&wait=30s")) == "429 too_many_waiters");
    world.api.stop();
    for (const auto& each : all)
        CHECK(world.told(each) == "503 shutting_down");
    const ApiOperation& operation = world.contract.find("GET", "/registry/changes");
    CHECK(operation.seen_errors == operation.errors);
    for (const std::string& status : operation.statuses)
        if (status != "default") CHECK(operation.seen_statuses.contains(status));
}

TEST_CASE("a registry serves what the contract says of it") {
    World world;
    std::set<std::string> written;
    for (const ApiOperation& each : world.contract.operations)
        if (each.roles.contains("up")) written.insert(each.name());
    std::set<std::string> routed;
    for (const auto& route : world.front.routes())
        if (route.pattern.starts_with("/registry/"))
            routed.insert(std::string{route.method} + " " + std::string{route.pattern});
    CHECK(routed == written);
}
