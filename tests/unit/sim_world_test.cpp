// The simulated world itself: the same seed tells the same story, faults hit and are counted, a
// crash takes everything of a host with it.
#include <chrono>
#include <string>

#include "catch.hpp"
#include "sim_world.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

// Counts what arrives and sends half of it back.
struct Echo {
    explicit Echo(SimHost& host, std::uint16_t port = 4000)
        : socket{host.bind(port).value()}, timer{host.timers().make()} {
        socket->on_receive([this](const port::Endpoint& from, std::string_view bytes) {
            story += std::string{bytes} + ' ';
            if (++heard % 2 == 0) socket->send(from, bytes);
        });
    }
    int heard = 0;
    std::string story;
    std::unique_ptr<port::Datagram> socket;
    std::unique_ptr<port::Timer> timer;
};

struct Answering final : port::HttpHandler {
    void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
        ++asked;
        if (request.target == "/drop") return;
        if (request.target == "/hold") {
            held.push_back(std::move(respond));
            return;
        }
        respond({.status = 200, .headers = {}, .body = request.method + request.body});
    }
    int asked = 0;
    std::vector<port::HttpResponder> held;
};

std::string tell(std::uint64_t seed) {
    SimWorld world{seed,
                   {.net = {.loss = 100, .duplicate = 100, .late = 50}, .http = {}, .lane = {}}};
    Echo a{world.host("a")};
    Echo b{world.host("b")};
    auto lane = world.host("a").make_lane();
    for (int i = 0; i < 200; ++i) {
        lane->run([] {}, [&, i] { a.socket->send(b.socket->local(), std::to_string(i)); });
    }
    world.run_until_idle(10s);
    std::string story = a.story + "|" + b.story + "|" + std::to_string(world.now().count());
    for (const auto& [name, count] : world.counts().rows())
        story += ' ' + std::to_string(count);
    return story;
}

}  // namespace

TEST_CASE("one seed, one story") {
    CHECK(tell(1) == tell(1));
    CHECK(tell(2) == tell(2));
    CHECK(tell(1) != tell(2));
}

TEST_CASE("loss, duplication and reordering hit at their rates") {
    SimWorld world{3, {.net = {.loss = 300, .duplicate = 100, .late = 10}, .http = {}, .lane = {}}};
    Echo b{world.host("b")};
    auto from = world.host("a").bind(0).value();
    for (int i = 0; i < 10'000; ++i)
        from->send(b.socket->local(), "x");
    REQUIRE(world.run_until_idle(10s));
    const SimCounts& counts = world.counts();
    CHECK(counts.datagrams_sent == 10'000 + static_cast<std::uint64_t>(b.heard / 2));
    CHECK(counts.datagrams_lost > 2'700 * counts.datagrams_sent / 10'000);
    CHECK(counts.datagrams_lost < 3'300 * counts.datagrams_sent / 10'000);
    CHECK(counts.datagrams_doubled > 600);
    CHECK(counts.datagrams_reordered > 1'000);
    CHECK(static_cast<std::uint64_t>(b.heard) <= counts.datagrams_delivered);
}

TEST_CASE("a partition cuts both ways, a block one way, until healed") {
    SimWorld world{4};
    SimHost& a = world.host("a");
    SimHost& b = world.host("b");
    Echo at_a{a};
    Echo at_b{b};
    const auto both = [&] {
        at_a.heard = at_b.heard = 0;
        at_a.socket->send(at_b.socket->local(), "to b");
        at_b.socket->send(at_a.socket->local(), "to a");
        world.run_for(1s);
        return std::pair{at_a.heard, at_b.heard};
    };
    CHECK(both() == std::pair{1, 1});
    world.partition(a, b);
    CHECK(both() == std::pair{0, 0});
    world.heal(a, b);
    world.block(a, b);
    CHECK(both() == std::pair{1, 0});
    world.heal_all();
    CHECK(both() == std::pair{1, 1});
    CHECK(world.counts().datagrams_cut == 3);
}

TEST_CASE("a crash drops timers, posts, jobs, deliveries and answers of its host alone") {
    SimWorld world{5};
    SimHost& a = world.host("a");
    SimHost& b = world.host("b");
    int at_a = 0;
    int at_b = 0;
    auto timer_a = a.timers().make();
    auto timer_b = b.timers().make();
    auto lane = a.make_lane();
    auto socket = a.bind(4000).value();
    auto out = b.bind(4000).value();
    Answering handler;
    REQUIRE(b.serve(80, handler));
    timer_a->set(a.clock().steady() + 5ms, [&] { ++at_a; });
    timer_b->set(b.clock().steady() + 5ms, [&] { ++at_b; });
    a.timers().post([&] { ++at_a; });
    lane->run([&] { ++at_a; }, [&] { ++at_a; });
    socket->on_receive([&](const auto&, std::string_view) { ++at_a; });
    out->send(socket->local(), "x");
    a.http().send("http://b:80", {.method = "GET", .target = "/", .headers = {}, .body = {}}, 1s,
                  [&](auto) { ++at_a; });
    world.crash(a);
    timer_a->set(a.clock().steady(), [&] { ++at_a; });
    a.timers().post([&] { ++at_a; });
    lane->run([&] { ++at_a; }, nullptr);
    REQUIRE(world.run_until_idle(10s));
    CHECK(at_a == 0);
    CHECK(at_b == 1);
    CHECK(handler.asked == 1);  // it was on the way
    CHECK(world.counts().events_dropped_by_crash >= 4);

    // The port is free again and the old socket's end does not take the new one's place.
    world.boot(a);
    auto again = a.bind(4000).value();
    socket.reset();
    again->on_receive([&](const auto&, std::string_view) { ++at_a; });
    out->send(again->local(), "x");
    REQUIRE(world.run_until_idle(10s));
    CHECK(at_a == 1);
}

TEST_CASE("a crash can come between a job and its answer, and out of a job") {
    std::uint64_t between = 0;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        SimWorld world{seed};
        SimHost& host = world.host("a");
        auto lane = host.make_lane();
        int jobs = 0;
        int thens = 0;
        for (int i = 0; i < 3; ++i)
            lane->run([&] { ++jobs; }, [&] { ++thens; });
        world.at(Duration{static_cast<std::int64_t>(seed * 30)}, [&] { world.crash(host); });
        world.run_until_idle(1s);
        CHECK(thens <= jobs);
        between += world.counts().crashes_between_job_and_then;
    }
    CHECK(between > 0);

    SimWorld world{1};
    auto lane = world.host("a").make_lane();
    int later = 0;
    lane->run([&] { world.crash(world.host("a")); }, [&] { ++later; });
    lane->run([&] { ++later; }, nullptr);
    CHECK(world.run_until_idle(1s));
    lane.reset();
    CHECK(later == 0);
}

TEST_CASE("a caller hears of a server that crashes over its request, or times out") {
    int unreachable = 0;
    int timed_out = 0;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        SimWorld world{seed};
        Answering handler;
        REQUIRE(world.host("b").serve(80, handler));
        world.host("a").http().send(
            "http://b:80", {.method = "GET", .target = "/hold", .headers = {}, .body = {}}, 1s,
            [&](Result<port::HttpResponse> result) {
                REQUIRE_FALSE(result);
                (result.error().code == ErrorCode::unreachable ? unreachable : timed_out)++;
            });
        REQUIRE(world.run_until([&] { return !handler.held.empty(); }, 1s));
        world.crash(world.host("b"));
        handler.held.clear();
        REQUIRE(world.run_until_idle(2s));
    }
    CHECK(unreachable + timed_out == 50);
    CHECK(unreachable > 10);
    CHECK(timed_out > 10);
}

TEST_CASE("HTTP losses end as time-outs and a lost answer was served") {
    SimWorld world{6, {.net = {}, .http = {.request_loss = 200, .answer_loss = 200}, .lane = {}}};
    Answering handler;
    REQUIRE(world.host("b").serve(80, handler));
    int answered = 0;
    int timed_out = 0;
    for (int i = 0; i < 1000; ++i)
        world.host("a").http().send("http://b",
                                    {.method = "PUT", .target = "/", .headers = {}, .body = "x"},
                                    1s, [&](Result<port::HttpResponse> result) {
                                        if (result) {
                                            CHECK(result->body == "PUTx");
                                            ++answered;
                                        } else {
                                            CHECK(result.error().code == ErrorCode::timed_out);
                                            ++timed_out;
                                        }
                                    });
    REQUIRE(world.run_until_idle(2s));
    const SimCounts& counts = world.counts();
    CHECK(answered + timed_out == 1000);
    CHECK(counts.http_requests_lost > 150);
    CHECK(counts.http_answers_lost > 100);
    CHECK(static_cast<std::uint64_t>(timed_out) ==
          counts.http_requests_lost + counts.http_answers_lost);
    CHECK(handler.asked == 1000 - static_cast<int>(counts.http_requests_lost));
}

TEST_CASE("a paused host does late what it would have done, in order") {
    SimWorld world{7};
    SimHost& host = world.host("a");
    std::string order;
    auto one = host.timers().make();
    auto two = host.timers().make();
    one->set(host.clock().steady() + 10ms, [&] {
        order += '1';
        CHECK(world.now() == 500ms);
    });
    two->set(host.clock().steady() + 5ms, [&] { order += '2'; });
    world.pause(host, 500ms);
    world.run_until(499ms);
    CHECK(order.empty());
    world.run_until(500ms);
    CHECK(order == "21");
}

TEST_CASE("a wall clock jumps, the steady clock does not, and each life has its own") {
    SimWorld world{8};
    SimHost& host = world.host("a");
    const auto wall = host.clock().wall();
    const auto steady = host.clock().steady();
    world.set_wall_offset(host, 1h);
    CHECK(host.clock().wall() == wall + 1h);
    CHECK(host.clock().steady() == steady);
    world.crash(host);
    world.boot(host);
    CHECK(host.clock().steady() != steady);
    CHECK(world.counts().wall_jumps == 1);
}

TEST_CASE("the world is fast enough for thousands of seeds", "[.bench]") {
    SimWorld world{9};
    SimHost& host = world.host("a");
    auto timer = host.timers().make();
    auto other = host.timers().make();
    int left = 1'000'000;
    std::function<void()> again = [&] {
        other->set(host.clock().steady() + 1s, [] {});
        if (--left > 0) timer->set(host.clock().steady() + 1ms, again);
    };
    again();
    const auto start = std::chrono::steady_clock::now();
    world.run_until([&] { return left == 0; }, 10'000s);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    WARN("timer events a second: " << 1e6 / took.count());
    CHECK(left == 0);

    Echo b{world.host("b")};
    auto from = host.bind(0).value();
    const auto sends = std::chrono::steady_clock::now();
    for (int i = 0; i < 300'000; ++i)
        from->send(b.socket->local(), "hello there");
    world.run_until_idle(10'000s);
    const std::chrono::duration<double> sent = std::chrono::steady_clock::now() - sends;
    WARN("datagrams a second: " << 450'000 / sent.count());
    CHECK(b.heard == 300'000);
}
