// How an order is paid: tries, breaker, the end written down with what the kitchen is told, and
// what a crash or a silent payment service leaves behind.
#include "pizza/order_rows.hpp"
#include "taskd/pizza/order.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/protocol/retry_after.hpp"

namespace taskd::pizza {
namespace {

using namespace std::chrono_literals;
using protocol::JsonView;

constexpr std::int64_t resume_max = 100;
constexpr Duration asked_wait_max = 2s;  // a customer waits behind it

// Of an answer that would be the same again.
bool is_final(int status) {
    return status == 400 || status == 413 || status == 415 || status == 422;
}

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

// One to be given back, and how many there are when that is asked.
struct ToCancel {
    std::vector<OrderRow> rows;
    std::optional<std::int64_t> open;
};

Result<ToCancel> find_to_cancel(io::SqliteStore& store, const std::string& tried, bool counts) {
    ToCancel found;
    if (counts) {
        auto count = store.rows(count_cancelling);
        if (!count) return fail(std::move(count));
        found.open = count->front().number(0);
    }
    auto rows = find_orders(store, where_cancelling, {tried, std::int64_t{1}});
    if (!rows) return fail(std::move(rows));
    found.rows = std::move(*rows);
    return found;
}

std::string_view note_of(OrderEnd end) {
    return end == OrderEnd::paid ? "paid" : end == OrderEnd::declined ? "declined" : "unpaid";
}

}  // namespace

void OrderService::fly(OrderRow row, std::vector<Waiter> waiters, bool sent) {
    auto flight = std::make_shared<Flight>();
    flight->row = std::move(row);
    flight->waiters = std::move(waiters);
    flight->sent = sent;
    flights_[flight->row.id] = flight;
    flight->timer = world_.timers.make();
    flight->pay_trace = flight->row.trace.child(random_);
    flight->pay_begin = world_.clock.wall();
    try_payment(flight);
}

// As many at a time as the payment is asked: one that waits for its turn has not been sent, and its
// time does not run.
void OrderService::try_payment(const FlightPtr& flight) {
    if (paying_ < payments_at_once) return pay(flight);
    queue_.push_back(flight);
}

void OrderService::payment_over() {
    --paying_;
    while (paying_ < payments_at_once && !queue_.empty()) {
        const FlightPtr next = std::move(queue_.front());
        queue_.pop_front();
        pay(next);
    }
}

void OrderService::pay(const FlightPtr& flight) {
    if (!breaker_.admit(world_.clock.steady())) {
        outcomes_.note("breaker_open");
        return give_up(flight);
    }
    ++flight->tries;
    ask_payment(flight);
}

void OrderService::ask_payment(const FlightPtr& flight) {
    ++paying_;
    tokens_.get([this, flight](const Result<std::string>& header) {
        if (header) {
            flight->authorization = *header;
            return send_payment(flight);
        }
        breaker_.failed(world_.clock.steady());
        payment_failed(flight, header.error().to_string(), {});
        payment_over();
    });
}

void OrderService::send_payment(const FlightPtr& flight) {
    port::HttpRequest request{"POST",
                              "/pay",
                              {{"Content-Type", "application/json"},
                               {"Idempotency-Key", flight->row.id},
                               {"traceparent", flight->pay_trace.traceparent()}},
                              payment_body(flight->row)};
    if (!flight->authorization.empty())
        request.headers.emplace_back("Authorization", flight->authorization);
    flight->sent = true;
    payments_.send(settings_.payment, std::move(request), settings_.payment_timeout,
                   [this, flight](const Result<port::HttpResponse>& answer) {
                       crash_point("answered");
                       payment_answered(flight, answer);
                       payment_over();
                   });
}

void OrderService::payment_answered(const FlightPtr& flight,
                                    const Result<port::HttpResponse>& answer) {
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
    // A token may have become old on the way, or its key: once another one is tried.
    if (status == 401 && !flight->token_renewed && tokens_.refused(flight->authorization)) {
        flight->token_renewed = true;
        return ask_payment(flight);
    }
    // It was cancelled before, and the customer has been told; or the same would be refused again.
    if (status == 409 || is_final(status)) {
        breaker_.succeeded();
        if (status != 409)
            world_.log.error("the payment refuses an order",
                             {{"order", flight->row.id}, {"error", why}});
        return land(flight, OrderEnd::unpaid, {});
    }
    breaker_.failed(world_.clock.steady());
    Duration asked{};
    if (answer)
        asked = protocol::parse_retry_after(port::find_header(answer->headers, "Retry-After"),
                                            world_.clock.wall())
                    .value_or(Duration{0});
    payment_failed(flight, why, std::min(asked, asked_wait_max));
}

void OrderService::payment_failed(const FlightPtr& flight, const std::string& why,
                                  Duration least_wait) {
    world_.log.warn("the payment does not work", {{"order", flight->row.id},
                                                  {"try", std::to_string(flight->tries)},
                                                  {"error", why},
                                                  {"trace_id", flight->row.trace.trace_id}});
    if (flight->tries >= settings_.payment_tries) return give_up(flight);
    const auto doubled = settings_.retry_wait * (std::int64_t{1} << (flight->tries - 1));
    const auto jitter = static_cast<std::int64_t>(
        random_.below(static_cast<std::uint64_t>(settings_.retry_wait.count()) / 4 + 1));
    flight->timer->set(
        world_.clock.steady() + std::max<Duration>(doubled, least_wait) + Duration{jitter},
        [this, id = flight->row.id] { try_payment(FlightPtr{flights_.at(id)}); });
}

// Nobody waits for an order that was resumed: it is asked for until its fate is known. A customer
// is told that it did not work, and what may have been paid is given back.
void OrderService::give_up(const FlightPtr& flight) {
    if (!flight->waiters.empty()) return land(flight, OrderEnd::unpaid, {});
    flights_.erase(flight->row.id);
    given_up_.insert(flight->row.id);
    resume_later();
    look_drained();
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
                 : flight->sent              ? "CANCELLING"
                                             : "ERROR";
    const WallTime now = world_.clock.wall();
    world_.desk.change<bool>(
        [row, spans = spans_of(*flight, end, now), now](io::SqliteStore& store) {
            return write_end(store, row, spans, now);
        },
        [this, flight, end](const Result<bool>& written) { landed(flight, end, written); });
}

void OrderService::landed(const FlightPtr& flight, OrderEnd end, const Result<bool>& written) {
    if (!written) return not_stored(flight, end, written.error());
    if (!*written) return answer_as_stored(flight);
    flights_.erase(flight->row.id);
    given_up_.erase(flight->row.id);
    resume_soon();
    crash_point("placed");
    outcomes_.note(note_of(end));
    if (refunds_open_ && flight->row.status == "CANCELLING") ++*refunds_open_;
    world_.log.info(end == OrderEnd::paid ? "order placed" : "order not placed",
                    {{"order", flight->row.id},
                     {"pizza", flight->row.form.pizza},
                     {"outcome", std::string{note_of(end)}},
                     {"trace_id", flight->row.trace.trace_id}});
    outbox_.nudge();
    for (Waiter& waiter : flight->waiters)
        answer(waiter, flight->row, end);
    if (end == OrderEnd::unpaid) cancel_next();
    look_drained();
}

// Paid and declined are what the payment remembers: asked again under the same order, it says the
// same, so that the customer may be told. The flight goes on with it: what one was told is not
// taken back from whoever asks again. That nothing is owed holds once it is written.
void OrderService::not_stored(const FlightPtr& flight, OrderEnd end, const Error& error) {
    if (!flight->write_retry.failing())
        world_.log.error("the end of an order cannot be stored",
                         {{"order", flight->row.id}, {"error", error.to_string()}});
    if (end != OrderEnd::unpaid)
        for (Waiter& waiter : std::exchange(flight->waiters, {}))
            answer(waiter, flight->row, end);
    if (draining_ && flight->waiters.empty()) {  // the next start asks the payment again
        flights_.erase(flight->row.id);
        return look_drained();
    }
    flight->timer->set(world_.clock.steady() + flight->write_retry.next(),
                       [this, id = flight->row.id, end] {
                           const FlightPtr held{flights_.at(id)};
                           land(held, end, held->row.transaction_id);
                       });
}

// Somebody else has ended it: the answer is what stands there.
void OrderService::answer_as_stored(const FlightPtr& flight) {
    world_.desk.ask<std::vector<OrderRow>>(
        [id = flight->row.id](io::SqliteStore& store) {
            return find_orders(store, "id = ?", {id});
        },
        [this, flight](const Result<std::vector<OrderRow>>& rows) {
            flights_.erase(flight->row.id);
            given_up_.erase(flight->row.id);
            const auto end = rows && !rows->empty() ? end_of(rows->front().status) : std::nullopt;
            for (Waiter& waiter : flight->waiters)
                if (end)
                    answer(waiter, rows->front(), *end);
                else
                    waiter.call.refuse(rows ? Error{ErrorCode::not_found, flight->row.id}
                                            : rows.error());
            look_drained();
        });
}

void OrderService::look_drained() {
    if (drained_ && flights_.empty() && making_ == 0) std::exchange(drained_, nullptr)();
}

// ---- what is left behind ------------------------------------------------------------------------

// What was put off comes soon, now that one has got through; the next that does puts off nothing.
void OrderService::resume_soon() {
    resume_retry_.reset();
    if (!resume_set_ || resume_at_ <= world_.clock.steady() + resume_wait) return;
    resume_set_ = false;
    resume_later();
}

void OrderService::resume_later() {
    if (draining_ || std::exchange(resume_set_, true)) return;
    resume_at_ = world_.clock.steady() + resume_retry_.next();
    resume_timer_->set(resume_at_, [this] {
        resume_set_ = false;
        resume();
    });
}

// Orders whose payment was on its way when the process ended.
void OrderService::resume() {
    world_.desk.ask<std::vector<OrderRow>>(
        [](io::SqliteStore& store) { return find_orders(store, where_paying, {resume_max}); },
        [this](Result<std::vector<OrderRow>> rows) {
            if (draining_) return;
            // Not all of them at once, and what could not be read is read later.
            if (!rows || std::ssize(*rows) == resume_max) resume_later();
            if (!rows) return;
            for (OrderRow& row : *rows) {
                if (flights_.contains(row.id)) continue;
                if (!given_up_.contains(row.id))
                    world_.log.info("an order is taken up again",
                                    {{"order", row.id}, {"trace_id", row.trace.trace_id}});
                fly(std::move(row), {}, true);
            }
        });
}

// What may have been paid for an order that its customer was refused is given back, one by one.
void OrderService::cancel_next() {
    if (cancelling_ || draining_) return;
    cancelling_ = true;
    world_.desk.ask<ToCancel>(
        [tried = cancel_tried_, counts = !refunds_counted_](io::SqliteStore& store) {
            return find_to_cancel(store, tried, counts);
        },
        [this](const Result<ToCancel>& found) {
            if (!found) return not_cancelled({}, found.error().to_string());
            if (found->open) {
                refunds_open_ = *found->open;
                refunds_counted_ = true;
            }
            if (found->rows.empty()) {
                cancelling_ = false;
                // Those that failed come again, from the first on.
                if (std::exchange(cancel_tried_, {}).empty()) return;
                refunds_counted_ = false;
                return cancel_later();
            }
            const OrderRow row = found->rows.front();
            tokens_.get([this, row](const Result<std::string>& header) {
                if (!header) return not_cancelled({}, header.error().to_string());
                cancel(row, *header);
            });
        });
}

// One that cannot be given back holds up no other.
void OrderService::not_cancelled(const std::string& id, const std::string& why) {
    cancelling_ = false;
    outcomes_.note("refund_failed");
    if (!cancel_retry_.failing())
        world_.log.warn("a payment cannot be given back", {{"order", id}, {"error", why}});
    if (!id.empty()) cancel_tried_ = id;
    cancel_later();
}

void OrderService::cancel_later() {
    cancel_timer_->set(world_.clock.steady() + cancel_retry_.next(), [this] { cancel_next(); });
}

void OrderService::cancel(const OrderRow& row, const std::string& authorization) {
    port::HttpRequest request{
        "DELETE", "/payments/" + row.id, {{"traceparent", row.trace.traceparent()}}, {}};
    if (!authorization.empty()) request.headers.emplace_back("Authorization", authorization);
    payments_.send(
        settings_.payment, std::move(request), settings_.payment_timeout,
        [this, row, authorization](const Result<port::HttpResponse>& answer) {
            if (!answer || answer->status != 200) {
                if (answer && answer->status == 401) (void)tokens_.refused(authorization);
                return not_cancelled(row.id, answer
                                                 ? "it answered " + std::to_string(answer->status)
                                                 : answer.error().to_string());
            }
            world_.desk.ask<std::int64_t>(
                [id = row.id](io::SqliteStore& store) {
                    return store.run(
                        "UPDATE orders SET status = 'ERROR' WHERE id = ? AND status = 'CANCELLING'",
                        {id});
                },
                [this, row](const Result<std::int64_t>& written) {
                    if (!written) return not_cancelled({}, written.error().to_string());
                    cancelling_ = false;
                    cancel_retry_.reset();
                    outcomes_.note("refunded");
                    if (refunds_open_) *refunds_open_ -= std::min(*refunds_open_, *written);
                    world_.log.info("the payment is given back", {{"order", row.id}});
                    cancel_next();
                });
        });
}

}  // namespace taskd::pizza
