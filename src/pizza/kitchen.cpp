#include "taskd/pizza/kitchen.hpp"

#include <array>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"

namespace taskd::pizza {
namespace {

using protocol::JsonView;

constexpr std::string_view kitchen_tables =
    "CREATE TABLE cooking(order_id TEXT PRIMARY KEY, pizza TEXT NOT NULL, quantity INTEGER NOT "
    "NULL, status TEXT NOT NULL, by TEXT NOT NULL, claim TEXT NOT NULL, begun_at INTEGER NOT NULL, "
    "cooked_at INTEGER) WITHOUT ROWID;"
    "CREATE TABLE recipes(pizza TEXT PRIMARY KEY, ingredients TEXT NOT NULL) WITHOUT ROWID;"
    "INSERT INTO recipes VALUES"
    "('Margherita', '[\"dough\",\"tomatoes\",\"mozzarella\",\"basil\"]'),"
    "('Salami', '[\"dough\",\"tomatoes\",\"mozzarella\",\"salami\"]'),"
    "('Funghi', '[\"dough\",\"tomatoes\",\"mozzarella\",\"mushrooms\"]'),"
    "('Prosciutto', '[\"dough\",\"tomatoes\",\"mozzarella\",\"ham\"]'),"
    "('Hawaii', '[\"dough\",\"tomatoes\",\"mozzarella\",\"ham\",\"pineapple\"]'),"
    "('Quattro Formaggi', '[\"dough\",\"mozzarella\",\"gorgonzola\",\"fontina\",\"parmesan\"]');";

std::string cooking_json(const io::SqlRow& row) {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object()
        .field("orderId", row.text(0))
        .field("pizza", row.text(1))
        .field("quantity", row.number(2))
        .field("status", row.text(3))
        .field("by", row.text(4))
        .field("begunAt", to_rfc3339(WallTime{Duration{row.number(5)}}));
    if (!row.is_null(6)) json.field("cookedAt", to_rfc3339(WallTime{Duration{row.number(6)}}));
    json.end_object();
    return body;
}

std::string ready_id(const std::string& order) {
    return "order.ready:" + order;
}

// What became of an order when a kitchen would have it.
enum class Claim : std::uint8_t { ours, cooked, cooked_not_told };

Result<std::vector<io::SqlRow>> find_cooking(io::SqliteStore& store, std::string_view rest,
                                             const io::SqlValue& value) {
    return store.rows(
        "SELECT order_id, pizza, quantity, status, by, begun_at, cooked_at FROM cooking " +
            std::string{rest},
        {value});
}

constexpr std::string_view one = "WHERE order_id = ?";
constexpr std::string_view newest = "ORDER BY order_id DESC LIMIT ?";

constexpr const char* time_index = "CREATE INDEX cooking_by_time ON cooking(begun_at);";

// What is still being cooked a day behind the time was left to another kitchen.
constexpr std::string_view old_rows =
    "DELETE FROM cooking WHERE order_id IN (SELECT order_id FROM cooking WHERE begun_at < ?1 AND "
    "(cooked_at < ?1 OR begun_at < ?1 - 86400000000) LIMIT ?2)";

}  // namespace

struct KitchenService::Dish {
    std::string delivery_id;  // the claim: another lease, another claim
    std::string order_id;
    std::string pizza;
    std::int64_t quantity = 0;
    std::string address;
    std::string customer;
    std::uint64_t attempt = 1;
    TraceSpot wait;
    TraceSpot cook;
    WallTime placed_at;
    WallTime taken_at;
    Consumer::Done done;
    std::unique_ptr<port::Timer> timer;

    std::string ready_json(WallTime now, const std::string& by) const {
        std::string data;
        protocol::JsonWriter json{data};
        json.begin_object()
            .field("orderId", order_id)
            .field("pizza", pizza)
            .field("quantity", quantity)
            .field("preparedAt", to_rfc3339(now))
            .field("preparedBy", by);
        if (!address.empty()) json.field("address", address);
        if (!customer.empty()) json.field("customerName", customer);
        json.end_object();
        return data;
    }
};

std::span<const char* const> KitchenService::formats() {
    static const std::string first = std::string{kitchen_tables} + std::string{outbox_table};
    static const std::array<const char*, 4> all{first.c_str(), parked_table, outbox_index,
                                                time_index};
    return all;
}

KitchenService::KitchenService(KitchenSettings settings, World world)
    : settings_{settings},
      world_{std::move(world)},
      random_{world_.seed},
      outbox_{"/pizza/kitchen", world_.desk,  world_.broker,
              world_.timers,    world_.clock, world_.log},
      sweep_{old_rows, settings_.keep, world_},
      consumer_{{.group = "kitchen",
                 .pattern = "order.placed",
                 .name = world_.instance,
                 .slots = settings_.ovens,
                 .ack_timeout = settings_.ack_timeout},
                world_.broker,
                world_.timers,
                world_.clock,
                world_.log,
                [this](const Delivery& delivery, Consumer::Done done) {
                    take(delivery, std::move(done));
                }} {}

void KitchenService::add_routes(Front& front) {
    front.add({"GET", "/cooking", [this](Call call) { list(std::move(call)); }});
    front.add({"GET", "/cooking/{orderId}", [this](Call call) { read(std::move(call)); }});
    front.add({"GET", "/recipes", [this](Call call) { recipes(std::move(call)); }});
}

void KitchenService::start() {
    outbox_.start();
    sweep_.start();
    consumer_.start();
}

void KitchenService::drain(std::function<void()> done) {
    outbox_.hurry();
    consumer_.drain([this, done = std::move(done)] { outbox_.drain(done); });
}

void KitchenService::report(port::MetricSink& sink) const {
    outcomes_.report(sink);
    outbox_.report(sink, "kitchen");
}

void KitchenService::take(const Delivery& delivery, Consumer::Done done) {
    const JsonView order{delivery.data};
    auto dish = std::make_shared<Dish>();
    dish->delivery_id = delivery.id;
    dish->order_id = order["orderId"].text();
    dish->pizza = order["pizza"].text();
    dish->quantity = static_cast<std::int64_t>(order["quantity"].number().value_or(0));
    dish->address = order["address"].text();
    dish->customer = order["customerName"].text();
    dish->attempt = delivery.attempt;
    if (const auto fault =
            fault_of(dish->order_id, dish->pizza, dish->quantity, dish->address, dish->customer))
        return done(DeliveryEnd::failed, "it is no order: " + *fault);
    dish->wait = enter_trace(delivery.traceparent, random_);
    dish->cook = dish->wait.child(random_);
    dish->placed_at = delivery.published_at;
    dish->taken_at = world_.clock.wall();
    dish->done = std::move(done);
    world_.desk.change<Claim>(
        [dish, by = world_.instance](io::SqliteStore& store) -> Result<Claim> {
            // Whoever holds the lease may take over from one who held it before; what is cooked
            // stays so.
            auto changed = store.run(
                "INSERT INTO cooking VALUES(?1, ?2, ?3, 'COOKING', ?4, ?5, ?6, NULL) "
                "ON CONFLICT(order_id) DO UPDATE SET by = ?4, claim = ?5, begun_at = ?6 "
                "WHERE status = 'COOKING'",
                {dish->order_id, dish->pizza, dish->quantity, by, dish->delivery_id,
                 dish->taken_at.time_since_epoch().count()});
            if (!changed) return fail(std::move(changed));
            if (*changed > 0) return Claim::ours;
            auto waits = has_event(store, ready_id(dish->order_id));
            if (!waits) return fail(std::move(waits));
            return *waits ? Claim::cooked_not_told : Claim::cooked;
        },
        [this, dish](Result<Claim> claim) {
            if (!claim) return dish->done(DeliveryEnd::released, claim.error().to_string());
            if (*claim == Claim::ours) return cook(dish);
            outcomes_.note("known");
            world_.log.info("it is cooked already", {{"order", dish->order_id}});
            if (*claim == Claim::cooked) return dish->done(DeliveryEnd::done, {});
            tell(dish);
        });
}

// Acknowledged once the broker knows that it is ready: a kitchen that dies before has told nobody,
// and the order comes to another one.
void KitchenService::tell(const DishPtr& dish) {
    outbox_.after(ready_id(dish->order_id), [dish](bool told) {
        if (told)
            dish->done(DeliveryEnd::done, {});
        else
            dish->done(DeliveryEnd::failed, "cooked, and not told yet");
    });
}

void KitchenService::cook(const DishPtr& dish) {
    crash_point("cooking");
    world_.log.info("cooking", {{"order", dish->order_id},
                                {"pizza", dish->pizza},
                                {"quantity", std::to_string(dish->quantity)},
                                {"attempt", std::to_string(dish->attempt)},
                                {"trace_id", dish->cook.trace_id}});
    ovens_[dish->delivery_id] = dish;
    dish->timer = world_.timers.make();
    const auto spread =
        static_cast<std::uint64_t>((settings_.cook_max - settings_.cook_min).count());
    const Duration time =
        settings_.cook_min + Duration{static_cast<std::int64_t>(random_.below(spread + 1))};
    dish->timer->set(world_.clock.steady() + time,
                     [this, id = dish->delivery_id] { serve(ovens_.at(id)); });
}

// By value: the oven is emptied before the end.
void KitchenService::serve(DishPtr dish) {
    const WallTime now = world_.clock.wall();
    world_.desk.change<bool>(
        [dish, now, by = world_.instance](io::SqliteStore& store) -> Result<bool> {
            auto changed = store.run(
                "UPDATE cooking SET status = 'COOKED', cooked_at = ? "
                "WHERE order_id = ? AND claim = ? AND status = 'COOKING'",
                {now.time_since_epoch().count(), dish->order_id, dish->delivery_id});
            if (!changed) return fail(std::move(changed));
            if (*changed == 0) return false;
            const OutEvent event{
                "order.ready", ready_id(dish->order_id), dish->order_id, dish->cook.traceparent(),
                now,           dish->ready_json(now, by)};
            if (auto put = put_event(store, event); !put) return fail(std::move(put));
            const Span wait{dish->wait,      "wait in order.placed", "kitchen",      by,
                            dish->placed_at, dish->taken_at,         dish->order_id, {}};
            const Span cook{dish->cook,     "cook", "kitchen",      by,
                            dish->taken_at, now,    dish->order_id, dish->pizza};
            for (const Span& span : {wait, cook})
                if (auto put = put_span(store, span); !put) return fail(std::move(put));
            return true;
        },
        [this, dish](Result<bool> served) {
            ovens_.erase(dish->delivery_id);
            if (!served) return dish->done(DeliveryEnd::released, served.error().to_string());
            crash_point("cooked");
            outcomes_.note(*served ? "cooked" : "lost");
            if (*served)
                world_.log.info("cooked", {{"order", dish->order_id},
                                           {"pizza", dish->pizza},
                                           {"trace_id", dish->cook.trace_id}});
            else
                world_.log.warn("another kitchen has taken it over", {{"order", dish->order_id}});
            if (*served) return tell(dish);
            dish->done(DeliveryEnd::done, {});
        });
}

void KitchenService::list(Call call) {
    const auto limit = limit_of(call.target);
    if (!limit) return call.refuse(limit.error());
    auto held = std::make_shared<Call>(std::move(call));
    world_.desk.ask<std::vector<io::SqlRow>>(
        [limit = *limit](io::SqliteStore& store) { return find_cooking(store, newest, limit); },
        [held](Result<std::vector<io::SqlRow>> rows) {
            if (!rows) return held->refuse(rows.error());
            std::string body;
            protocol::JsonWriter json{body};
            json.begin_object().key("cooking").begin_array();
            for (const io::SqlRow& row : *rows)
                json.raw(cooking_json(row));
            json.end_array().end_object();
            held->answer(200, std::move(body));
        });
}

void KitchenService::read(Call call) {
    auto held = std::make_shared<Call>(std::move(call));
    world_.desk.ask<std::vector<io::SqlRow>>(
        [id = held->parameters.front()](io::SqliteStore& store) {
            return find_cooking(store, one, id);
        },
        [held](Result<std::vector<io::SqlRow>> rows) {
            if (!rows) return held->refuse(rows.error());
            if (rows->empty())
                return held->refuse(Error{ErrorCode::not_found, held->parameters.front()});
            held->answer(200, cooking_json(rows->front()));
        });
}

void KitchenService::recipes(Call call) {
    auto held = std::make_shared<Call>(std::move(call));
    world_.desk.ask<std::vector<io::SqlRow>>(
        [](io::SqliteStore& store) {
            return store.rows("SELECT pizza, ingredients FROM recipes ORDER BY pizza");
        },
        [held](Result<std::vector<io::SqlRow>> rows) {
            if (!rows) return held->refuse(rows.error());
            std::string body;
            protocol::JsonWriter json{body};
            json.begin_object().key("recipes").begin_array();
            for (const io::SqlRow& row : *rows)
                json.begin_object()
                    .field("pizza", row.text(0))
                    .key("ingredients")
                    .raw(row.text(1))
                    .end_object();
            json.end_array().end_object();
            held->answer(200, std::move(body));
        });
}

}  // namespace taskd::pizza
