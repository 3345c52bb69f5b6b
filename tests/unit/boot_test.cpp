// Boot with components that write down what happens to them.
#include <csignal>

#include "catch.hpp"
#include "memory_log.hpp"
#include "raw_client.hpp"
#include "sim_world.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/http_server.hpp"
#include "taskd/io/loop.hpp"
#include "taskd/runtime/boot.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;
using runtime::Boot;

namespace {

// The main loop's twin: the simulated world's events, and signals raised by the test.
class SimMainLoop final : public port::MainLoop {
  public:
    explicit SimMainLoop(SimWorld& world) : world_{world}, host_{world.host("boot")} {}
    void run() override {
        stopped_ = false;
        while (!stopped_ && world_.step()) {
        }
    }
    void stop() override { stopped_ = true; }
    Result<void> on_signal(const std::vector<int>& signals,
                           std::function<void(int)> handler) override {
        if (refuse_signals) return fail(ErrorCode::internal, "signals");
        CHECK(signals == std::vector{SIGINT, SIGTERM});
        handler_ = std::move(handler);
        return {};
    }
    std::unique_ptr<port::Timer> make() override { return host_.timers().make(); }
    void post(std::function<void()> job) override { host_.timers().post(std::move(job)); }
    void raise(int number) { handler_(number); }
    port::Clock& clock() { return host_.clock(); }
    bool refuse_signals = false;

  private:
    SimWorld& world_;
    SimHost& host_;
    std::function<void(int)> handler_;
    bool stopped_ = false;
};

struct Diary {
    std::string text;
    std::string fails_at;  // "load b", "start c"
    std::string hangs_at;  // "b": its drain never ends
    void note(const std::string& what) { text += what + "\n"; }
};

// A whole component.
struct Part {
    Part(Diary& all, std::string called) : diary{all}, name{std::move(called)} {
        diary.note("load " + name);
    }
    ~Part() { diary.note("destroy " + name); }
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;

    template <class... Needs>
    static Result<std::unique_ptr<Part>> make(Diary& diary, const std::string& name, Needs&...) {
        if (diary.fails_at == "load " + name) return fail(ErrorCode::store_locked, name);
        return std::make_unique<Part>(diary, name);
    }
    Result<void> start() {
        diary.note("start " + name);
        if (diary.fails_at == "start " + name) return fail(ErrorCode::port_in_use, name);
        return {};
    }
    void drain(std::function<void()> done) {
        diary.note("drain " + name);
        if (diary.hangs_at != name) done();
    }
    void stop() { diary.note("stop " + name); }
    bool ready() const { return is_ready; }

    Diary& diary;
    std::string name;
    bool is_ready = true;
};

// Has nothing but a constructor; takes the real thing for a handle.
struct Bare {
    Bare(Part& first, const Part& second, int three)
        : seen{first.name + second.name + std::to_string(three)} {}
    std::string seen;
};

struct Fixture {
    explicit Fixture(std::size_t lowest = 0) : own_level{lowest} {}
    const std::size_t own_level;
    SimWorld world{1};
    SimMainLoop loop{world};
    MemoryLog log;
    Diary diary;
    int left_with = -1;
    Boot boot{loop,
              loop.clock(),
              log,
              {.drain_timeout = 30s, .own_level = own_level, .leave = [this](int status) {
                   left_with = status;
               }}};

    // c needs a and b, b needs a; added so that the order of adding alone would be right only once.
    void wire() {
        const auto a = boot.add<Part>("a", std::ref(diary), "a");
        const auto b = boot.add<Part>("b", std::ref(diary), "b", a);
        boot.add<Part>("c", std::ref(diary), "c", a, b);
        boot.add<Part>("d", std::ref(diary), "d");
    }
    bool logged(std::string_view what, std::string_view component) const {
        for (const auto& entry : log.entries)
            for (const auto& [name, value] : entry.fields)
                if (entry.message == what && name == "component" && value == component) return true;
        return false;
    }
};

constexpr std::string_view loads = "load a\nload d\nload b\nload c\n";
constexpr std::string_view starts = "start a\nstart d\nstart b\nstart c\n";
constexpr std::string_view drains = "drain c\ndrain b\ndrain d\ndrain a\n";
constexpr std::string_view stops = "stop c\nstop b\nstop d\nstop a\n";
constexpr std::string_view destroys = "destroy c\ndestroy b\ndestroy d\ndestroy a\n";

std::string join(std::initializer_list<std::string_view> parts) {
    std::string all;
    for (const auto part : parts)
        all += part;
    return all;
}

}  // namespace

TEST_CASE("components load by level, start, drain, stop and go in reverse", "[boot]") {
    Fixture fixture;
    fixture.wire();
    bool was_ready = false;
    bool ready_after_signal = true;
    fixture.world.at(1s, [&] {
        was_ready = fixture.boot.ready();
        fixture.loop.raise(SIGTERM);
        ready_after_signal = fixture.boot.ready();
        CHECK(fixture.diary.text == join({loads, starts}));
    });
    CHECK_FALSE(fixture.boot.ready());
    CHECK(fixture.boot.run() == 0);
    CHECK(was_ready);
    CHECK_FALSE(ready_after_signal);
    CHECK(fixture.diary.text == join({loads, starts, drains, stops, destroys}));
    CHECK(fixture.left_with == -1);
}

TEST_CASE("a handle arrives as the component it stands for, and the plan says who needs whom",
          "[boot]") {
    Fixture fixture;
    const auto a = fixture.boot.add<Part>("a", std::ref(fixture.diary), "a");
    const auto b = fixture.boot.add<Part>("b", std::ref(fixture.diary), "b", a);
    const auto bare = fixture.boot.add<Bare>("bare", a, b, 3);
    std::string seen;
    fixture.world.at(1s, [&] {
        seen = fixture.boot.get(bare).seen;
        fixture.boot.get(a).is_ready = false;
        CHECK_FALSE(fixture.boot.ready());
        fixture.boot.get(a).is_ready = true;
        CHECK(fixture.boot.ready());
        fixture.boot.shutdown(7);
    });
    CHECK(fixture.boot.run() == 7);
    CHECK(seen == "ab3");
    const auto plan = fixture.boot.plan().components;
    REQUIRE(plan.size() == 3);
    CHECK(plan[2].name == "bare");
    CHECK(plan[2].level == 2);
    CHECK(plan[2].needs == std::vector<std::string>{"a", "b"});
}

TEST_CASE("a component stands where it is said to, and not below what it needs", "[boot]") {
    Fixture fixture;
    const auto a = fixture.boot.add<Part>("a", std::ref(fixture.diary), "a");
    const auto b = fixture.boot.add<Part>("b", std::ref(fixture.diary), "b");
    fixture.boot.on_level(b, 5);
    const auto c = fixture.boot.add<Part>("c", std::ref(fixture.diary), "c", a, b);
    fixture.world.at(1s, [&] { fixture.boot.shutdown(); });
    SECTION("gaps are no fault") {
        fixture.boot.on_level(c, 7);
        CHECK(fixture.boot.run() == 0);
        const auto plan = fixture.boot.plan().components;
        REQUIRE(plan.size() == 3);
        CHECK(plan[0].level == 0);
        CHECK(plan[1].level == 5);
        CHECK(plan[2].level == 7);
    }
    SECTION("too low") {
        fixture.boot.on_level(c, 5);
        CHECK(fixture.boot.run() == row_of(ErrorCode::level_too_low).exit_code);
        CHECK(fixture.diary.text.empty());
    }
}

TEST_CASE("components that nothing is said of stand above a role's shared ones", "[boot]") {
    Fixture fixture{8};
    const auto shared = fixture.boot.add<Part>("a", std::ref(fixture.diary), "a");
    fixture.boot.on_level(shared, 3);
    fixture.boot.add<Part>("b", std::ref(fixture.diary), "b");
    fixture.world.at(1s, [&] { fixture.boot.shutdown(); });
    CHECK(fixture.boot.run() == 0);
    const auto plan = fixture.boot.plan().components;
    CHECK(plan[0].level == 3);
    CHECK(plan[1].level == 8);
}

TEST_CASE("a component that cannot load is named and what stands is taken down", "[boot]") {
    const std::vector<std::pair<std::string, std::string>> expected{
        {"a", ""},
        {"d", "load a\ndestroy a\n"},
        {"b", "load a\nload d\ndestroy d\ndestroy a\n"},
        {"c", "load a\nload d\nload b\ndestroy b\ndestroy d\ndestroy a\n"},
    };
    for (const auto& [name, text] : expected) {
        Fixture fixture;
        fixture.wire();
        fixture.diary.fails_at = "load " + name;
        CHECK(fixture.boot.run() == row_of(ErrorCode::store_locked).exit_code);
        CHECK(fixture.diary.text == text);
        CHECK(fixture.logged("a component cannot be loaded", name));
    }
}

TEST_CASE("a component that cannot start is named, those started are stopped, all go", "[boot]") {
    const std::vector<std::pair<std::string, std::string>> expected{
        {"a", "start a\n"},
        {"d", "start a\nstart d\nstop a\n"},
        {"b", "start a\nstart d\nstart b\nstop d\nstop a\n"},
        {"c", "start a\nstart d\nstart b\nstart c\nstop b\nstop d\nstop a\n"},
    };
    for (const auto& [name, text] : expected) {
        Fixture fixture;
        fixture.wire();
        fixture.diary.fails_at = "start " + name;
        CHECK(fixture.boot.run() == row_of(ErrorCode::port_in_use).exit_code);
        CHECK(fixture.diary.text == join({loads, text, destroys}));
        CHECK(fixture.logged("a component cannot be started", name));
    }
}

TEST_CASE("a drain that hangs is bounded and named", "[boot]") {
    Fixture fixture;
    fixture.wire();
    fixture.diary.hangs_at = "b";
    fixture.world.at(1s, [&] { fixture.loop.raise(SIGINT); });
    CHECK(fixture.boot.run() == 0);
    CHECK(fixture.world.now() == 31s);
    CHECK(fixture.diary.text == join({loads, starts, "drain c\ndrain b\n", stops, destroys}));
    CHECK(fixture.logged("not drained in time", "b"));
}

TEST_CASE("how long a drain may last is asked for once it begins", "[boot]") {
    SimWorld world{1};
    SimMainLoop loop{world};
    MemoryLog log;
    Diary diary;
    Duration patience = 1s;
    Boot boot{loop, loop.clock(), log, {.ask_drain_timeout = [&] { return patience; }}};
    boot.add<Part>("a", std::ref(diary), "a");
    diary.hangs_at = "a";
    world.at(1s, [&] {
        patience = 90s;
        loop.raise(SIGTERM);
    });
    CHECK(boot.run() == 0);
    CHECK(world.now() == 91s);
}

TEST_CASE("a second signal leaves at once", "[boot]") {
    for (const int number : {SIGINT, SIGTERM}) {
        Fixture fixture;
        fixture.wire();
        fixture.diary.hangs_at = "c";
        fixture.world.at(1s, [&] { fixture.loop.raise(SIGTERM); });
        fixture.world.at(2s, [&] { fixture.loop.raise(number); });
        CHECK(fixture.boot.run() == 128 + number);
        CHECK(fixture.left_with == 128 + number);
        CHECK(fixture.world.now() == 2s);
    }
}

TEST_CASE("without signals nothing is loaded", "[boot]") {
    Fixture fixture;
    fixture.wire();
    fixture.loop.refuse_signals = true;
    CHECK(fixture.boot.run() == row_of(ErrorCode::internal).exit_code);
    CHECK(fixture.diary.text.empty());
}

TEST_CASE("a role on the real loop serves until a real signal and answers what it holds",
          "[boot]") {
    struct Api final : port::HttpHandler {
        void handle(port::HttpRequest&&, port::HttpResponder respond) override {
            held.push_back(std::move(respond));
        }
        std::vector<port::HttpResponder> held;
    };
    io::Loop loop;
    const auto clock = io::make_system_clock();
    MemoryLog log;
    Boot boot{loop, *clock, log};
    const auto api = boot.add<Api>("api");
    const auto http = boot.add<io::HttpServer>("http", std::ref(loop), io::HttpServerSettings{},
                                               api, std::ref(log));
    std::unique_ptr<RawClient> client;
    loop.post([&] {
        CHECK(boot.ready());
        client = std::make_unique<RawClient>(loop, boot.get(http).port());
        client->send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        std::raise(SIGTERM);
    });
    // Answers once the drain has begun.
    std::function<void()> watch = [&] {
        if (boot.ready() || boot.get(api).held.empty()) return loop.post(watch);
        boot.get(api).held[0]({.headers = {}, .body = "last"});
        client->finish_sending();
    };
    loop.post(watch);
    CHECK(boot.run() == 0);
    client->pump();
    REQUIRE(client->responses().size() == 1);
    CHECK(client->responses()[0].body == "last");
}
