// What a history promises, of the real one and of its twin in memory.
#include "catch.hpp"
#include "disk_worlds.hpp"
#include "memory_history.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/io/sqlite_history.hpp"
#include "taskd/protocol/value_json.hpp"

using namespace taskd;
using port::EntryChange;

namespace {

Entry entry(const std::string& id, const std::string& body) {
    return {id, "note", *protocol::read_json_value(body)};
}

EntryChange made(const std::string& id, const std::string& body = R"({"text":"ä","n":1.50})") {
    return {id, std::nullopt, entry(id, body)};
}

void check_promises(port::History& history) {
    const WallTime at{std::chrono::seconds{1'700'000'000}};
    CHECK(*history.newest() == 0);
    CHECK(history.list(0, 10)->empty());
    CHECK(history.read(0)->empty());
    CHECK(history.read(1).error().code == ErrorCode::version_not_found);

    const auto first = history.append(0, at, "two", {made("a:b"), made("a:c")});
    REQUIRE(first);
    CHECK(*first == port::RegistryVersion{1, at, "two", 2});
    const Entry before = entry("a:b", R"({"text":"ä","n":1.50})");
    const auto second = history.append(
        1, at + Duration{1}, "",
        {{"a:b", before, std::nullopt}, {"a:c", std::nullopt, entry("a:c", "{}")}, made("a:0")});
    REQUIRE(second);
    CHECK(*history.newest() == 2);
    CHECK(*history.list(0, 1) == std::vector{*second});
    CHECK(*history.list(2, 9) == std::vector{*first});
    CHECK(*history.list(0, 9) == std::vector{*second, *first});

    CHECK(*history.read(1) == std::vector{before, entry("a:c", R"({"text":"ä","n":1.50})")});
    const auto newest = history.read(2);
    REQUIRE(newest);
    REQUIRE(newest->size() == 2);
    CHECK(newest->at(0).id == "a:0");
    CHECK(newest->at(1) == entry("a:c", "{}"));

    for (const std::uint64_t base : {0, 1, 3})
        CHECK(history.append(base, at, "", {made("a:z")}).error().code ==
              ErrorCode::registry_moved);
    CHECK(*history.newest() == 2);
    CHECK(history.append(2, at, "", {made("a:b")}));  // once more after its end
    CHECK(history.read(3)->size() == 3);
}

}  // namespace

TEST_CASE("a history in memory keeps its promises", "[history]") {
    test::MemoryHistory history;
    check_promises(history);
}

TEST_CASE("a history on disk keeps its promises, also when it is opened again", "[history]") {
    const support::TempDir dir;
    const std::string path = dir.path() + "/registry.db";
    {
        auto history = io::open_history(path);
        REQUIRE(history);
        check_promises(**history);
    }
    auto again = io::open_history(path);
    REQUIRE(again);
    CHECK(*(*again)->newest() == 3);
    auto other = io::open_history(path);  // two at a time
    REQUIRE(other);
    REQUIRE((*other)->append(3, WallTime{}, "", {made("a:y")}));
    CHECK((*again)->append(3, WallTime{}, "", {made("a:z")}).error().code ==
          ErrorCode::registry_moved);
    CHECK((*again)->read(4)->size() == 4);
}

TEST_CASE("a file that is no history, or a later one, is refused by name", "[history]") {
    const support::TempDir dir;
    const std::string path = dir.path() + "/registry.db";
    REQUIRE(io::write_private_file(path, std::string(4'096, 'x')));
    const auto damaged = io::open_history(path);
    REQUIRE_FALSE(damaged);
    CHECK(damaged.error().code == ErrorCode::view_corrupt);
    CHECK(io::open_history(dir.path() + "/none/registry.db").error().code == ErrorCode::io_failed);
}
