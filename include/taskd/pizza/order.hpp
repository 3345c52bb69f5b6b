// The order service: an order is written down, paid, and told to the kitchen, each step durable
// before the next, so that a crash anywhere neither loses nor doubles it. Contract:
// config/pizza/order.openapi.yaml. All on the loop.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "taskd/pizza/breaker.hpp"
#include "taskd/pizza/consumer.hpp"
#include "taskd/pizza/front.hpp"
#include "taskd/pizza/outbox.hpp"
#include "taskd/pizza/service.hpp"
#include "taskd/pizza/sweep.hpp"
#include "taskd/pizza/token_source.hpp"

namespace taskd::pizza {

struct OrderSettings {
    Menu menu;
    std::string payment;  // "http://127.0.0.1:8091"
    Duration payment_timeout = std::chrono::seconds{3};
    std::uint32_t payment_tries = 3;
    Duration retry_wait = std::chrono::milliseconds{200};  // doubled each time
    BreakerSettings breaker;
    TokenSourceSettings tokens;
    Duration keep = std::chrono::hours{24 * 30};  // what has ended
};

// How an order stands, as the store has it.
struct OrderRow {
    std::string id;
    std::string status;  // of the contract; CANCELLING: an ERROR whose payment is being given back
    OrderForm form;
    TraceSpot trace;
    std::string key;  // of idempotency; may be empty
    std::string transaction_id;
    WallTime ordered_at;

    std::string to_json() const;
};

class OrderService {
  public:
    static constexpr std::size_t payments_at_once = 64;
    static constexpr std::size_t open_max = 1'000;  // orders that wait for their payment

    static std::span<const char* const> formats();  // of its store

    // `payments` has room for payments_at_once calls, and two more.
    OrderService(OrderSettings settings, World world, port::HttpExchange& payments);
    ~OrderService();

    void add_routes(Front& front);
    void start();
    void drain(std::function<void()> done);
    void report(port::MetricSink& sink) const;
    const Breaker& breaker() const { return breaker_; }

  private:
    // Who waits for an order's fate: a version-2 customer is told more.
    struct Waiter {
        Call call;
        Language language;
        bool version_2;
    };
    // An order whose payment is on its way.
    struct Flight {
        OrderRow row;
        std::vector<Waiter> waiters;  // none: resumed after a crash
        std::uint32_t tries = 0;
        bool sent = false;  // it may have reached the payment, by this flight or one before
        bool token_renewed = false;
        std::string authorization;
        Retry write_retry;
        TraceSpot pay_trace;
        WallTime pay_begin;
        std::unique_ptr<port::Timer> timer;
    };
    using FlightPtr = std::shared_ptr<Flight>;
    struct Made {
        OrderRow row;
        bool is_new = false;
        bool is_turned_away = false;
    };

    void place(Call call, bool version_2);
    void turn_away(Waiter& waiter);
    void made(Waiter waiter, const OrderRow& asked, Result<Made> made);
    // `sent`: it was in the store already, and nobody knows how far its payment came.
    void fly(OrderRow row, std::vector<Waiter> waiters, bool sent);
    void try_payment(const FlightPtr& flight);
    void pay(const FlightPtr& flight);
    void ask_payment(const FlightPtr& flight);
    void send_payment(const FlightPtr& flight);
    void payment_over();
    void payment_answered(const FlightPtr& flight, const Result<port::HttpResponse>& answer);
    void payment_failed(const FlightPtr& flight, const std::string& why, Duration least_wait);
    void give_up(const FlightPtr& flight);
    void land(const FlightPtr& flight, OrderEnd end, std::string transaction_id);
    void landed(const FlightPtr& flight, OrderEnd end, const Result<bool>& written);
    void not_stored(const FlightPtr& flight, OrderEnd end, const Error& error);
    void answer_as_stored(const FlightPtr& flight);
    static Result<bool> write_end(io::SqliteStore& store, const OrderRow& row,
                                  const std::vector<Span>& spans, WallTime now);
    std::vector<Span> spans_of(const Flight& flight, OrderEnd end, WallTime now) const;
    void answer(Waiter& waiter, const OrderRow& row, OrderEnd end);
    void resume();
    void resume_soon();
    void resume_later();
    void cancel_next();
    void not_cancelled(const std::string& id, const std::string& why);
    void cancel_later();
    void look_drained();
    void cancel(const OrderRow& row, const std::string& authorization);
    void follow(const Delivery& delivery, Consumer::Done done);
    void list(Call call);
    void read(Call call);

    OrderSettings settings_;
    World world_;
    port::HttpExchange& payments_;
    Random random_;
    Breaker breaker_;
    TokenSource tokens_;
    Outbox outbox_;
    Sweep sweep_;
    Consumer consumer_;
    Outcomes outcomes_{"order"};
    std::map<std::string, FlightPtr> flights_;
    std::size_t making_ = 0;       // orders on their way into the store
    std::deque<FlightPtr> queue_;  // of them, those that wait for their turn to be paid
    std::size_t paying_ = 0;
    std::unique_ptr<port::Timer> resume_timer_;
    std::unique_ptr<port::Timer> cancel_timer_;
    static constexpr Duration resume_wait = std::chrono::seconds{1};  // at first
    Retry resume_retry_{resume_wait, std::chrono::minutes{1}};
    bool resume_set_ = false;
    SteadyTime resume_at_{};
    // Resumed orders whose payment could not be asked, until they end.
    std::set<std::string> given_up_;
    Retry cancel_retry_;
    std::string cancel_tried_;  // the newest id that could not be given back, in this round
    bool cancelling_ = false;
    // As last counted, and what has come and gone since; none before the first count.
    std::optional<std::int64_t> refunds_open_;
    bool refunds_counted_ = false;  // in this round
    bool draining_ = false;
    std::function<void()> drained_;
};

}  // namespace taskd::pizza
