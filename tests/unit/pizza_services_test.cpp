// The pizza services' parts on real stores, with a wire that answers as the test says: orders that
// were paid before, members of a group that end, drivers in turn.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "memory_log.hpp"
#include "memory_metrics.hpp"
#include "pizza/order_rows.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/lane.hpp"
#include "taskd/io/loop.hpp"
#include "taskd/io/prometheus_metrics.hpp"
#include "taskd/io/sqlite_store.hpp"
#include "taskd/io/work_dir.hpp"
#include "taskd/pizza/consumer.hpp"
#include "taskd/pizza/delivery.hpp"
#include "taskd/pizza/kitchen.hpp"
#include "taskd/pizza/order.hpp"
#include "taskd/pizza/payment.hpp"
#include "taskd/protocol/problem.hpp"

using namespace taskd;
using namespace taskd::pizza;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

// The other end of HTTP. Questions for deliveries stay open until they are answered by hand; all
// else is answered by `answers`, 0: not at all.
class Wire final : public port::HttpExchange {
  public:
    using Then = std::function<void(Result<port::HttpResponse>)>;
    using Answers = std::function<port::HttpResponse(const port::HttpRequest&)>;
    explicit Wire(io::Loop& loop) : loop_{loop} {}

    void send(const std::string&, port::HttpRequest request, Duration, Then then) override {
        if (request.target.ends_with("/deliveries")) {
            questions.push_back(std::move(then));
            return;
        }
        asked.push_back(request);
        if (silent) return silenced.push_back(std::move(then));
        loop_.post([answer = answers(request), then = std::move(then)] {
            if (answer.status == 0) return then(fail(ErrorCode::unreachable, "no connection"));
            then(answer);
        });
    }
    // Answers the open question.
    void deliver(const std::vector<std::pair<std::string, std::string>>& events,
                 const std::string& more = {}) {
        std::string body;
        for (const auto& [id, data] : events)
            body += (body.empty() ? "" : ",") + std::string{R"({"id":")"} + id +
                    R"(","event":{"topic":"t","data":)" + data + "}}";
        const Then then = std::move(questions.front());
        questions.erase(questions.begin());
        then(port::HttpResponse{200, {}, R"({"deliveries":[)" + body + "]" + more + "}"});
    }
    // How often something went out that has this in its body, or in its method and target.
    std::size_t count(std::string_view words) const {
        std::size_t found = 0;
        for (const port::HttpRequest& each : asked)
            if ((each.method + " " + each.target).contains(words) || each.body.contains(words))
                ++found;
        return found;
    }

    Answers answers = [](const port::HttpRequest&) { return port::HttpResponse{200, {}, "{}"}; };
    std::vector<port::HttpRequest> asked;
    std::vector<Then> questions;
    bool silent = false;
    std::vector<Then> silenced;

  private:
    io::Loop& loop_;
};

// What a service stands on: its store, and the wire.
struct Ground {
    explicit Ground(std::span<const char* const> formats)
        : dir{io::WorkDir::make({}, "pizza-test").value()},
          store{open(formats)},
          second{open(formats)},
          lane{loop, "store"},
          desk{*store, lane},
          wire{loop},
          broker{"http://127.0.0.1:1", "", wire} {}

    std::unique_ptr<io::SqliteStore> open(std::span<const char* const> formats) {
        return io::SqliteStore::open(dir->path() + "/a.db", formats).value();
    }
    World world() { return {desk, broker, wire, loop, *clock, log, "i1"}; }
    std::string one(std::string_view sql, std::size_t column = 0) {
        return second->rows(sql).value().at(0).text(column);
    }

    std::unique_ptr<io::WorkDir> dir;
    io::Loop loop;
    std::unique_ptr<io::SqliteStore> store;
    std::unique_ptr<io::SqliteStore> second;  // for the test, beside the lane's
    io::Lane lane;
    Desk desk;
    Wire wire;
    Broker broker;
    std::unique_ptr<port::Clock> clock = io::make_system_clock();
    test::MemoryLog log;
};

struct Counter : Ground {
    explicit Counter(BreakerSettings breaker = {.failures_max = 1, .open_for = 1h})
        : Ground{OrderService::formats()},
          service{{.menu = parse_menu("Salami=9.50").value(),
                   .payment = "http://127.0.0.1:2",
                   .payment_tries = 1,
                   .retry_wait = 1ms,
                   .breaker = breaker},
                  world(),
                  payments},
          front{{.role = "pizza-order"}, *clock, metrics, log, nullptr} {
        service.add_routes(front);
    }

    // How it is answered is told to `then`.
    void place(const std::string& key, std::function<void(const port::HttpResponse&)> then) {
        front.handle({"POST",
                      "/orders",
                      {{"Idempotency-Key", key}},
                      R"({"pizza":"Salami","quantity":1,"address":"a","customerName":"n"})"},
                     std::move(then));
    }
    int place() {
        int status = 0;
        place("k", [&](const port::HttpResponse& answer) { status = answer.status; });
        REQUIRE(loop.run_until([&] { return status != 0; }, 5s));
        return status;
    }
    // An order of an earlier life.
    void was(char last, const std::string& status, const std::string& key = "NULL") {
        REQUIRE(second->run(
            std::string{"INSERT INTO orders VALUES('018bcfe5-687b-7000-8000-00000000000"} + last +
            "','" + status + "','Salami',1,'a','n',950,'" + std::string(32, 'a') + "','" +
            std::string(16, 'b') + "',''," + key + ",'',1)"));
    }

    Wire payments{loop};
    io::PrometheusMetrics metrics;
    OrderService service;
    Front front;
};

std::string ready_event(char last) {
    return std::string{R"({"orderId":"018bcfe5-687b-7000-8000-00000000000)"} + last +
           R"(","pizza":"Salami","quantity":1,"address":"a","customerName":"n"})";
}

}  // namespace

TEST_CASE("what a customer was told is paid stays so while it cannot be stored", "[pizza]") {
    Counter counter;
    counter.service.start();
    counter.payments.answers = [](const port::HttpRequest&) {
        return port::HttpResponse{200, {}, R"({"transactionId":"t1"})"};
    };
    REQUIRE(
        counter.second->run("CREATE TRIGGER full BEFORE UPDATE ON orders BEGIN "
                            "SELECT RAISE(FAIL, 'no room'); END"));
    CHECK(counter.place() == 201);
    // Asked again while the payment is away.
    counter.payments.answers = [](const port::HttpRequest&) { return port::HttpResponse{0}; };
    CHECK(counter.place() == 201);
    REQUIRE(counter.second->run("DROP TRIGGER full"));
    REQUIRE(counter.loop.run_until(
        [&] { return counter.one("SELECT status FROM orders") == "PLACED"; }, 10s));
    CHECK(counter.place() == 201);
    CHECK(counter.payments.count("DELETE") == 0);
    CHECK(counter.one("SELECT transaction_id FROM orders") == "t1");
}

TEST_CASE("an order that may have been paid before is given back when its customer is refused",
          "[pizza]") {
    Counter counter;
    counter.payments.answers = [](const port::HttpRequest&) { return port::HttpResponse{0}; };
    // Its process ended when it was paid.
    REQUIRE(counter.second->run(
        "INSERT INTO orders VALUES('018bcfe5-687b-7000-8000-000000000001','PAYING','Salami',1,"
        "'a','n',950,'" +
        std::string(32, 'a') + "','" + std::string(16, 'b') + "','','k','',1)"));
    counter.service.start();
    // Nobody waits yet: the payment is asked, and left alone from now on.
    REQUIRE(counter.loop.run_until(
        [&] { return counter.service.breaker().state() == BreakerState::open; }, 5s));
    CHECK(counter.place() == 503);
    counter.payments.answers = [](const port::HttpRequest&) { return port::HttpResponse{200}; };
    REQUIRE(counter.loop.run_until(
        [&] { return counter.one("SELECT status FROM orders") == "ERROR"; }, 5s));
    CHECK(counter.payments.count("DELETE /payments/018bcfe5-687b-7000-8000-000000000001") > 0);
}

TEST_CASE("of a burst of orders so many are taken, and who asks for one that is known is told",
          "[pizza]") {
    Counter counter;
    counter.service.start();
    counter.payments.answers = [](const port::HttpRequest&) {
        return port::HttpResponse{200, {}, R"({"transactionId":"t1"})"};
    };
    CHECK(counter.place() == 201);
    counter.payments.silent = true;
    int busy = 0;
    for (int i = 0; i < 1'500; ++i)
        counter.place("burst " + std::to_string(i), [&](const port::HttpResponse& answer) {
            CHECK(answer.status == 503);
            CHECK(std::ranges::count(answer.headers, "Retry-After",
                                     &port::HttpHeaders::value_type::first) == 1);
            CHECK(port::find_header(answer.headers, "Retry-After") == "5");
            ++busy;
        });
    REQUIRE(counter.loop.run_until([&] { return busy == 500; }, 20s));
    CHECK(counter.one("SELECT CAST(count(*) AS TEXT) FROM orders WHERE status = 'PAYING'") ==
          "1000");
    CHECK(counter.place() == 201);
    // They end with the test: nobody answers any more.
}

TEST_CASE("a payment that cannot be given back holds up no other, and is told of once", "[pizza]") {
    Counter counter;
    counter.payments.answers = [](const port::HttpRequest& request) {
        return port::HttpResponse{request.target.ends_with('1') ? 500 : 200};
    };
    counter.was('1', "CANCELLING");
    counter.was('2', "CANCELLING");
    test::MemoryMetrics figures;
    figures.add([&](port::MetricSink& sink) { counter.service.report(sink); });
    counter.service.start();
    const auto state = [&](char last) {
        return counter.one(std::string{"SELECT status FROM orders WHERE id LIKE '%"} + last + "'");
    };
    REQUIRE(counter.loop.run_until([&] { return state('2') == "ERROR"; }, 5s));
    CHECK(counter.log.count("a payment cannot be given back") == 1);
    CHECK(state('1') == "CANCELLING");
    const auto open = [&] { return figures.values()["taskd_pizza_refunds_open"]; };
    REQUIRE(counter.loop.run_until([&] { return open() == 1; }, 5s));
    CHECK(figures.values()["taskd_pizza_outcomes_total{order,refund_failed}"] >= 1);
    counter.payments.answers = [](const port::HttpRequest&) { return port::HttpResponse{200}; };
    REQUIRE(counter.loop.run_until([&] { return state('1') == "ERROR"; }, 5s));
    REQUIRE(counter.loop.run_until([&] { return open() == 0; }, 5s));
    CHECK(figures.values()["taskd_pizza_outcomes_total{order,refunded}"] == 2);
}

TEST_CASE("a payment that is to be given back is counted from the moment it is", "[pizza]") {
    Counter counter;
    test::MemoryMetrics figures;
    figures.add([&](port::MetricSink& sink) { counter.service.report(sink); });
    counter.payments.answers = [](const port::HttpRequest&) { return port::HttpResponse{500}; };
    const auto open = [&] { return figures.values()["taskd_pizza_refunds_open"]; };
    CHECK_FALSE(figures.values().contains("taskd_pizza_refunds_open"));  // nobody knows yet
    counter.service.start();
    REQUIRE(counter.loop.run_until(
        [&] { return figures.values().contains("taskd_pizza_refunds_open"); }, 5s));
    CHECK(open() == 0);
    CHECK(counter.place() == 503);
    CHECK(open() == 1);
}

TEST_CASE("events that were put aside go with what else is old", "[pizza]") {
    Ground ground{KitchenService::formats()};
    KitchenService service{{.keep = 24h}, ground.world()};
    const auto park = [&](std::int64_t number, WallTime at) {
        REQUIRE(ground.second->run("INSERT INTO parked VALUES(?,'t','i','k',?,'{}','refused')",
                                   {number, at.time_since_epoch().count()}));
    };
    park(1, ground.clock->wall() - 25h);
    park(2, ground.clock->wall() - 23h);
    service.start();
    const auto left = [&] { return ground.one("SELECT group_concat(number) FROM parked"); };
    REQUIRE(ground.loop.run_until([&] { return left() == "2"; }, 5s));
}

TEST_CASE("a broker that refuses is told apart from one that does not answer", "[pizza]") {
    const auto told = [](const Result<port::HttpResponse>& answer) {
        Ground ground{KitchenService::formats()};
        Consumer consumer{{.group = "g", .pattern = "p", .name = "n"},
                          ground.broker,
                          ground.loop,
                          *ground.clock,
                          ground.log,
                          [](const Delivery&, const Consumer::Done&) {}};
        consumer.start();
        REQUIRE(ground.loop.run_until([&] { return !ground.wire.questions.empty(); }, 5s));
        const Wire::Then then = std::move(ground.wire.questions.front());
        ground.wire.questions.clear();
        then(answer);
        const auto& last = ground.log.entries.back();
        return last.message + ": " + last.fields.back().second;
    };
    const std::string refusal = protocol::write_problem({ErrorCode::missing_key, {}});
    CHECK(
        told(port::HttpResponse{401, {}, refusal}).starts_with("the broker refuses: missing_key"));
    CHECK(told(fail(ErrorCode::unreachable, "no connection"))
              .starts_with("the broker does not answer: unreachable"));
}

TEST_CASE("who cannot take what comes gives it back, rests, and says so", "[pizza]") {
    Ground ground{KitchenService::formats()};
    DeliveryEnd end = DeliveryEnd::released;
    Consumer consumer{{.group = "g", .pattern = "p", .name = "n"},
                      ground.broker,
                      ground.loop,
                      *ground.clock,
                      ground.log,
                      [&](const Delivery&, const Consumer::Done& done) { done(end, "no room"); }};
    consumer.start();
    const auto asks = [&] { return ground.wire.questions.size() == 1; };
    for (int i = 0; i < 3; ++i) {
        REQUIRE(ground.loop.run_until(asks, 5s));
        ground.wire.deliver({{"g:t:1:1", "{}"}});
        CHECK_FALSE(asks());  // not at once
        CHECK(consumer.reasons() == std::vector<std::string>{"the store"});
    }
    REQUIRE(ground.loop.run_until(asks, 5s));
    CHECK(ground.wire.count(R"("releases":["g:t:1:1"])") == 3);
    CHECK(ground.log.count("what comes cannot be taken") == 1);
    end = DeliveryEnd::done;
    ground.wire.deliver({{"g:t:1:1", "{}"}});
    CHECK(asks());
    CHECK(consumer.reasons().empty());
    // Nor does it stay so when nothing comes for a while.
    end = DeliveryEnd::released;
    ground.wire.deliver({{"g:t:1:1", "{}"}});
    CHECK_FALSE(consumer.reasons().empty());
    REQUIRE(ground.loop.run_until(asks, 5s));
    ground.wire.deliver({});
    CHECK(consumer.reasons().empty());
}

TEST_CASE("what is held is renewed in the group's time, whoever has set it", "[pizza]") {
    Ground ground{KitchenService::formats()};
    std::vector<Consumer::Done> working;
    Consumer consumer{
        {.group = "g", .pattern = "p", .name = "n", .slots = 2, .ack_timeout = 1h},
        ground.broker,
        ground.loop,
        *ground.clock,
        ground.log,
        [&](const Delivery&, Consumer::Done done) { working.push_back(std::move(done)); }};
    consumer.start();
    const auto asks = [&] { return ground.wire.questions.size() == 1; };
    REQUIRE(ground.loop.run_until(asks, 5s));
    ground.wire.deliver({{"g:t:0:1", "{}"}});  // an hour
    REQUIRE(ground.loop.run_until(asks, 5s));
    ground.wire.deliver({{"g:t:1:1", "{}"}}, R"(,"ack_timeout_ms":300)");
    REQUIRE(ground.loop.run_until([&] { return ground.wire.count("/renew") >= 4; }, 5s));
    CHECK(ground.wire.count("g%3At%3A0%3A1/renew") > 0);
}

TEST_CASE("orders that were left are asked for ever more rarely, and at once when one gets through",
          "[pizza]") {
    Counter counter{{.failures_max = 100, .open_for = 1h}};
    counter.payments.answers = [](const port::HttpRequest&) { return port::HttpResponse{0}; };
    counter.was('1', "PAYING");
    counter.was('2', "PAYING");
    counter.service.start();
    REQUIRE(counter.loop.run_until([&] { return counter.payments.count("/pay") == 6; }, 20s));
    CHECK(counter.log.count("an order is taken up again") == 2);
    counter.payments.answers = [](const port::HttpRequest&) {
        return port::HttpResponse{200, {}, R"({"transactionId":"t1"})"};
    };
    // Others that get through, one behind the other, put it off no further.
    const auto left = [&] {
        return counter.one("SELECT CAST(count(*) AS TEXT) FROM orders WHERE status = 'PAYING'");
    };
    int answered = 0;
    for (int i = 0; i < 60 && left() != "0"; ++i) {
        counter.place("n" + std::to_string(i), [&](const port::HttpResponse&) { ++answered; });
        REQUIRE(counter.loop.run_until([&] { return answered == i + 1; }, 5s));
        counter.loop.run_until([] { return false; }, 50ms);
    }
    CHECK(left() == "0");  // within 3 s; the next round of its own would be in four
}

TEST_CASE("a service that ends begins no payment", "[pizza]") {
    Counter counter;
    counter.payments.answers = [](const port::HttpRequest&) { return port::HttpResponse{0}; };
    counter.was('1', "PAYING", "'k'");
    bool drained = false;
    counter.service.drain([&] { drained = true; });
    CHECK(counter.place() == 503);
    CHECK(counter.payments.asked.empty());
    REQUIRE(counter.loop.run_until([&] { return drained; }, 5s));
}

TEST_CASE("what comes to a member of a group that ends is given back", "[pizza]") {
    Ground ground{KitchenService::formats()};
    std::vector<Consumer::Done> working;
    Consumer consumer{
        {.group = "g", .pattern = "p", .name = "n", .slots = 2},
        ground.broker,
        ground.loop,
        *ground.clock,
        ground.log,
        [&](const Delivery&, Consumer::Done done) { working.push_back(std::move(done)); }};
    consumer.start();
    const auto asks = [&] { return ground.wire.questions.size() == 1; };
    REQUIRE(ground.loop.run_until(asks, 5s));
    ground.wire.deliver({{"g:t:1:1", "{}"}});
    REQUIRE(ground.loop.run_until(asks, 5s));
    bool drained = false;
    consumer.drain([&] { drained = true; });
    ground.wire.deliver({{"g:t:2:1", "{}"}});
    CHECK(working.size() == 1);
    REQUIRE(ground.loop.run_until(
        [&] { return ground.wire.count(R"("releases":["g:t:2:1"])") == 1; }, 5s));
    CHECK_FALSE(drained);
    working.front()(DeliveryEnd::done, {});
    REQUIRE(ground.loop.run_until([&] { return drained; }, 5s));
    CHECK(ground.wire.count(R"("acks":["g:t:1:1"])") == 1);
    CHECK(ground.wire.questions.empty());
}

TEST_CASE("drivers take turns, whatever was let go of", "[pizza]") {
    Ground ground{DeliveryService::formats()};
    DeliveryService service{{.drivers = {"Anna", "Ben", "Cem"}}, ground.world()};
    service.start();
    std::vector<std::string> drivers;
    for (const char last : {'1', '2', '2', '3', '4'}) {
        REQUIRE(ground.loop.run_until([&] { return !ground.wire.questions.empty(); }, 5s));
        ground.wire.deliver({{std::string{"d:t:1:"} + last, ready_event(last)}});
        const std::string sql =
            std::string{"SELECT driver FROM deliveries WHERE order_id LIKE '%"} + last + "'";
        REQUIRE(
            ground.loop.run_until([&] { return !ground.second->rows(sql).value().empty(); }, 5s));
        drivers.push_back(ground.one(sql));
        if (last == '2')
            REQUIRE(ground.second->run("DELETE FROM deliveries WHERE order_id LIKE '%1'"));
    }
    CHECK(drivers == std::vector<std::string>{"Anna", "Ben", "Ben", "Cem", "Anna"});
}

TEST_CASE("drivers go on where they were in a store of an earlier format", "[pizza]") {
    const auto dir = io::WorkDir::make({}, "pizza-test").value();
    const std::string path = dir->path() + "/a.db";
    {
        const auto before = io::SqliteStore::open(path, DeliveryService::formats().first(2));
        REQUIRE(
            before.value()->run("INSERT INTO deliveries VALUES('1','p',1,'a','n','Anna',1,'')"));
        REQUIRE(before.value()->run("INSERT INTO deliveries VALUES('2','p',1,'a','n','Ben',1,'')"));
    }
    const auto store = io::SqliteStore::open(path, DeliveryService::formats()).value();
    CHECK(store->rows("SELECT number FROM turns").value().at(0).number(0) == 2);
}

TEST_CASE("what is looked for often is found without reading all", "[pizza]") {
    const auto plan = [](std::span<const char* const> formats, const std::string& sql) {
        Ground ground{formats};
        return ground.one("EXPLAIN QUERY PLAN " + sql, 3);
    };
    for (const auto formats : {KitchenService::formats(), DeliveryService::formats()})
        CHECK_THAT(plan(formats, "SELECT 1 FROM outbox WHERE id = 'x'"), Contains("outbox_by_id"));
    for (const std::string_view where : {where_paying, where_cancelling})
        CHECK_THAT(
            plan(OrderService::formats(), "SELECT id FROM orders WHERE " + std::string{where}),
            Contains("open_orders"));
    CHECK_THAT(plan(PaymentService::formats(), "SELECT order_id FROM payments WHERE at < 1"),
               Contains("payments_by_time"));
    CHECK_THAT(plan(OrderService::formats(), "SELECT id FROM orders WHERE ordered_at < 1"),
               Contains("orders_by_time"));
    CHECK_THAT(plan(KitchenService::formats(), "SELECT order_id FROM cooking WHERE begun_at < 1"),
               Contains("cooking_by_time"));
    CHECK_THAT(
        plan(DeliveryService::formats(), "SELECT order_id FROM deliveries WHERE assigned_at < 1"),
        Contains("deliveries_by_time"));
}
