#include "taskd/pizza/order.hpp"

#include <array>

#include "pizza/order_rows.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"

namespace taskd::pizza {
namespace {

constexpr std::size_t key_bytes_max = 200;
constexpr std::size_t follow_slots = 50;

bool same_form(const OrderForm& a, const OrderForm& b) {
    return a.pizza == b.pizza && a.quantity == b.quantity && a.address == b.address &&
           a.customer_name == b.customer_name;
}

constexpr const char* time_index = "CREATE INDEX orders_by_time ON orders(ordered_at);";

constexpr std::string_view old_rows =
    "DELETE FROM orders WHERE id IN (SELECT id FROM orders WHERE ordered_at < ?1 "
    "AND status NOT IN ('PAYING', 'CANCELLING') LIMIT ?2)";

}  // namespace

std::span<const char* const> OrderService::formats() {
    static const std::string first = std::string{orders_table} + std::string{outbox_table};
    static const std::array<const char*, 3> all{first.c_str(), parked_table, time_index};
    return all;
}

OrderService::OrderService(OrderSettings settings, World world, port::HttpExchange& payments)
    : settings_{std::move(settings)},
      world_{std::move(world)},
      payments_{payments},
      random_{world_.seed},
      breaker_{settings_.breaker},
      tokens_{settings_.tokens, payments, world_.clock},
      outbox_{"/pizza/order", world_.desk, world_.broker, world_.timers, world_.clock, world_.log},
      sweep_{old_rows, settings_.keep, world_},
      consumer_{{.group = "order",
                 .pattern = "(order|delivery).(ready|assigned)",
                 .name = world_.instance,
                 .slots = follow_slots},
                world_.broker,
                world_.timers,
                world_.clock,
                world_.log,
                [this](const Delivery& delivery, Consumer::Done done) {
                    follow(delivery, std::move(done));
                }},
      resume_timer_{world_.timers.make()},
      cancel_timer_{world_.timers.make()} {}

OrderService::~OrderService() = default;

void OrderService::add_routes(Front& front) {
    for (const std::string_view path : {"/orders", "/api/v1/orders"})
        front.add({"POST", path, [this](Call call) { place(std::move(call), false); }});
    front.add({"POST", "/api/v2/orders", [this](Call call) { place(std::move(call), true); }});
    front.add({"GET", "/api/v1/orders/health",
               [](Call call) { call.answer(200, R"({"status":"UP"})"); }});
    front.add({"GET", "/orders", [this](Call call) { list(std::move(call)); }});
    front.add({"GET", "/orders/{orderId}", [this](Call call) { read(std::move(call)); }});
}

void OrderService::start() {
    outbox_.start();
    sweep_.start();
    consumer_.start();
    resume();
    cancel_next();
}

void OrderService::drain(std::function<void()> done) {
    draining_ = true;
    resume_timer_->clear();
    cancel_timer_->clear();
    drained_ = [this, done = std::move(done)] {
        consumer_.drain([this, done] { outbox_.drain(done); });
    };
    look_drained();
}

void OrderService::report(port::MetricSink& sink) const {
    outcomes_.report(sink);
    outbox_.report(sink, "order");
    if (refunds_open_)
        sink.put(port::Metric::pizza_refunds_open, static_cast<double>(*refunds_open_));
    sink.put(port::Metric::pizza_breaker_open, breaker_.state() == BreakerState::closed ? 0.0 : 1.0,
             {});
}

// ---- taking an order ---------------------------------------------------------------------------

void OrderService::place(Call call, bool version_2) {
    const Language language = language_of(call.header("Accept-Language"));
    auto form = read_order(call.request.body, settings_.menu, language);
    if (!form) {
        outcomes_.note("invalid");
        if (!form.error().is_json)
            return call.refuse(Error{ErrorCode::bad_json, "an order is one object"});
        const bool german = language == Language::german;
        return call.refuse(
            Problem{422,
                    "invalid_order",
                    german ? "Die Bestellung ist nicht vollständig" : "the order is not complete",
                    {},
                    std::move(form.error().fields)});
    }
    const std::string key{call.header("Idempotency-Key")};
    if (key.size() > key_bytes_max)
        return call.refuse(Error{ErrorCode::invalid_field, "Idempotency-Key"});
    OrderRow row{TaskId::make(call.at, random_).to_string(),
                 "PAYING",
                 std::move(*form),
                 call.trace,
                 key,
                 {},
                 call.at};
    // One that is known is told its fate, whatever goes on here.
    const bool may_begin = !draining_ && flights_.size() + making_ < open_max;
    auto waiter = std::make_shared<Waiter>(std::move(call), language, version_2);
    if (!may_begin && key.empty()) return turn_away(*waiter);
    ++making_;
    world_.desk.change<Made>(
        [row, may_begin](io::SqliteStore& store) -> Result<Made> {
            if (!row.key.empty()) {
                auto known = find_orders(store, "key = ?", {row.key});
                if (!known) return fail(std::move(known));
                if (!known->empty()) return Made{std::move(known->front()), false};
            }
            if (!may_begin) return Made{row, false, true};
            if (auto put = insert_order(store, row); !put) return fail(std::move(put));
            return Made{row, true};
        },
        [this, waiter, row](Result<Made> result) {
            --making_;
            made(std::move(*waiter), row, std::move(result));
            look_drained();
        });
}

// Before anything is stored or paid.
void OrderService::turn_away(Waiter& waiter) {
    if (draining_) return waiter.call.refuse(Error{ErrorCode::shutting_down, {}});
    outcomes_.note("busy");
    waiter.call.refuse(Problem{503,
                               "busy",
                               waiter.language == Language::german
                                   ? "zu viele Bestellungen auf einmal, bitte später versuchen"
                                   : "too many orders at once, please try again later",
                               {},
                               {},
                               {},
                               {},
                               true},
                       {{"Retry-After", "5"}});
}

void OrderService::made(Waiter waiter, const OrderRow& asked, Result<Made> result) {
    if (!result) {
        world_.log.error("an order cannot be stored", {{"error", result.error().to_string()}});
        return waiter.call.refuse(result.error());
    }
    if (result->is_turned_away) return turn_away(waiter);
    const OrderRow& row = result->row;
    if (!result->is_new) {
        if (!same_form(row.form, asked.form))
            return waiter.call.refuse(Problem{
                409, "key_conflict", "another order was placed under this idempotency key"});
        if (const auto end = end_of(row.status)) return answer(waiter, row, *end);
        if (const auto flight = flights_.find(row.id); flight != flights_.end()) {
            flight->second->waiters.push_back(std::move(waiter));
            return;
        }
        // The next start asks for its payment again.
        if (draining_) return turn_away(waiter);
    } else {
        crash_point("stored");
    }
    std::vector<Waiter> waiters;
    waiters.push_back(std::move(waiter));
    fly(row, std::move(waiters), !result->is_new);
}

void OrderService::answer(Waiter& waiter, const OrderRow& row, OrderEnd end) {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object()
        .field("orderId", row.id)
        .field("status", status_of(end))
        .field("message", message_of(end, waiter.language))
        .field("traceId", row.trace.trace_id);
    if (waiter.version_2)
        json.field("apiVersion", "v2").field("timestamp", to_rfc3339(world_.clock.wall()));
    json.end_object();
    port::HttpHeaders headers{
        {"Content-Language", waiter.language == Language::german ? "de" : "en"}};
    if (end == OrderEnd::paid) headers.emplace_back("Location", "/orders/" + row.id);
    if (end == OrderEnd::unpaid) headers.emplace_back("Retry-After", "5");
    const int status = end == OrderEnd::paid ? 201 : end == OrderEnd::declined ? 402 : 503;
    waiter.call.answer(status, std::move(body), std::move(headers));
}

// ---- what is known of orders -------------------------------------------------------------------

void OrderService::list(Call call) {
    const auto limit = limit_of(call.target);
    if (!limit) return call.refuse(limit.error());
    auto held = std::make_shared<Call>(std::move(call));
    world_.desk.ask<std::vector<OrderRow>>(
        [limit = *limit](io::SqliteStore& store) {
            return find_orders(store, "true ORDER BY id DESC LIMIT ?", {limit});
        },
        [held](Result<std::vector<OrderRow>> rows) {
            if (!rows) return held->refuse(rows.error());
            std::string body;
            protocol::JsonWriter json{body};
            json.begin_object().key("orders").begin_array();
            for (const OrderRow& row : *rows)
                json.raw(row.to_json());
            json.end_array().end_object();
            held->answer(200, std::move(body));
        });
}

void OrderService::read(Call call) {
    auto held = std::make_shared<Call>(std::move(call));
    world_.desk.ask<std::vector<OrderRow>>(
        [id = held->parameters.front()](io::SqliteStore& store) {
            return find_orders(store, "id = ?", {id});
        },
        [held](const Result<std::vector<OrderRow>>& rows) {
            if (!rows) return held->refuse(rows.error());
            if (rows->empty())
                return held->refuse(Error{ErrorCode::not_found, held->parameters.front()});
            held->answer(200, rows->front().to_json());
        });
}

// Kitchen and delivery tell how far it is; what comes late does not take it back.
void OrderService::follow(const Delivery& delivery, Consumer::Done done) {
    const std::string id = protocol::JsonView{delivery.data}["orderId"].text();
    const bool assigned = delivery.topic == "delivery.assigned";
    const bool ready = delivery.topic == "order.ready";
    if (!assigned && !ready) return done(DeliveryEnd::done, {});
    world_.desk.ask<std::int64_t>(
        [id, assigned](io::SqliteStore& store) {
            return assigned ? store.run(
                                  "UPDATE orders SET status = 'ON_THE_WAY' WHERE id = ? AND "
                                  "status IN ('PLACED', 'READY')",
                                  {id})
                            : store.run(
                                  "UPDATE orders SET status = 'READY' WHERE id = ? AND "
                                  "status = 'PLACED'",
                                  {id});
        },
        [done = std::move(done)](Result<std::int64_t> changed) {
            if (!changed) return done(DeliveryEnd::released, changed.error().to_string());
            done(DeliveryEnd::done, {});
        });
}

}  // namespace taskd::pizza
