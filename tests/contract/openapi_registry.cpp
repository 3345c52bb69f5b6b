// The route of a registry: each status and error that the contract lists, and no other.
#include "openapi_judge.hpp"
#include "taskd/service/registry_api.hpp"

using namespace taskd;
using namespace taskd::test;

namespace {

// Answers a change with what it is told to.
struct World {
    World() { api.add_routes(front); }

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
    service::RegistryApi api{[this](protocol::RegistryAsked what, const auto& done) {
        asked = std::move(what);
        done(made);
    }};
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
