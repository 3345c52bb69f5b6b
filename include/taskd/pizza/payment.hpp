// The payment service: one payment an order, whatever is said again; a simulation of one that is
// slow, declines and fails. Contract: config/pizza/payment.openapi.yaml. All on the loop.
#pragma once

#include <memory>
#include <set>
#include <span>

#include "taskd/io/token_verifier.hpp"
#include "taskd/pizza/front.hpp"
#include "taskd/pizza/outbox.hpp"
#include "taskd/pizza/seldom.hpp"
#include "taskd/pizza/service.hpp"
#include "taskd/pizza/sweep.hpp"

namespace taskd::pizza {

struct PaymentSettings {
    Duration delay_min{0};
    Duration delay_max{0};
    std::uint64_t decline_percent = 20;
    std::uint64_t fault_percent = 0;
    bool tokens = true;                           // asked for
    Duration keep = std::chrono::hours{24 * 30};  // what has ended
};

class PaymentService {
  public:
    static std::span<const char* const> formats();  // of its store

    PaymentService(PaymentSettings settings, World world, io::TokenVerifier& verifier);

    void add_routes(Front& front);
    void start() {
        outbox_.start();
        sweep_.start();
    }
    void drain(std::function<void()> done) { outbox_.drain(std::move(done)); }
    void report(port::MetricSink& sink) const;

  private:
    struct Asked;
    struct Known;
    using Next = std::function<void(Call)>;
    void guarded(Call call, Next next);
    void pay(Call call);
    void settle(std::shared_ptr<Asked> asked);
    void answer(Asked& asked, const Known& known);
    void read(Call call);
    void cancel(Call call);
    static Result<Known> decide(io::SqliteStore& store, const Asked& asked, const Span& span);

    PaymentSettings settings_;
    World world_;
    io::TokenVerifier& verifier_;
    Random random_;
    Outbox outbox_;
    Sweep sweep_;
    Outcomes outcomes_{"payment"};
    Seldom refusals_;
    std::set<std::shared_ptr<port::Timer>> delays_;
};

}  // namespace taskd::pizza
