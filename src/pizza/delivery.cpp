#include "taskd/pizza/delivery.hpp"

#include <array>

#include "taskd/base/assert.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"

namespace taskd::pizza {
namespace {

using protocol::JsonView;

constexpr std::size_t slots = 50;
constexpr std::string_view notification = "Dein Essen kommt!";

constexpr std::string_view deliveries_table =
    "CREATE TABLE deliveries(order_id TEXT PRIMARY KEY, pizza TEXT NOT NULL, quantity INTEGER NOT "
    "NULL, address TEXT NOT NULL, customer TEXT NOT NULL, driver TEXT NOT NULL, assigned_at "
    "INTEGER NOT NULL, notification TEXT NOT NULL) WITHOUT ROWID;";

// How many were given a driver: counted apart, because deliveries are many, and go.
constexpr const char* turns_table =
    "CREATE TABLE turns(number INTEGER NOT NULL);"
    "INSERT INTO turns SELECT count(*) FROM deliveries";

Result<std::vector<io::SqlRow>> find_deliveries(io::SqliteStore& store, std::string_view rest,
                                                const io::SqlValue& value) {
    return store.rows(
        "SELECT order_id, pizza, quantity, address, customer, driver, assigned_at, notification "
        "FROM deliveries " +
            std::string{rest},
        {value});
}

constexpr std::string_view one = "WHERE order_id = ?";
constexpr std::string_view newest = "ORDER BY order_id DESC LIMIT ?";

std::string delivery_json(const io::SqlRow& row) {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object()
        .field("orderId", row.text(0))
        .field("pizza", row.text(1))
        .field("quantity", row.number(2));
    if (!row.text(3).empty()) json.field("address", row.text(3));
    if (!row.text(4).empty()) json.field("customerName", row.text(4));
    json.field("status", "ON_THE_WAY")
        .field("driver", row.text(5))
        .field("assignedAt", to_rfc3339(WallTime{Duration{row.number(6)}}))
        .field("notification", row.text(7))
        .end_object();
    return body;
}

constexpr const char* time_index = "CREATE INDEX deliveries_by_time ON deliveries(assigned_at);";

constexpr std::string_view old_rows =
    "DELETE FROM deliveries WHERE order_id IN (SELECT order_id FROM deliveries WHERE "
    "assigned_at < ?1 LIMIT ?2)";

}  // namespace

struct DeliveryService::Order {
    std::string id;
    std::string pizza;
    std::int64_t quantity = 0;
    std::string address;
    std::string customer;
    std::vector<std::string> drivers;
    std::string instance;
    TraceSpot wait;
    TraceSpot assign;
    WallTime ready_at;
    WallTime taken_at;
    WallTime now;
};

std::span<const char* const> DeliveryService::formats() {
    static const std::string first = std::string{deliveries_table} + std::string{outbox_table};
    static const std::array<const char*, 5> all{first.c_str(), parked_table, outbox_index,
                                                turns_table, time_index};
    return all;
}

DeliveryService::DeliveryService(DeliverySettings settings, World world)
    : settings_{std::move(settings)},
      world_{std::move(world)},
      random_{world_.seed},
      outbox_{"/pizza/delivery", world_.desk,  world_.broker,
              world_.timers,     world_.clock, world_.log},
      sweep_{old_rows, settings_.keep, world_},
      consumer_{{.group = "delivery",
                 .pattern = "order.ready",
                 .name = world_.instance,
                 .slots = slots,
                 .ack_timeout = settings_.ack_timeout},
                world_.broker,
                world_.timers,
                world_.clock,
                world_.log,
                [this](const Delivery& delivery, Consumer::Done done) {
                    take(delivery, std::move(done));
                }} {
    TASKD_ASSERT(!settings_.drivers.empty());
}

void DeliveryService::add_routes(Front& front) {
    front.add({"GET", "/deliveries", [this](Call call) { list(std::move(call)); }});
    front.add({"GET", "/deliveries/{orderId}", [this](Call call) { read(std::move(call)); }});
}

void DeliveryService::start() {
    outbox_.start();
    sweep_.start();
    consumer_.start();
}

void DeliveryService::drain(std::function<void()> done) {
    outbox_.hurry();
    consumer_.drain([this, done = std::move(done)] { outbox_.drain(done); });
}

void DeliveryService::report(port::MetricSink& sink) const {
    outcomes_.report(sink);
    outbox_.report(sink, "delivery");
}

void DeliveryService::take(const Delivery& delivery, Consumer::Done done) {
    const JsonView ready{delivery.data};
    Order order;
    order.id = ready["orderId"].text();
    order.pizza = ready["pizza"].text();
    order.quantity = static_cast<std::int64_t>(ready["quantity"].number().value_or(0));
    order.address = ready["address"].text();
    order.customer = ready["customerName"].text();
    if (const auto fault =
            fault_of(order.id, order.pizza, order.quantity, order.address, order.customer))
        return done(DeliveryEnd::failed, "it is no order: " + *fault);
    order.drivers = settings_.drivers;
    order.instance = world_.instance;
    order.wait = enter_trace(delivery.traceparent, random_);
    order.assign = order.wait.child(random_);
    order.ready_at = delivery.published_at;
    order.taken_at = world_.clock.wall();
    order.now = order.taken_at;
    world_.desk.change<std::string>(
        [order](io::SqliteStore& store) { return assign(store, order); },
        [this, id = order.id, trace = order.wait.trace_id,
         done = std::move(done)](Result<std::string> driver) {
            if (!driver) return done(DeliveryEnd::released, driver.error().to_string());
            crash_point("assigned");
            outcomes_.note(driver->empty() ? "known" : "assigned");
            if (!driver->empty())
                world_.log.info(notification,
                                {{"order", id}, {"driver", *driver}, {"trace_id", trace}});
            // Its customer is told last; what was sent before waits no longer.
            outbox_.after("customer.notified:" + id, [done](bool told) {
                done(told ? DeliveryEnd::done : DeliveryEnd::failed,
                     told ? "" : "assigned, and not told yet");
            });
        });
}

// The driver, and the events that tell of him; empty when the order has one already.
Result<std::string> DeliveryService::assign(io::SqliteStore& store, const Order& order) {
    auto turns = store.rows("SELECT number FROM turns");
    if (!turns) return fail(std::move(turns));
    const auto turn = static_cast<std::size_t>(turns->front().number(0)) % order.drivers.size();
    const std::string& driver = order.drivers[turn];
    auto changed =
        store.run("INSERT INTO deliveries VALUES(?,?,?,?,?,?,?,?) ON CONFLICT(order_id) DO NOTHING",
                  {order.id, order.pizza, order.quantity, order.address, order.customer, driver,
                   order.now.time_since_epoch().count(), std::string{notification}});
    if (!changed) return fail(std::move(changed));
    if (*changed == 0) return std::string{};
    if (auto next = store.run("UPDATE turns SET number = number + 1"); !next)
        return fail(std::move(next));
    std::string assigned;
    protocol::JsonWriter{assigned}
        .begin_object()
        .field("orderId", order.id)
        .field("driver", driver)
        .field("assignedAt", to_rfc3339(order.now))
        .end_object();
    std::string notified;
    protocol::JsonWriter json{notified};
    json.begin_object().field("orderId", order.id);
    if (!order.customer.empty()) json.field("customerName", order.customer);
    json.field("message", notification).field("notifiedAt", to_rfc3339(order.now)).end_object();
    const OutEvent events[] = {{"delivery.assigned", "delivery.assigned:" + order.id, order.id,
                                order.assign.traceparent(), order.now, std::move(assigned)},
                               {"customer.notified", "customer.notified:" + order.id, order.id,
                                order.assign.traceparent(), order.now, std::move(notified)}};
    for (const OutEvent& event : events)
        if (auto put = put_event(store, event); !put) return fail(std::move(put));
    const Span wait{order.wait,     "wait in order.ready", "delivery", order.instance,
                    order.ready_at, order.taken_at,        order.id,   {}};
    const Span given{order.assign,   "assign a driver", "delivery", order.instance,
                     order.taken_at, order.now,         order.id,   driver};
    for (const Span& span : {wait, given})
        if (auto put = put_span(store, span); !put) return fail(std::move(put));
    return driver;
}

void DeliveryService::list(Call call) {
    const auto limit = limit_of(call.target);
    if (!limit) return call.refuse(limit.error());
    auto held = std::make_shared<Call>(std::move(call));
    world_.desk.ask<std::vector<io::SqlRow>>(
        [limit = *limit](io::SqliteStore& store) { return find_deliveries(store, newest, limit); },
        [held](Result<std::vector<io::SqlRow>> rows) {
            if (!rows) return held->refuse(rows.error());
            std::string body;
            protocol::JsonWriter json{body};
            json.begin_object().key("deliveries").begin_array();
            for (const io::SqlRow& row : *rows)
                json.raw(delivery_json(row));
            json.end_array().end_object();
            held->answer(200, std::move(body));
        });
}

void DeliveryService::read(Call call) {
    auto held = std::make_shared<Call>(std::move(call));
    world_.desk.ask<std::vector<io::SqlRow>>(
        [id = held->parameters.front()](io::SqliteStore& store) {
            return find_deliveries(store, one, id);
        },
        [held](Result<std::vector<io::SqlRow>> rows) {
            if (!rows) return held->refuse(rows.error());
            if (rows->empty())
                return held->refuse(Error{ErrorCode::not_found, held->parameters.front()});
            held->answer(200, delivery_json(rows->front()));
        });
}

}  // namespace taskd::pizza
