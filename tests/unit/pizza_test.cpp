// The pizza platform's pure parts: the breaker, what a customer sends, languages, money, traces,
// who may ask for tokens; and its small store.
#include <filesystem>

#include "catch.hpp"
#include "taskd/io/sqlite_store.hpp"
#include "taskd/io/work_dir.hpp"
#include "taskd/io/yaml.hpp"
#include "taskd/pizza/breaker.hpp"
#include "taskd/pizza/identity.hpp"
#include "taskd/pizza/order_form.hpp"
#include "taskd/pizza/outbox.hpp"
#include "taskd/pizza/seldom.hpp"
#include "taskd/pizza/span.hpp"
#include "taskd/protocol/json.hpp"

using namespace taskd;
using namespace taskd::pizza;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

TEST_CASE("a breaker opens after failures in a row, lets one through, closes by its success",
          "[pizza]") {
    Breaker breaker{{.failures_max = 3, .open_for = 5s}};
    SteadyTime now{1s};
    for (int i = 0; i < 2; ++i) {
        CHECK(breaker.admit(now));
        breaker.failed(now);
    }
    CHECK(breaker.admit(now));
    breaker.succeeded();  // not in a row any more
    for (int i = 0; i < 3; ++i) {
        CHECK(breaker.admit(now));
        breaker.failed(now);
    }
    CHECK(breaker.state() == BreakerState::open);
    CHECK_FALSE(breaker.admit(now + 5s - 1us));
    // Calls that were on their way when it opened do not keep it open for longer.
    breaker.failed(now + 4s);
    CHECK(breaker.admit(now + 5s));
    CHECK(breaker.state() == BreakerState::half_open);
    CHECK_FALSE(breaker.admit(now + 5s));
    breaker.failed(now + 6s);  // the one that tried
    CHECK(breaker.state() == BreakerState::open);
    CHECK_FALSE(breaker.admit(now + 10s));
    CHECK(breaker.admit(now + 11s));
    breaker.succeeded();
    CHECK(breaker.state() == BreakerState::closed);
    for (int i = 0; i < 2; ++i) {
        breaker.failed(now + 12s);
        CHECK(breaker.admit(now + 12s));
    }
}

TEST_CASE("the customer's language is German unless English is preferred", "[pizza]") {
    for (const char* german : {"", "de", "de-CH", "fr", "en;q=0.5, de", "en, de", "*", "en;q=0",
                               "de;q=0.9,en;q=0.8", "en;q=abc"})
        CHECK(language_of(german) == Language::german);
    for (const char* english : {"en", "EN-gb", "en, de;q=0.9", "fr, en;q=0.3", "de;q=0.1,en;q=0.2"})
        CHECK(language_of(english) == Language::english);
    CHECK(message_of(OrderEnd::unpaid, Language::german) ==
          "Zahlungssystem antwortet nicht, bitte später versuchen");
    CHECK_THAT(std::string{message_of(OrderEnd::unpaid, Language::english)}, Contains("try again"));
    CHECK(status_of(OrderEnd::declined) == "PAYMENT_FAILED");
}

TEST_CASE("money is whole cents", "[pizza]") {
    for (const auto& [text, cents] : {std::pair{"1", 100},
                                      {"8.5", 850},
                                      {"0.01", 1},
                                      {"17.00", 1700},
                                      {"9.500", 950},
                                      {"100000", 10'000'000}})
        CHECK(parse_cents(text).value() == cents);
    for (const char* wrong : {"", "0", "0.00", "-1", "-0.5", "1.", ".5", "1.234", "1e3", "1,5",
                              "abc", "100000.01", "99999999999999999999"})
        CHECK_FALSE(parse_cents(wrong));
    CHECK(write_cents(1700) == "17");
    CHECK(write_cents(850) == "8.5");
    CHECK(write_cents(1) == "0.01");
    CHECK(write_cents(0) == "0");
}

TEST_CASE("an event's order is held against its contract", "[pizza]") {
    const std::string id = "018bcfe5-687b-7000-8000-00000000000a";
    CHECK_FALSE(fault_of(id, "Calzone", 20, "", ""));
    CHECK(fault_of("bad\nid", "Calzone", 1, "", "") == "orderId");
    CHECK(fault_of("018BCFE5-687B-7000-8000-00000000000A", "Calzone", 1, "", "") == "orderId");
    CHECK(fault_of(id, "", 1, "", "") == "pizza");
    CHECK(fault_of(id, std::string(101, 'x'), 1, "", "") == "pizza");
    CHECK(fault_of(id, "Calzone", 21, "", "") == "quantity");
    CHECK(fault_of(id, "Calzone", 1, std::string(301, 'x'), "") == "address");
    CHECK(fault_of(id, "Calzone", 1, "", std::string(101, 'x')) == "customerName");
}

TEST_CASE("lines that anybody can cause come once a second", "[pizza]") {
    Seldom seldom;
    SteadyTime now{std::chrono::seconds{5}};
    CHECK(seldom.turn(now) == 0U);
    CHECK_FALSE(seldom.turn(now));
    CHECK_FALSE(seldom.turn(now + std::chrono::milliseconds{999}));
    CHECK(seldom.turn(now + std::chrono::seconds{1}) == 2U);
    CHECK(seldom.turn(now + std::chrono::seconds{9}) == 0U);
}

TEST_CASE("an order is read, and all that is wrong with one is told at once", "[pizza]") {
    const Menu menu = parse_menu("Margherita=8.50, Quattro Formaggi=11").value();
    const auto good = read_order(
        R"({"pizza":" margherita ","quantity":2,"address":"Ringstraße 1","customerName":"Ann"})",
        menu, Language::german);
    REQUIRE(good);
    CHECK(good->pizza == "Margherita");
    CHECK(good->cents == 1700);
    CHECK(good->address == "Ringstraße 1");
    const auto faults = [&](const std::string& body, Language language = Language::english) {
        const auto read = read_order(body, menu, language);
        REQUIRE_FALSE(read);
        std::string all = read.error().is_json ? "" : "no JSON";
        for (const FieldFault& each : read.error().fields)
            all += (all.empty() ? "" : "; ") + each.field + " " + each.message;
        return all;
    };
    CHECK(faults("{}") ==
          "pizza is missing; quantity is missing; address is missing; customerName is missing");
    CHECK(faults("{}", Language::german) ==
          "pizza fehlt; quantity fehlt; address fehlt; customerName fehlt");
    CHECK(faults(R"({"pizza":"Calzone","quantity":0,"address":" ","customerName":7,"tip":1})") ==
          "quantity must be a whole number from 1 to 20; address must not be empty; "
          "customerName must be a text; tip is no field of an order; pizza is not on the menu");
    CHECK_THAT(faults(R"({"pizza":null,"quantity":21,"address":")" + std::string(301, 'a') +
                      R"(","customerName":"a\u0007"})"),
               Contains("pizza is missing") && Contains("quantity must") &&
                   Contains("address is too long") && Contains("control characters"));
    for (const char* body : {"", "[]", "1", "{", R"({"pizza":"a","pizza":"b"})"})
        CHECK(faults(body) == "no JSON");
    for (const char* wrong : {"", "A", "A=", "=5", "A=x", "A=0"})
        CHECK_FALSE(parse_menu(wrong));
}

TEST_CASE("a trace goes on from who asked, or begins", "[pizza]") {
    Random random{1};
    const std::string trace(32, 'a');
    const std::string parent(16, 'b');
    const TraceSpot spot = enter_trace("00-" + trace + "-" + parent + "-01", random);
    CHECK(spot.trace_id == trace);
    CHECK(spot.parent_id == parent);
    CHECK(spot.span_id.size() == 16);
    const TraceSpot child = spot.child(random);
    CHECK(child.trace_id == trace);
    CHECK(child.parent_id == spot.span_id);
    CHECK(child.span_id != spot.span_id);
    CHECK(child.traceparent() == "00-" + trace + "-" + child.span_id + "-01");
    const TraceSpot fresh = enter_trace("nonsense", random);
    CHECK(fresh.parent_id.empty());
    CHECK(fresh.trace_id.size() == 32);
    const Span span{child, "cook", "kitchen", "k1", WallTime{1s}, WallTime{2s}, "o", "done"};
    CHECK(span.to_json() ==
          R"({"traceId":")" + trace + R"(","spanId":")" + child.span_id + R"(","parentId":")" +
              spot.span_id +
              R"(","name":"cook","service":"kitchen","instance":"k1",)"
              R"("start":"1970-01-01T00:00:01.000000Z","end":"1970-01-01T00:00:02.000000Z",)"
              R"("orderId":"o","note":"done"})");
}

TEST_CASE("who may ask for tokens is read from a file, each fault with its place", "[pizza]") {
    const auto read = [](const std::string& text) {
        return read_clients(io::parse_yaml(text, "c.yaml").value());
    };
    const auto good = read(
        "clients:\n- {id: order, secret: sixteen-bytes-at-least, audiences: [payment]}\n"
        "- {id: b, audiences: [x, y], secret_sha256: " +
        std::string(64, 'a') + "}\n");
    REQUIRE(good);
    REQUIRE(good->size() == 2);
    CHECK((*good)[0].secret_sha256.size() == 64);
    CHECK((*good)[1].audiences.size() == 2);
    for (const auto& [text, told] :
         {std::pair{"clients:\n- {id: a, secret: short, audiences: [b]}\n", "c.yaml:2:19"},
          {"clients:\n- {id: a, audiences: [b]}\n", "c.yaml:2:3"},
          {"clients:\n- {id: a, secret: sixteen-bytes-at-least, audiences: []}\n", "audiences"},
          {"clients:\n- {id: a, pass: x, audiences: [b]}\n", "pass is no field"},
          {"clients:\n- {id: a, secret_sha256: zz, audiences: [b]}\n", "64 hex"},
          {"clients:\n- word\n", "a client is a map"},
          {"client: []\n", "'clients'"},
          {"clients:\n- {id: a, secret: sixteen-bytes-at-least, audiences: [b]}\n"
           "- {id: a, secret: sixteen-bytes-at-least, audiences: [b]}\n",
           "twice"}}) {
        const auto wrong = read(text);
        REQUIRE_FALSE(wrong);
        CHECK(wrong.error().code == ErrorCode::config_invalid);
        CHECK_THAT(wrong.error().detail, Contains(told));
    }
}

TEST_CASE("the small store keeps what a transaction wrote, and nothing of one that failed",
          "[pizza]") {
    const auto dir = io::WorkDir::make({}, "sqlite-store-test").value();
    const std::string path = dir->path() + "/deep/a.db";
    const char* const first[] = {"CREATE TABLE t(a TEXT PRIMARY KEY, b INTEGER, c TEXT)"};
    const char* const both[] = {first[0], "ALTER TABLE t ADD COLUMN d INTEGER NOT NULL DEFAULT 7"};
    {
        auto store = io::SqliteStore::open(path, first).value();
        CHECK(store->run("INSERT INTO t VALUES(?,?,?)", {std::string{"x"}, std::int64_t{1}, {}})
                  .value() == 1);
        const auto failed = store->transaction([&]() -> Result<void> {
            CHECK(store->run("DELETE FROM t").value() == 1);
            return fail(ErrorCode::internal, "no");
        });
        CHECK_FALSE(failed);
        CHECK_FALSE(store->run("INSERT INTO t VALUES('x', 2, NULL)"));
        CHECK_FALSE(store->rows("SELECT * FROM nowhere"));
    }
    auto store = io::SqliteStore::open(path, both).value();
    const auto rows = store->rows("SELECT a, b, c, d FROM t").value();
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].text(0) == "x");
    CHECK(rows[0].number(1) == 1);
    CHECK(rows[0].is_null(2));
    CHECK(rows[0].text(2).empty());
    CHECK(rows[0].number(3) == 7);
    // A version before does not open what a later one has made.
    CHECK(io::SqliteStore::open(path, first).error().code == ErrorCode::store_too_new);
    // Two at a time, as two processes would.
    auto other = io::SqliteStore::open(path, both).value();
    CHECK(other->run("UPDATE t SET b = b + 1").value() == 1);
    CHECK(store->rows("SELECT b FROM t").value()[0].number(0) == 2);
}
