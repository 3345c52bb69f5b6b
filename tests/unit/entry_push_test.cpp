// Entries at a dispatcher: sent, sent again, taken away, and told when they are refused.
#include "taskd/service/entry_push.hpp"

#include "catch.hpp"
#include "memory_log.hpp"
#include "sim_world.hpp"
#include "taskd/protocol/value_json.hpp"

using namespace taskd;
using namespace taskd::service;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

Entry entry(const std::string& name, const std::string& kind, const std::string& body) {
    return {"shop:" + name, kind, *protocol::read_json_value(body)};
}

struct World {
    struct Dispatcher final : port::HttpHandler {
        void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
            heard += request.method + " " + request.target + " " + request.body + "; ";
            for (const auto& [name, value] : request.headers)
                if (name == "Authorization") key = value;
            respond({status, {}, status == 422 ? body : "{}"});
        }
        std::string heard;
        std::string key;
        int status = 200;
        std::string body = R"({"title":"invalid_field"})";  // of a refusal
    };

    SimWorld sim{1};
    SimHost& host = sim.host("127.0.0.1");
    Dispatcher dispatcher;
    std::uint16_t port = *host.serve(0, dispatcher);
    MemoryLog log;
    std::vector<PushedThings> notes;
    bool is_disk_full = false;
    std::unique_ptr<EntryPush> push = std::make_unique<EntryPush>(
        protocol::ClusterKey{"0123456789abcdef"},
        EntryPushPorts{host.http(), host.timers(), host.clock(), log, [this](const auto& things) {
                           if (is_disk_full) return Result<void>{fail(ErrorCode::disk_full)};
                           dispatcher.heard += "noted; ";
                           notes.push_back(things);
                           return Result<void>{};
                       }});

    void hold(const std::vector<Entry>& entries) {
        push->hold("http://127.0.0.1:" + std::to_string(port), entries);
        sim.run_for(3s);
    }
    std::string take_all() { return std::exchange(dispatcher.heard, {}); }
    // Without the notes.
    std::string take() {
        std::string heard = take_all();
        for (std::size_t at = 0; (at = heard.find("noted; ")) != std::string::npos;)
            heard.erase(at, 7);
        return heard;
    }
    std::size_t errors() const {
        return static_cast<std::size_t>(
            std::ranges::count(log.entries, port::LogLevel::error, &MemoryLog::Entry::level));
    }
};

const Entry queue = entry("bill", "queue", R"({"meta":{"a":1},"concurrency":2,"needs":[]})");
const Entry schedule =
    entry("nightly", "schedule", R"({"cron":"30 3 * * *","task":{"type":"sum"}})");

}  // namespace

TEST_CASE("queues and schedules are put, with the key, and only once", "[entries]") {
    World world;
    world.hold({queue, schedule, entry("w", "worker.http", "{}")});
    CHECK(world.take() ==
          R"(PUT /v1/queues/bill {"concurrency":2}; )"
          R"(PUT /v1/schedules/nightly {"cron":"30 3 * * *","task":{"type":"sum"}}; )");
    CHECK(world.dispatcher.key == "Bearer 0123456789abcdef");
    CHECK(world.push->settled());
    world.hold({queue, schedule});
    CHECK(world.take().empty());
}

TEST_CASE("schemas of workers are put beside the rules of their queues", "[entries]") {
    World world;
    WorkerEntry sum{.type = "sum"}, bill{.type = "bill"};
    bill.schema = R"({"type": "object"})";
    const auto with = [&](std::vector<Entry> entries) {
        std::ranges::move(schemas_of({sum, bill}), std::back_inserter(entries));
        return entries;
    };
    world.hold(with({queue}));
    CHECK(
        world.take() ==
        R"(PUT /v1/queues/bill {"concurrency":2}; PUT /v1/queues/bill/schema {"type":"object"}; )");
    world.hold(with({queue}));
    CHECK(world.take().empty());
    // Rules are set as a whole, so that the schema has to be said again.
    world.hold(with({entry("bill", "queue", R"({"concurrency":3})")}));
    CHECK(
        world.take() ==
        R"(PUT /v1/queues/bill {"concurrency":3}; PUT /v1/queues/bill/schema {"type":"object"}; )");
    bill.schema.clear();
    world.hold(with({entry("bill", "queue", R"({"concurrency":3})")}));
    CHECK(world.take() == "PUT /v1/queues/bill/schema null; ");
}

TEST_CASE("what changes is put again, and what is gone is taken away", "[entries]") {
    World world;
    world.hold({queue, schedule});
    world.take();
    world.hold({entry("bill", "queue", R"({"concurrency":3})"), schedule});
    CHECK(world.take() == R"(PUT /v1/queues/bill {"concurrency":3}; )");
    world.hold({});
    CHECK(world.take() == "PUT /v1/queues/bill {}; DELETE /v1/schedules/nightly ; ");
    world.hold({});
    CHECK(world.take().empty());
    CHECK(world.push->settled());
}

TEST_CASE("what an earlier life held is taken away when it is gone, and else said again",
          "[entries]") {
    World world;
    world.push->remember({{"/v1/queues/bill", "shop:bill"},
                          {"/v1/schedules/nightly", "shop:nightly"},
                          {"/v9/unheard", "of"}});
    world.hold({queue});
    CHECK(world.take() ==
          "PUT /v1/queues/bill {\"concurrency\":2}; DELETE /v1/schedules/nightly ; ");
    CHECK(world.notes.back() == PushedThings{{"/v1/queues/bill", "shop:bill"}});
}

TEST_CASE("what the dispatcher may hold is noted before it is told, and again when it is less",
          "[entries]") {
    World world;
    world.hold({queue});
    CHECK(world.take_all() == "noted; PUT /v1/queues/bill {\"concurrency\":2}; ");
    Result<void> answer = fail(ErrorCode::timed_out);
    const auto propose = [&](const std::vector<Entry>& entries) {
        world.push->propose("http://127.0.0.1:" + std::to_string(world.port), entries,
                            [&](Result<void> verdict) { answer = std::move(verdict); });
        world.sim.run_for(3s);
    };
    const PushedThings both{{"/v1/queues/bill", "shop:bill"},
                            {"/v1/schedules/nightly", "shop:nightly"}};
    propose({queue, schedule});
    CHECK(answer);
    CHECK_THAT(world.take_all(), Catch::Matchers::StartsWith("noted; PUT /v1/schedules/nightly"));
    CHECK(world.notes.back() == both);
    // Nobody wrote it down: it is taken away, and known of until that is so.
    world.hold({queue});
    CHECK(world.take_all() == "DELETE /v1/schedules/nightly ; noted; ");
    CHECK(world.notes.back() == PushedThings{{"/v1/queues/bill", "shop:bill"}});

    // What cannot be noted is not proposed; what holds anyway is told, and noted when it can be.
    world.is_disk_full = true;
    propose({queue, schedule});
    CHECK(answer.error().code == ErrorCode::disk_full);
    CHECK(world.take().empty());
    CHECK(world.errors() == 0);
    world.hold({queue});  // what others have set under its name stays
    CHECK(world.take().empty());
    CHECK(world.errors() == 0);
    world.hold({queue, schedule});
    CHECK_THAT(world.take(), Catch::Matchers::StartsWith("PUT /v1/schedules/nightly"));
    CHECK(world.errors() == 2);
    world.is_disk_full = false;
    world.hold({queue, schedule});
    CHECK(world.notes.back() == both);
}

TEST_CASE("an endpoint of a function is put once it is known where that is called", "[entries]") {
    World world;
    const Entry price =
        entry("price", "http.endpoint", R"({"path":"/price","function":"price","needs":["a:b"]})");
    CHECK(function_behind(price) == "shop:price");
    CHECK(check_pushed_entry(price));
    world.hold({price, queue});
    CHECK(world.take() == R"(PUT /v1/queues/bill {"concurrency":2}; )");
    world.hold({with_host(price, "http://h:1"), queue});
    const std::string put = R"(PUT /v1/endpoints/price {"path":"/price","function":"shop:price",)"
                            R"("host":"http://h:1"}; )";
    CHECK(world.take() == put);
    // While the host is away what the dispatcher holds stays; then it is another's.
    world.hold({price, queue});
    CHECK(world.take().empty());
    world.hold({with_host(price, "http://h:1"), queue});
    CHECK(world.take().empty());
    world.hold({with_host(price, "http://h:2"), queue});
    CHECK_THAT(world.take(), Catch::Matchers::Contains("http://h:2"));
    world.hold({queue});
    CHECK(world.take() == "DELETE /v1/endpoints/price ; ");
    CHECK(with_host(queue, "http://h:1") == queue);
    // Of an earlier life: neither taken away nor put before that is known.
    World later;
    later.push->remember({{"/v1/endpoints/price", "shop:price"}});
    later.hold({price});
    CHECK(later.take().empty());
    later.hold({with_host(price, "http://h:1")});
    CHECK(later.take() == put);
}

TEST_CASE("a queue's type may be another than its name", "[entries]") {
    World world;
    world.hold({entry("bill", "queue", R"({"type":"charge","concurrency":1})")});
    CHECK(world.take() == R"(PUT /v1/queues/charge {"concurrency":1}; )");
}

TEST_CASE("what the dispatcher refuses is told and not said again", "[entries]") {
    World world;
    world.dispatcher.status = 422;
    world.hold({queue, schedule});
    CHECK(world.errors() == 2);
    world.take();
    world.sim.run_for(60s);
    CHECK(world.take().empty());
    CHECK(world.push->settled());
}

TEST_CASE("what could not be sent is sent again, the newest alone", "[entries]") {
    World world;
    world.host.stop_serving(world.port);
    world.hold({queue});
    CHECK_FALSE(world.push->settled());
    world.hold({entry("bill", "queue", R"({"concurrency":9})")});
    REQUIRE(world.host.serve(world.port, world.dispatcher));
    world.sim.run_for(5s);
    CHECK(world.take() == R"(PUT /v1/queues/bill {"concurrency":9}; )");
    CHECK(world.push->settled());
    world.dispatcher.status = 503;
    world.hold({schedule});
    world.dispatcher.status = 200;
    world.take();
    world.sim.run_for(5s);
    CHECK(world.push->settled());
    CHECK(world.errors() == 0);
}

TEST_CASE("a proposal is answered when all of it is taken, or with what was refused", "[entries]") {
    World world;
    std::string answers;
    const auto propose = [&](const std::vector<Entry>& entries) {
        world.push->propose("http://127.0.0.1:" + std::to_string(world.port), entries,
                            [&](const Result<void>& answer) {
                                answers += answer ? "yes;" : answer.error().to_string() + ";";
                            });
        world.sim.run_for(3s);
        return std::exchange(answers, {});
    };
    CHECK(propose({queue, schedule}) == "yes;");
    world.take();
    CHECK(propose({queue, schedule}) == "yes;");
    CHECK(world.take().empty());
    // Nothing more is said once something is refused; what holds is said again.
    world.dispatcher.status = 422;
    world.dispatcher.body =
        R"({"type":"x","title":"t","status":422,"error":"unknown_zone","detail":"Europe/Nowhere"})";
    CHECK_THAT(propose({queue, entry("nightly", "schedule", R"({"every_ms":5000,"task":{}})")}),
               Catch::Matchers::Contains("unknown_zone") &&
                   Catch::Matchers::Contains("shop:nightly: Europe/Nowhere"));
    CHECK(world.errors() == 0);
    CHECK(world.push->settled());
    world.take();
    world.dispatcher.status = 200;
    world.hold({queue, schedule});
    CHECK(world.take() ==
          R"(PUT /v1/schedules/nightly {"cron":"30 3 * * *","task":{"type":"sum"}}; )");
    // What was refused was never ours there: it may be somebody else's.
    world.dispatcher.status = 422;
    CHECK_FALSE(propose({queue, schedule, entry("hourly", "schedule", "{}")}).empty());
    world.take();
    world.dispatcher.status = 200;
    world.hold({queue, schedule});
    CHECK(world.take().empty());
    // A dispatcher that is away is waited for, as long as nobody gives up.
    world.host.stop_serving(world.port);
    CHECK(propose({queue}).empty());
    REQUIRE(world.host.serve(world.port, world.dispatcher));
    world.sim.run_for(5s);
    CHECK(answers == "yes;");
    CHECK(world.take() == "DELETE /v1/schedules/nightly ; ");
    world.host.stop_serving(world.port);
    answers.clear();
    CHECK(propose({}).empty());
    world.hold({queue});
    REQUIRE(world.host.serve(world.port, world.dispatcher));
    world.sim.run_for(5s);
    CHECK(answers.empty());  // the hold made an end of it
}

TEST_CASE("a refused proposal forgets nothing that was not said yet", "[entries]") {
    World world;
    world.push->remember({{"/v1/schedules/gone", "shop:gone"}});
    world.dispatcher.status = 503;
    world.hold({queue, schedule});
    CHECK_FALSE(world.push->settled());
    world.dispatcher.status = 422;
    std::string answer;
    world.push->propose("http://127.0.0.1:" + std::to_string(world.port),
                        {queue, schedule, entry("odd", "topic", R"({"topic":"odd"})")},
                        [&](const Result<void>& said) { answer = said ? "yes" : "no"; });
    world.sim.run_for(3s);
    CHECK(answer == "no");
    world.dispatcher.status = 200;
    world.take();
    world.hold({queue, schedule});
    CHECK(world.push->settled());
    const std::string said = world.take();
    for (const char* each :
         {"PUT /v1/queues/bill", "PUT /v1/schedules/nightly", "DELETE /v1/schedules/gone"}) {
        INFO(said);
        CHECK(said.contains(each));
    }
}

TEST_CASE("many are proposed at a time, the schema of a type behind its rules", "[entries]") {
    World world;
    std::vector<Entry> entries;
    for (int i = 0; i < 40; ++i)
        entries.push_back(entry("q" + std::to_string(i), "queue", R"({"concurrency":1})"));
    WorkerEntry worker{.type = "q7"};
    worker.schema = "{}";
    std::ranges::move(schemas_of({worker}), std::back_inserter(entries));
    bool taken = false;
    world.push->propose("http://127.0.0.1:" + std::to_string(world.port), entries,
                        [&](const Result<void>& answer) { taken = answer.has_value(); });
    world.sim.run_for(3s);
    CHECK(taken);
    const std::string heard = world.take();
    const std::size_t rules = heard.find("PUT /v1/queues/q7 ");
    REQUIRE(rules != std::string::npos);
    CHECK(heard.find("PUT /v1/queues/q7/schema") > rules);
    CHECK(std::ranges::count(heard, ';') == 41);
}

TEST_CASE("topics, groups and routes are told as the dispatcher knows them", "[entries]") {
    World world;
    world.hold({entry("order.placed", "topic", R"({"keep_ms":60000})"),
                entry("kitchen", "subscription", R"({"group":"cooks","pattern":"order.*"})"),
                entry("orders", "http.endpoint", R"({"path":"/o","type":"t","embed":["x"]})")});
    CHECK(world.take() == R"(PUT /v1/endpoints/orders {"path":"/o","type":"t"}; )"
                          R"(PUT /v1/subscriptions/cooks {"pattern":"order.*"}; )"
                          R"(PUT /v1/topics/order.placed {"keep_ms":60000}; )");
    world.hold({});
    CHECK(world.take() ==
          "DELETE /v1/endpoints/orders ; DELETE /v1/subscriptions/cooks ; "
          "PUT /v1/topics/order.placed {}; ");
}

TEST_CASE("after a stop nothing is sent", "[entries]") {
    World world;
    world.host.stop_serving(world.port);
    world.hold({queue});
    world.push->stop();
    REQUIRE(world.host.serve(world.port, world.dispatcher));
    world.sim.run_for(60s);
    CHECK(world.take().empty());
}

TEST_CASE("what no dispatcher would understand is refused beforehand", "[entries]") {
    CHECK(check_pushed_entry(queue));
    CHECK(check_pushed_entry(schedule));
    CHECK_FALSE(check_pushed_entry(entry("a", "queue", R"({"concurrency":-1})")));
    CHECK_FALSE(check_pushed_entry(entry("a", "queue", R"({"type":"no type"})")));
    CHECK_FALSE(check_pushed_entry(entry("a", "schedule", R"({"task":{"type":"sum"}})")));
    CHECK_FALSE(check_pushed_entry(entry("a", "schedule", R"({"cron":"x","task":{}})")));
}
