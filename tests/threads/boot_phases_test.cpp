// The phases of a boot: levels that load in parallel, the sealed context, entries, the plan.
#include <barrier>
#include <csignal>

#include "catch.hpp"
#include "memory_log.hpp"
#include "taskd/runtime/boot.hpp"
#include "thread_loop.hpp"

using namespace taskd;
using namespace taskd::test;
using Catch::Matchers::Contains;
using runtime::Boot;

namespace {

struct World {
    ThreadLoop loop;
    RealClock clock;
    MemoryLog log;
    std::string diary;
    runtime::BootPlan plan;
    runtime::BootSettings settings{
        .leave = {},
        .infrastructure = {{"event bus", Duration{1'500}}},
        .plan_only = [this](const runtime::BootPlan& made) { plan = made; }};

    Boot boot() { return Boot{loop, clock, log, settings}; }
    std::string field(std::string_view message, std::string_view name) const {
        for (const auto& entry : log.entries)
            for (const auto& [field, value] : entry.fields)
                if (entry.message == message && field == name) return value;
        return "";
    }
};

constexpr runtime::ContextKey<std::string> diary_key{"diary"};

// Loads only when as many others load at the same time.
struct Meeting {
    static constexpr bool loads_beside = true;
    explicit Meeting(std::barrier<>& barrier) { barrier.arrive_and_wait(); }
};

// Loads beside others, unless it is told to fail.
struct Beside {
    static constexpr bool loads_beside = true;
    static Result<std::unique_ptr<Beside>> make(ErrorCode fault) {
        if (fault != ErrorCode{}) return fail(fault, "as told");
        return std::make_unique<Beside>();
    }
};

// Says what happens to it, into the text that the context holds.
struct Guest {
    explicit Guest(std::string& diary) : text{diary} { text += "make "; }
    void attach(runtime::AppContext& context) {
        context.put(diary_key, text);
        text += "attach ";
        its_context = &context;
    }
    void freeze() { text += its_context->sealed() ? "late " : "freeze "; }
    Result<void> start() {
        text += its_context->sealed() ? "start " : "early ";
        return {};
    }
    Result<void> start_entries() {
        text += "entries ";
        if (fails) return fail(ErrorCode::config_invalid, "an entry");
        return {};
    }
    void stop() { text += "stop "; }

    std::string& text;
    runtime::AppContext* its_context = nullptr;
    bool fails = false;
};

struct Named {
    Named(std::string& its_diary, std::string its_name) : diary{its_diary}, name{its_name} {}
    void drain(const std::function<void()>& done) {
        diary += name + " ";
        done();
    }
    std::string& diary;
    std::string name;
};
struct First : Named {
    using Named::Named;
    static constexpr bool drains_first = true;
};

}  // namespace

TEST_CASE("components of one level load in parallel", "[boot][threads]") {
    World world;
    std::barrier<> barrier{3};
    auto boot = world.boot();
    for (const char* name : {"a", "b", "c"})
        boot.add<Meeting>(name, std::ref(barrier));
    CHECK(boot.run() == 0);  // one after the other they would wait for ever
    REQUIRE(world.plan.components.size() == 3);
    CHECK(world.plan.components[2].name == "c");
}

TEST_CASE("the context is filled while loading and sealed before anything starts", "[boot]") {
    World world;
    auto boot = world.boot();
    boot.add<Guest>("guest", std::ref(world.diary));
    CHECK(boot.run() == 0);
    CHECK(world.diary == "make attach freeze start entries stop ");
    CHECK(boot.context().find(diary_key) == &world.diary);
}

TEST_CASE("entries that cannot be started end the boot with their error", "[boot]") {
    World world;
    auto boot = world.boot();
    const auto guest = boot.add<Guest>("guest", std::ref(world.diary));
    struct Spoiler {
        explicit Spoiler(Guest& spoilt) { spoilt.fails = true; }
    };
    boot.add<Spoiler>("spoiler", guest);
    CHECK(boot.run() == row_of(ErrorCode::config_invalid).exit_code);
    CHECK(world.diary.ends_with("entries stop "));
    CHECK(world.field("entries cannot be started", "component") == "guest");
    CHECK(world.plan.components.empty());
}

TEST_CASE("several that fail beside each other are all named, and the first gives the status",
          "[boot][threads]") {
    World world;
    auto boot = world.boot();
    const auto ground = boot.add<Beside>("ground", ErrorCode{});
    const auto wall = boot.add<Beside>("wall", ErrorCode::port_in_use);
    const auto roof = boot.add<Beside>("roof", ErrorCode::file_missing);
    boot.after(wall, "ground");
    boot.after(roof, "ground");
    struct Upper {
        explicit Upper(Beside&) { FAIL("what it needs is not there"); }
    };
    boot.add<Upper>("upper", roof);
    CHECK(boot.run() == row_of(ErrorCode::port_in_use).exit_code);
    std::string paths;
    for (const auto& entry : world.log.entries)
        for (const auto& [name, value] : entry.fields)
            if (name == "path") paths += value + "; ";
    CHECK(paths == "ground > wall; ground > roof; ");
    static_cast<void>(ground);
}

TEST_CASE("a circle and a missing part are named before anything is loaded", "[boot]") {
    World world;
    auto boot = world.boot();
    const auto a = boot.add<Guest>("a", std::ref(world.diary));
    const auto b = boot.add<Beside>("b", ErrorCode{});
    boot.after(a, "b");
    boot.after(b, "a");
    CHECK(boot.run() == row_of(ErrorCode::dependency_cycle).exit_code);
    CHECK_THAT(world.field("not started", "error"),
               Contains("dependency_cycle") && Contains("a > b > a"));
    World other;
    auto lacking = other.boot();
    lacking.after(lacking.add<Guest>("a", std::ref(world.diary)), "z");
    CHECK(lacking.run() == row_of(ErrorCode::dependency_missing).exit_code);
    CHECK_THAT(other.field("not started", "error"), Contains("a needs z"));
    CHECK(world.diary.empty());
}

TEST_CASE("a need by name counts as any other", "[boot]") {
    World world;
    auto boot = world.boot();
    const auto late = boot.add<Beside>("late", ErrorCode{});
    boot.add<Beside>("early", ErrorCode{});
    boot.after(late, "early");
    CHECK(boot.run() == 0);
    REQUIRE(world.plan.components.size() == 2);
    CHECK(world.plan.components[1].name == "late");
    CHECK(world.plan.components[1].level == 1);
}

TEST_CASE("who drains first does so before those that need it", "[boot]") {
    World world;
    auto boot = world.boot();
    boot.add<First>("services", std::ref(world.diary), "services");
    boot.add<Named>("door", std::ref(world.diary), "door");
    const auto store = boot.add<Named>("store", std::ref(world.diary), "store");
    boot.after(store, "services");
    CHECK(boot.run() == 0);
    CHECK(world.diary == "services store door ");
}

TEST_CASE("the plan tells phases, levels, components and times, and the boot ends", "[boot]") {
    World world;
    auto boot = world.boot();
    const auto a = boot.add<Beside>("a", ErrorCode{});
    boot.add<Guest>("guest", std::ref(world.diary));
    const auto c = boot.add<Beside>("c", ErrorCode{});
    boot.after(c, "a");
    static_cast<void>(a);
    CHECK(boot.run() == 0);
    const std::string text = to_text(world.plan);
    INFO(text);
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at);
        const std::string line = text.substr(at, end - at);
        CHECK(line.ends_with(" ms"));
        lines.push_back(line.substr(0, line.find("  ", line.find_first_not_of(' '))));
        at = end + 1;
    }
    CHECK(lines == std::vector<std::string>{"infrastructure", "  event bus", "load", "  0 a",
                                            "  0 guest", "  1 c < a", "activation", "  seal",
                                            "  start a", "  start guest", "  start c", "entries",
                                            "  guest", "all"});
    CHECK_THAT(text, Contains("1.500 ms"));
}
