// The registry: one change, one version, and anything can come back.
#include "taskd/runtime/registry.hpp"

#include <map>

#include "catch.hpp"
#include "manual_clock.hpp"
#include "memory_bus.hpp"
#include "memory_history.hpp"
#include "taskd/base/random.hpp"
#include "taskd/protocol/value_json.hpp"

using namespace taskd;
using namespace taskd::runtime;
using namespace taskd::test;

namespace {

Entry entry(const std::string& id, const std::string& body = "{}", std::string kind = "note") {
    return {id, std::move(kind), *protocol::read_json_value(body)};
}

struct World {
    MemoryHistory history;
    support::ManualClock clock;
    MemoryBus bus;
    std::unique_ptr<Registry> registry = open();

    std::unique_ptr<Registry> open() {
        auto opened = Registry::open(history, clock, bus);
        REQUIRE(opened);
        return std::move(*opened);
    }
    std::string take_events() {
        std::string text;
        for (const auto& each : std::exchange(bus.events, {}))
            text += each.topic.substr(15) + " " + std::string{each.field("id")} + " " +
                    std::string{each.field("version")} + "; ";
        return text;
    }
    std::uint64_t apply(const std::vector<Entry>& entries, const std::string& note = "") {
        const auto version = registry->apply(entries, note);
        REQUIRE(version);
        return *version ? (*version)->number : 0;
    }
};

}  // namespace

TEST_CASE("each change is one version, and is told", "[registry]") {
    World world;
    CHECK(world.registry->version() == 0);
    CHECK(world.apply({entry("a:x"), entry("a:b")}, "first") == 1);
    CHECK(world.take_events() == "created a:b 1; created a:x 1; ");
    CHECK(world.apply({entry("a:b"), entry("a:x")}) == 0);  // the same
    CHECK(world.take_events().empty());
    CHECK(world.apply({entry("a:b", R"({"n":1})"), entry("a:c")}) == 2);
    CHECK(world.take_events() == "updated a:b 2; created a:c 2; deleted a:x 2; ");
    CHECK(world.registry->version() == 2);
    CHECK(world.registry->find("a:x") == nullptr);
    CHECK(world.registry->find("a:b")->find("n")->text == "1");
    const auto versions = *world.history.list(0, 10);
    REQUIRE(versions.size() == 2);
    CHECK(versions[1].note == "first");
    CHECK(versions[1].at == world.clock.wall());
    CHECK(world.open()->entries() == world.registry->entries());
}

TEST_CASE("what a kind becomes is a change too", "[registry]") {
    CHECK(changes_between({entry("a:b")}, {entry("a:b", "{}", "other")}).size() == 1);
    CHECK(changes_between({entry("a:b")}, {entry("a:b")}).empty());
}

TEST_CASE("what cannot be written has not happened", "[registry]") {
    World world;
    world.history.refuses = true;
    CHECK(world.registry->apply({entry("a:b")}, "").error().code == ErrorCode::disk_full);
    CHECK(world.registry->version() == 0);
    CHECK(world.registry->entries().empty());
    CHECK(world.take_events().empty());
}

TEST_CASE("any version can come back, as a new one", "[registry]") {
    World world;
    world.apply({entry("a:b"), entry("a:c")});
    world.apply({entry("a:d")});
    world.take_events();
    const auto restored = world.registry->restore(1);
    REQUIRE(restored);
    CHECK((*restored)->number == 3);
    CHECK((*restored)->note == "restored from version 1");
    CHECK(world.take_events() == "created a:b 3; created a:c 3; deleted a:d 3; ");
    CHECK_FALSE(*world.registry->restore(3));  // it is as it is
    CHECK(world.registry->restore(0));
    CHECK(world.registry->entries().empty());
    CHECK(world.registry->restore(99).error().code == ErrorCode::version_not_found);
}

TEST_CASE("who comes late is told, and catches up", "[registry]") {
    World world;
    world.apply({entry("a:b")});
    const auto other = world.open();
    REQUIRE(other->apply({entry("a:c")}, ""));
    CHECK(world.registry->apply({entry("a:d")}, "").error().code == ErrorCode::registry_moved);
    world.take_events();
    CHECK(*world.registry->catch_up());
    CHECK(world.take_events() == "deleted a:b 2; created a:c 2; ");
    CHECK_FALSE(*world.registry->catch_up());
    CHECK(world.apply({entry("a:d")}) == 3);
}

TEST_CASE("entries are found by glob, expression, beginning and end", "[registry]") {
    const std::vector<Entry> all{entry("shop:bill"), entry("shop:pay"), entry("web:bill")};
    const auto ids = [&](std::string_view pattern) {
        const auto found = find_entries(all, pattern);
        REQUIRE(found);
        std::string text;
        for (const Entry& each : *found)
            text += each.id + " ";
        return text;
    };
    CHECK(ids("*") == "shop:bill shop:pay web:bill ");
    CHECK(ids("*ill*") == "shop:bill web:bill ");
    CHECK(ids("shop:pay") == "shop:pay ");
    CHECK(ids("^shop:") == "shop:bill shop:pay ");
    CHECK(ids("$:bill") == "shop:bill web:bill ");
    CHECK(ids("~^s.*(pay|none)$") == "shop:pay ");
    CHECK(ids("") == "");
    CHECK(find_entries(all, "~(").error().code == ErrorCode::invalid_field);
}

TEST_CASE("whatever is changed, each version stays what it was", "[registry]") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Random random{seed};
        World world;
        std::vector<std::vector<Entry>> states{{}};
        for (int step = 0; step < 40; ++step) {
            std::vector<Entry> next;
            for (int i = 0; i < 8; ++i)
                if (random.chance(1, 2))
                    next.push_back(entry("n:" + std::to_string(i),
                                         "{\"v\":" + std::to_string(random.below(3)) + "}"));
            if (random.chance(1, 5)) {
                REQUIRE(world.registry->restore(random.below(states.size())));
            } else {
                world.apply(next);
                CHECK(world.registry->entries() == next);
            }
            if (world.registry->version() == states.size())
                states.push_back(world.registry->entries());
        }
        for (std::size_t i = 0; i < states.size(); ++i)
            CHECK(*world.history.read(i) == states[i]);
    }
}
