// Changes that parts of a role have a say in: accepted, refused, not answered, undone.
#include "taskd/runtime/registry_changes.hpp"

#include "catch.hpp"
#include "memory_bus.hpp"
#include "memory_history.hpp"
#include "sim_world.hpp"
#include "taskd/protocol/value_json.hpp"

using namespace taskd;
using namespace taskd::runtime;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

Entry entry(const std::string& id, std::string kind = "note", const std::string& body = "{}") {
    return {id, std::move(kind), *protocol::read_json_value(body)};
}

// Writes down what it is asked and told; answers as it is told to.
struct Listener final : RegistryListener {
    enum class Says { yes, no, nothing };

    Listener(std::string& where, std::string called, std::string its_kind)
        : diary{where}, own_name{std::move(called)}, kind{std::move(its_kind)} {}
    std::string_view name() const override { return own_name; }
    bool concerns(std::string_view what) const override { return kind == "*" || what == kind; }
    void prepare(const std::vector<port::EntryChange>& changes, Answer then) override {
        diary += "ask " + own_name;
        for (const port::EntryChange& each : changes)
            diary += " " + each.id;
        diary += "; ";
        answer = std::move(then);
        if (says == Says::yes) answer({});
        if (says == Says::no) answer(fail(ErrorCode::overloaded, "too much"));
    }
    void commit() override { diary += "commit " + own_name + "; "; }
    void undo() override { diary += "undo " + own_name + "; "; }

    std::string& diary;
    std::string own_name;
    std::string kind;
    Says says = Says::yes;
    Answer answer;
};

struct World {
    World() {
        for (Listener* each : {&first, &second, &third})
            changes.add(*each);
    }
    void apply(std::vector<Entry> entries) {
        changes.apply(std::move(entries), "why", [this](const RegistryChanges::Made& made) {
            ++answers;
            result = made;
        });
    }
    ErrorCode code() const {
        REQUIRE_FALSE(result.has_value());
        return result.error().code;
    }
    std::string take() { return std::exchange(diary, {}); }

    SimWorld sim{1};
    SimHost& host = sim.host("127.0.0.1");
    MemoryHistory history;
    MemoryBus bus;
    std::unique_ptr<Registry> registry = std::move(*Registry::open(history, host.clock(), bus));
    RegistryChanges changes{*registry, host.clock(), host.timers(), 10s};
    std::string diary;
    Listener first{diary, "first", "note"}, second{diary, "second", "queue"},
        third{diary, "third", "*"};
    RegistryChanges::Made result;
    int answers = 0;
};

}  // namespace

TEST_CASE("each part is asked of the changes of its kinds alone, and told when they hold",
          "[registry]") {
    World world;
    world.apply({entry("a:n"), entry("a:q", "queue")});
    CHECK(world.take() ==
          "ask first a:n; ask second a:q; ask third a:n a:q; "
          "commit first; commit second; commit third; ");
    REQUIRE(world.result);
    CHECK((*world.result)->number == 1);
    CHECK((*world.result)->note == "why");
    CHECK(world.registry->entries().size() == 2);
    world.apply({entry("a:n"), entry("a:q", "queue", R"({"n":1})")});
    CHECK(world.take() == "ask second a:q; ask third a:q; commit second; commit third; ");
    world.apply({entry("a:n"), entry("a:q", "note")});  // it was a queue and is a note
    CHECK(world.take() ==
          "ask first a:q; ask second a:q; ask third a:q; "
          "commit first; commit second; commit third; ");
    world.apply({entry("a:n"), entry("a:q", "note")});
    CHECK(world.take().empty());
    CHECK(world.result.value() == std::nullopt);
    CHECK(world.answers == 4);
}

TEST_CASE("a refusal names who and why, undoes what was accepted, and nothing has happened",
          "[registry]") {
    World world;
    world.second.says = Listener::Says::no;
    world.apply({entry("a:n"), entry("a:q", "queue")});
    CHECK(world.code() == ErrorCode::entry_refused);
    CHECK_THAT(world.result.error().detail, Catch::Matchers::StartsWith("second: overloaded"));
    CHECK_THAT(world.result.error().detail, Catch::Matchers::Contains("too much"));
    CHECK(world.take() == "ask first a:n; ask second a:q; undo second; undo first; ");
    CHECK(world.registry->entries().empty());
    CHECK(*world.history.newest() == 0);
    CHECK(world.bus.events.empty());
    world.apply({entry("a:n")});  // whom it does not concern cannot refuse it
    CHECK(world.result);
}

TEST_CASE("who does not answer in time refuses, and is not heard later", "[registry]") {
    World world;
    world.second.says = Listener::Says::nothing;
    world.apply({entry("a:q", "queue")});
    world.sim.run_for(9s);
    CHECK(world.answers == 0);
    world.sim.run_for(2s);
    CHECK(world.code() == ErrorCode::entry_refused);
    CHECK(world.result.error().detail ==
          "second: timed_out: no answer came in time (no answer "
          "within 10s20ms)");
    CHECK(world.take() == "ask second a:q; undo second; ");
    world.second.answer({});
    CHECK(world.answers == 1);
    CHECK(world.registry->version() == 0);
}

TEST_CASE("who answers later is waited for, and one change waits for no other", "[registry]") {
    World world;
    world.second.says = Listener::Says::nothing;
    world.apply({entry("a:q", "queue")});
    const auto answer = world.second.answer;
    world.apply({entry("a:n")});
    CHECK(world.code() == ErrorCode::registry_moved);
    world.sim.run_for(5s);
    answer({});
    answer(fail(ErrorCode::overloaded));  // once is enough
    CHECK(world.result);
    CHECK(world.answers == 2);
    CHECK(world.registry->version() == 1);
    world.sim.run_for(60s);
    CHECK(world.answers == 2);
}

TEST_CASE("what cannot be written, or was written by somebody else, is undone", "[registry]") {
    World world;
    world.history.refuses = true;
    world.apply({entry("a:n")});
    CHECK(world.code() == ErrorCode::disk_full);
    CHECK(world.take() == "ask first a:n; ask third a:n; undo third; undo first; ");
    world.history.refuses = false;
    world.second.says = Listener::Says::nothing;
    world.apply({entry("a:q", "queue")});
    auto other = Registry::open(world.history, world.host.clock(), world.bus);
    REQUIRE((*other)->apply({entry("b:n")}, ""));
    const auto seen = world.registry->catch_up();  // also when we know of it by then
    REQUIRE(seen);
    world.second.answer({});
    CHECK(world.code() == ErrorCode::registry_moved);
    CHECK(world.registry->entries().front().id == "b:n");
}

TEST_CASE("a version that comes back is asked about as any other change", "[registry]") {
    World world;
    world.apply({entry("a:n")});
    world.apply({entry("a:q", "queue")});
    world.take();
    const auto restore = [&](std::uint64_t version) {
        world.changes.restore(version, [&](const auto& made) { world.result = made; });
    };
    restore(1);
    CHECK(world.take() ==
          "ask first a:n; ask second a:q; ask third a:n a:q; "
          "commit first; commit second; commit third; ");
    CHECK((*world.result)->note == "restored from version 1");
    restore(99);
    CHECK(world.code() == ErrorCode::version_not_found);
}

TEST_CASE("after a stop nobody is told", "[registry]") {
    World world;
    world.second.says = Listener::Says::nothing;
    world.apply({entry("a:q", "queue")});
    world.changes.stop();
    world.second.answer({});
    world.sim.run_for(60s);
    CHECK(world.answers == 0);
}
