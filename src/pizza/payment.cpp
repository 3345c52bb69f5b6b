#include "taskd/pizza/payment.hpp"

#include <array>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"

namespace taskd::pizza {
namespace {

constexpr std::size_t name_bytes_max = 400;

constexpr std::string_view payments_table =
    "CREATE TABLE payments(order_id TEXT PRIMARY KEY, status TEXT NOT NULL, "
    "transaction_id TEXT NOT NULL, cents INTEGER NOT NULL, customer TEXT NOT NULL, "
    "at INTEGER NOT NULL) WITHOUT ROWID;";

constexpr const char* time_index = "CREATE INDEX payments_by_time ON payments(at);";

constexpr std::string_view old_rows =
    "DELETE FROM payments WHERE order_id IN (SELECT order_id FROM payments WHERE at < ?1 "
    "LIMIT ?2)";

}  // namespace

struct PaymentService::Asked {
    Call call;
    std::string order_id;
    std::string customer;
    std::int64_t cents = 0;
    std::string transaction_id;  // if it is made now
    bool declined = false;       // the same
    bool fails_after = false;
};

struct PaymentService::Known {
    std::string status;
    std::string transaction_id;
    std::int64_t cents = 0;
    WallTime at;
    bool is_new = false;

    std::string to_json(const std::string& order_id) const {
        std::string body;
        protocol::JsonWriter json{body};
        json.begin_object().field("orderId", order_id).field("status", status);
        if (!transaction_id.empty()) json.field("transactionId", transaction_id);
        json.key("amount").raw(write_cents(cents)).field("at", to_rfc3339(at)).end_object();
        return body;
    }
};

std::span<const char* const> PaymentService::formats() {
    static const std::string first = std::string{payments_table} + std::string{outbox_table};
    static const std::array<const char*, 3> all{first.c_str(), parked_table, time_index};
    return all;
}

PaymentService::PaymentService(PaymentSettings settings, World world, io::TokenVerifier& verifier)
    : settings_{settings},
      world_{std::move(world)},
      verifier_{verifier},
      random_{world_.seed},
      outbox_{"/pizza/payment", world_.desk,  world_.broker,
              world_.timers,    world_.clock, world_.log},
      sweep_{old_rows, settings_.keep, world_} {}

void PaymentService::add_routes(Front& front) {
    const auto guard = [this](void (PaymentService::*handle)(Call)) {
        return [this, handle](Call call) {
            guarded(std::move(call),
                    [this, handle](Call passed) { (this->*handle)(std::move(passed)); });
        };
    };
    front.add({"POST", "/pay", guard(&PaymentService::pay)});
    front.add({"GET", "/payments/{orderId}", guard(&PaymentService::read)});
    front.add({"DELETE", "/payments/{orderId}", guard(&PaymentService::cancel)});
}

void PaymentService::guarded(Call call, Next next) {
    if (!settings_.tokens) return next(std::move(call));
    const std::string header{call.header("Authorization")};
    auto held = std::make_shared<Call>(std::move(call));
    verifier_.check(
        header, [this, held, next = std::move(next)](const io::TokenVerifier::Verdict& verdict) {
            if (verdict) return next(std::move(*held));
            const auto& [fault, detail] = verdict.error();
            const std::string reason{to_text(fault)};
            outcomes_.note("refused");
            if (const auto left_out = refusals_.turn(world_.clock.steady()))
                world_.log.warn("a token is not taken", {{"reason", reason},
                                                         {"detail", detail},
                                                         {"trace_id", held->trace.trace_id},
                                                         {"more", std::to_string(*left_out)}});
            if (fault == protocol::TokenFault::no_keys)
                return held->refuse(Problem{
                    503, "no_keys", "tokens cannot be checked", detail, {}, reason, {}, true});
            std::string challenge = "Bearer realm=\"payment\"";
            if (fault != protocol::TokenFault::missing)
                challenge += ", error=\"invalid_token\", error_description=\"" + reason + "\"";
            held->refuse(Problem{401,
                                 "invalid_token",
                                 "the access token is missing or not taken",
                                 detail,
                                 {},
                                 reason},
                         {{"WWW-Authenticate", std::move(challenge)}});
        });
}

void PaymentService::pay(Call call) {
    auto asked = std::make_shared<Asked>();
    if (!protocol::check_json(call.request.body) || !protocol::split_object(call.request.body))
        return call.refuse(Error{ErrorCode::bad_json, "one object"});
    const protocol::JsonView body{call.request.body};
    const auto order = TaskId::parse(body["orderId"].text());
    const auto cents = parse_cents(body["amount"].raw());
    asked->customer = body["customerName"].text();
    const bool named = !asked->customer.empty() && asked->customer.size() <= name_bytes_max &&
                       protocol::kind_of(body["customerName"].raw()) == protocol::JsonKind::string;
    if (!order || !cents || !named)
        return call.refuse(
            Error{ErrorCode::invalid_field, !order   ? "orderId"
                                            : !cents ? "amount: euros with up to two decimals"
                                                     : "customerName"});
    asked->order_id = order->to_string();
    asked->cents = *cents;
    asked->transaction_id = TaskId::make(world_.clock.wall(), random_).to_string();
    asked->declined = random_.chance(settings_.decline_percent, 100);
    const bool fails = random_.chance(settings_.fault_percent, 100);
    asked->fails_after = fails && random_.chance(1, 2);
    asked->call = std::move(call);
    if (fails && !asked->fails_after) {
        outcomes_.note("fault");
        return asked->call.refuse(Error{ErrorCode::internal, "a fault before the payment"});
    }
    const auto span =
        static_cast<std::uint64_t>((settings_.delay_max - settings_.delay_min).count());
    const Duration delay =
        settings_.delay_min + Duration{static_cast<std::int64_t>(random_.below(span + 1))};
    if (delay == Duration{0}) return settle(std::move(asked));
    std::shared_ptr<port::Timer> timer = world_.timers.make();
    delays_.insert(timer);
    timer->set(world_.clock.steady() + delay,
               [this, asked = std::move(asked), key = std::weak_ptr{timer}] {
                   settle(asked);
                   // Not while it runs: the timer owns this function.
                   world_.timers.post([this, key] { delays_.erase(key.lock()); });
               });
}

// Decided where it is written: two that ask at once get one answer.
Result<PaymentService::Known> PaymentService::decide(io::SqliteStore& store, const Asked& asked,
                                                     const Span& span) {
    auto rows =
        store.rows("SELECT status, transaction_id, cents, at FROM payments WHERE order_id = ?",
                   {asked.order_id});
    if (!rows) return fail(std::move(rows));
    if (!rows->empty()) {
        const io::SqlRow& row = rows->front();
        return Known{row.text(0), row.text(1), row.number(2), WallTime{Duration{row.number(3)}}};
    }
    Known made{asked.declined ? "DECLINED" : "PAID", asked.transaction_id, asked.cents, span.end,
               true};
    auto done = store.run("INSERT INTO payments VALUES(?,?,?,?,?,?)",
                          {asked.order_id, made.status, made.transaction_id, made.cents,
                           asked.customer, made.at.time_since_epoch().count()});
    if (!done) return fail(std::move(done));
    Span told = span;
    told.note = asked.declined ? "declined" : "paid";
    if (auto put = put_span(store, told); !put) return fail(std::move(put));
    return made;
}

void PaymentService::settle(std::shared_ptr<Asked> asked) {
    const Span span{asked->call.trace, "POST /pay",         "payment",       world_.instance,
                    asked->call.at,    world_.clock.wall(), asked->order_id, {}};
    world_.desk.change<Known>(
        [asked, span](io::SqliteStore& store) { return decide(store, *asked, span); },
        [this, asked](Result<Known> known) {
            if (!known) {
                world_.log.error("a payment cannot be stored",
                                 {{"error", known.error().to_string()}});
                return asked->call.refuse(known.error());
            }
            outbox_.nudge();
            answer(*asked, *known);
        });
}

void PaymentService::answer(Asked& asked, const Known& known) {
    if (known.status == "CANCELLED") {
        outcomes_.note("conflict");
        return asked.call.refuse(
            Problem{409, "payment_cancelled", "the payment of this order was cancelled"});
    }
    if (known.cents != asked.cents) {
        outcomes_.note("conflict");
        return asked.call.refuse(Problem{409, "amount_conflict",
                                         "the order was paid with another amount",
                                         write_cents(known.cents)});
    }
    const bool paid = known.status == "PAID";
    outcomes_.note(!known.is_new ? "repeated" : paid ? "paid" : "declined");
    world_.log.info(paid ? "paid" : "declined", {{"order", asked.order_id},
                                                 {"amount", write_cents(known.cents)},
                                                 {"again", known.is_new ? "no" : "yes"},
                                                 {"trace_id", asked.call.trace.trace_id}});
    crash_point("paid");
    if (asked.fails_after) {
        outcomes_.note("fault");
        return asked.call.refuse(Error{ErrorCode::internal, "a fault behind the payment"});
    }
    std::string body;
    protocol::JsonWriter{body}
        .begin_object()
        .field("transactionId", known.transaction_id)
        .field("success", paid)
        .field("message", paid ? "paid" : "declined")
        .end_object();
    asked.call.answer(paid ? 200 : 402, std::move(body));
}

void PaymentService::read(Call call) {
    auto held = std::make_shared<Call>(std::move(call));
    const std::string order = held->parameters.front();
    world_.desk.ask<std::vector<io::SqlRow>>(
        [order](io::SqliteStore& store) {
            return store.rows(
                "SELECT status, transaction_id, cents, at FROM payments WHERE order_id = ?",
                {order});
        },
        [held, order](Result<std::vector<io::SqlRow>> rows) {
            if (!rows) return held->refuse(rows.error());
            if (rows->empty()) return held->refuse(Error{ErrorCode::not_found, order});
            const io::SqlRow& row = rows->front();
            held->answer(200, Known{row.text(0), row.text(1), row.number(2),
                                    WallTime{Duration{row.number(3)}}}
                                  .to_json(order));
        });
}

void PaymentService::cancel(Call call) {
    auto held = std::make_shared<Call>(std::move(call));
    const auto order = TaskId::parse(held->parameters.front());
    if (!order) return held->refuse(Error{ErrorCode::invalid_field, "orderId"});
    const std::string id = order->to_string();
    const WallTime now = world_.clock.wall();
    world_.desk.change<Known>(
        [id, now](io::SqliteStore& store) -> Result<Known> {
            const auto at = now.time_since_epoch().count();
            auto done = store.run(
                "INSERT INTO payments VALUES(?1, 'CANCELLED', '', 0, '', ?2) ON CONFLICT(order_id) "
                "DO UPDATE SET status = 'CANCELLED', at = ?2 WHERE status != 'CANCELLED'",
                {id, at});
            if (!done) return fail(std::move(done));
            auto rows = store.rows(
                "SELECT status, transaction_id, cents, at FROM payments WHERE order_id = ?", {id});
            if (!rows) return fail(std::move(rows));
            const io::SqlRow& row = rows->front();
            return Known{row.text(0), row.text(1), row.number(2),
                         WallTime{Duration{row.number(3)}}};
        },
        [this, held, id](Result<Known> known) {
            if (!known) return held->refuse(known.error());
            outcomes_.note("cancelled");
            world_.log.info("cancelled", {{"order", id}, {"trace_id", held->trace.trace_id}});
            held->answer(200, known->to_json(id));
        });
}

void PaymentService::report(port::MetricSink& sink) const {
    outcomes_.report(sink);
    outbox_.report(sink, "payment");
}

}  // namespace taskd::pizza
