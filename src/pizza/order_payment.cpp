// How an order is paid: tries, breaker, the end written down with what the kitchen is told, and
// what a crash or a silent payment service leaves behind.
#include "pizza/order_rows.hpp"
#include "taskd/pizza/order.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"

namespace taskd::pizza {
namespace {

using namespace std::chrono_literals;
using protocol::JsonView;

constexpr Duration resume_wait = 1s;
constexpr std::int64_t resume_max = 100;

std::string payment_body(const OrderRow& row) {
    std::string body;
    protocol::JsonWriter{body}
        .begin_object()
        .field("orderId", row.id)
        .field("customerName", row.form.customer_name)
        .key("amount")
        .raw(write_cents(row.form.cents))
        .end_object();
    return body;
}

OutEvent placed_event(const OrderRow& row, WallTime now) {
    std::string data;
    protocol::JsonWriter{data}
        .begin_object()
        .field("orderId", row.id)
        .field("pizza", row.form.pizza)
        .field("quantity", row.form.quantity)
        .field("address", row.form.address)
        .field("customerName", row.form.customer_name)
        .field("timestamp", to_rfc3339(now))
        .end_object();
    return {"order.placed", "order.placed:" + row.id, row.id, row.trace.traceparent(), now,
            std::move(data)};
}

std::string_view note_of(OrderEnd end) {
    return end == OrderEnd::paid ? "paid" : end == OrderEnd::declined ? "declined" : "unpaid";
}

}  // namespace

void OrderService::fly(const FlightPtr& flight) {
    flights_[flight->row.id] = flight;
    flight->timer = world_.timers.make();
    flight->pay_trace = flight->row.trace.child(random_);
    flight->pay_begin = world_.clock.wall();
    try_payment(flight);
}

void OrderService::try_payment(const FlightPtr& flight) {
    if (!breaker_.admit(world_.clock.steady())) {
        outcomes_.note("breaker_open");
        return give_up(flight);
    }
    ++flight->tries;
    tokens_.get([this, flight](const Result<std::string>& header) {
        if (header) return send_payment(flight, *header);
        breaker_.failed(world_.clock.steady());
        payment_failed(flight, header.error().to_string());
    });
}

void OrderService::send_payment(const FlightPtr& flight, const std::string& authorization) {
    port::HttpRequest request{"POST",
                              "/pay",
                              {{"Content-Type", "application/json"},
                               {"Idempotency-Key", flight->row.id},
                               {"traceparent", flight->pay_trace.traceparent()}},
                              payment_body(flight->row)};
    if (!authorization.empty()) request.headers.emplace_back("Authorization", authorization);
    ++flight->sent;
    world_.http.send(settings_.payment, std::move(request), settings_.payment_timeout,
                     [this, flight](Result<port::HttpResponse> answer) {
                         crash_point("answered");
                         payment_answered(flight, std::move(answer));
                     });
}

void OrderService::payment_answered(const FlightPtr& flight, Result<port::HttpResponse> answer) {
    const int status = answer ? answer->status : 0;
    const bool is_json = answer && protocol::check_json(answer->body).has_value();
    const std::string transaction =
        is_json ? JsonView{answer->body}["transactionId"].text() : std::string{};
    if ((status == 200 || status == 402) && !transaction.empty()) {
        breaker_.succeeded();
        return land(flight, status == 200 ? OrderEnd::paid : OrderEnd::declined, transaction);
    }
    std::string why = answer ? "it answered " + std::to_string(status) : answer.error().to_string();
    if (is_json && status != 200) why += ": " + JsonView{answer->body}["error"].text();
    if (is_json && status == 401) why += " (" + JsonView{answer->body}["reason"].text() + ")";
    // A token may have become old on the way, or its key: once a new one is tried.
    if (status == 401 && !std::exchange(flight->token_renewed, true)) {
        tokens_.drop();
        breaker_.succeeded();
        return try_payment(flight);
    }
    if (status == 409) {  // it was cancelled before: the customer has been told
        breaker_.succeeded();
        return land(flight, OrderEnd::unpaid, {});
    }
    breaker_.failed(world_.clock.steady());
    payment_failed(flight, why);
}

void OrderService::payment_failed(const FlightPtr& flight, const std::string& why) {
    world_.log.warn("the payment does not work", {{"order", flight->row.id},
                                                  {"try", std::to_string(flight->tries)},
                                                  {"error", why},
                                                  {"trace_id", flight->row.trace.trace_id}});
    if (flight->tries >= settings_.payment_tries) return give_up(flight);
    const auto doubled = settings_.retry_wait * (std::int64_t{1} << (flight->tries - 1));
    const auto jitter = static_cast<std::int64_t>(
        random_.below(static_cast<std::uint64_t>(settings_.retry_wait.count()) / 4 + 1));
    flight->timer->set(world_.clock.steady() + doubled + Duration{jitter},
                       [this, id = flight->row.id] { try_payment(FlightPtr{flights_.at(id)}); });
}

// Nobody waits for an order that was resumed: it is asked for until its fate is known. A customer
// is told that it did not work, and what may have been paid is given back.
void OrderService::give_up(const FlightPtr& flight) {
    if (!flight->waiters.empty()) return land(flight, OrderEnd::unpaid, {});
    flights_.erase(flight->row.id);
    resume_timer_->set(world_.clock.steady() + resume_wait, [this] { resume(); });
    if (drained_ && flights_.empty()) std::exchange(drained_, nullptr)();
}

std::vector<Span> OrderService::spans_of(const Flight& flight, OrderEnd end, WallTime now) const {
    const OrderRow& row = flight.row;
    std::string note{note_of(end)};
    if (flight.tries > 1) note += ", " + std::to_string(flight.tries) + " tries";
    return {{flight.pay_trace, "pay", "order", world_.instance, flight.pay_begin, now, row.id,
             std::move(note)},
            {row.trace, "POST /orders", "order", world_.instance, row.ordered_at, now, row.id,
             std::string{status_of(end)}}};
}

// The end of an order, what the kitchen is told and the spans: one transaction.
Result<bool> OrderService::write_end(io::SqliteStore& store, const OrderRow& row,
                                     const std::vector<Span>& spans, WallTime now) {
    const bool unpaid = row.status == "ERROR" || row.status == "CANCELLING";
    auto changed =
        store.run(unpaid ? "UPDATE orders SET status = ?, transaction_id = ?, key = NULL "
                           "WHERE id = ? AND status = 'PAYING'"
                         : "UPDATE orders SET status = ?, transaction_id = ? "
                           "WHERE id = ? AND status = 'PAYING'",
                  {row.status, row.transaction_id, row.id});
    if (!changed) return fail(std::move(changed));
    if (*changed == 0) return false;
    if (row.status == "PLACED")
        if (auto put = put_event(store, placed_event(row, now)); !put) return fail(std::move(put));
    for (const Span& span : spans)
        if (auto put = put_span(store, span); !put) return fail(std::move(put));
    return true;
}

void OrderService::land(const FlightPtr& flight, OrderEnd end, std::string transaction_id) {
    OrderRow& row = flight->row;
    row.transaction_id = std::move(transaction_id);
    row.status = end == OrderEnd::paid       ? "PLACED"
                 : end == OrderEnd::declined ? "PAYMENT_FAILED"
                 : flight->sent > 0          ? "CANCELLING"
                                             : "ERROR";
    const WallTime now = world_.clock.wall();
    world_.desk.change<bool>(
        [row, spans = spans_of(*flight, end, now), now](io::SqliteStore& store) {
            return write_end(store, row, spans, now);
        },
        [this, flight, end](Result<bool> written) { landed(flight, end, std::move(written)); });
}

void OrderService::landed(const FlightPtr& flight, OrderEnd end, Result<bool> written) {
    flights_.erase(flight->row.id);
    if (!written) {
        // What was paid stays known to the payment: the next start, or the next turn, asks again.
        world_.log.error("the end of an order cannot be stored",
                         {{"order", flight->row.id}, {"error", written.error().to_string()}});
        for (Waiter& waiter : flight->waiters)
            waiter.call.refuse(written.error());
        resume_timer_->set(world_.clock.steady() + resume_wait, [this] { resume(); });
    } else {
        crash_point("placed");
        outcomes_.note(note_of(end));
        world_.log.info(end == OrderEnd::paid ? "order placed" : "order not placed",
                        {{"order", flight->row.id},
                         {"pizza", flight->row.form.pizza},
                         {"outcome", std::string{note_of(end)}},
                         {"trace_id", flight->row.trace.trace_id}});
        outbox_.nudge();
        for (Waiter& waiter : flight->waiters)
            answer(waiter, flight->row, end);
        if (end == OrderEnd::unpaid) cancel_next();
    }
    if (drained_ && flights_.empty()) std::exchange(drained_, nullptr)();
}

// ---- what is left behind
// -------------------------------------------------------------------------

// Orders whose payment was on its way when the process ended.
void OrderService::resume() {
    world_.desk.ask<std::vector<OrderRow>>(
        [](io::SqliteStore& store) {
            return find_orders(store, "status = 'PAYING' ORDER BY id LIMIT ?", {resume_max});
        },
        [this](Result<std::vector<OrderRow>> rows) {
            if (draining_) return;
            // Not all of them at once, and what could not be read is read later.
            if (!rows || std::ssize(*rows) == resume_max)
                resume_timer_->set(world_.clock.steady() + resume_wait, [this] { resume(); });
            if (!rows) return;
            for (OrderRow& row : *rows) {
                if (flights_.contains(row.id)) continue;
                world_.log.info("an order is taken up again",
                                {{"order", row.id}, {"trace_id", row.trace.trace_id}});
                auto flight = std::make_shared<Flight>();
                flight->row = std::move(row);
                fly(flight);
            }
        });
}

// What may have been paid for an order that its customer was refused is given back, one by one.
void OrderService::cancel_next() {
    if (cancelling_ || draining_) return;
    cancelling_ = true;
    world_.desk.ask<std::vector<OrderRow>>(
        [](io::SqliteStore& store) {
            return find_orders(store, "status = 'CANCELLING' ORDER BY id LIMIT 1", {});
        },
        [this](Result<std::vector<OrderRow>> rows) {
            if (!rows || rows->empty()) {
                cancelling_ = false;
                if (!rows)
                    cancel_timer_->set(world_.clock.steady() + cancel_retry_.next(),
                                       [this] { cancel_next(); });
                return;
            }
            const OrderRow row = rows->front();
            tokens_.get([this, row](const Result<std::string>& header) {
                cancel(row, header.value_or(std::string{}));
            });
        });
}

void OrderService::cancel(const OrderRow& row, const std::string& authorization) {
    port::HttpRequest request{
        "DELETE", "/payments/" + row.id, {{"traceparent", row.trace.traceparent()}}, {}};
    if (!authorization.empty()) request.headers.emplace_back("Authorization", authorization);
    world_.http.send(
        settings_.payment, std::move(request), settings_.payment_timeout,
        [this, row](const Result<port::HttpResponse>& answer) {
            cancelling_ = false;
            if (!answer || answer->status != 200) {
                if (answer && answer->status == 401) tokens_.drop();
                cancel_timer_->set(world_.clock.steady() + cancel_retry_.next(),
                                   [this] { cancel_next(); });
                return;
            }
            cancel_retry_.reset();
            cancelling_ = true;
            world_.desk.ask<std::int64_t>(
                [id = row.id](io::SqliteStore& store) {
                    return store.run(
                        "UPDATE orders SET status = 'ERROR' WHERE id = ? AND status = 'CANCELLING'",
                        {id});
                },
                [this, row](const Result<std::int64_t>&) {
                    cancelling_ = false;
                    world_.log.info("the payment is given back", {{"order", row.id}});
                    cancel_next();
                });
        });
}

}  // namespace taskd::pizza
