// The delivery: gives each order that is ready to a driver, once, and tells the customer. Contract:
// config/pizza/delivery.openapi.yaml. All on the loop.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "taskd/pizza/consumer.hpp"
#include "taskd/pizza/front.hpp"
#include "taskd/pizza/outbox.hpp"
#include "taskd/pizza/service.hpp"
#include "taskd/pizza/sweep.hpp"

namespace taskd::pizza {

struct DeliverySettings {
    std::vector<std::string> drivers;
    Duration ack_timeout = std::chrono::seconds{30};
    Duration keep = std::chrono::hours{24 * 30};  // what has ended
};

class DeliveryService {
  public:
    static std::span<const char* const> formats();  // of its store

    DeliveryService(DeliverySettings settings, World world);

    void add_routes(Front& front);
    void start();
    void drain(std::function<void()> done);
    void report(port::MetricSink& sink) const;
    std::vector<std::string> reasons() const { return consumer_.reasons(); }

  private:
    struct Order;
    void take(const Delivery& delivery, Consumer::Done done);
    static Result<std::string> assign(io::SqliteStore& store, const Order& order);
    void list(Call call);
    void read(Call call);

    DeliverySettings settings_;
    World world_;
    Random random_;
    Outbox outbox_;
    Sweep sweep_;
    Consumer consumer_;
    Outcomes outcomes_{"delivery"};
};

}  // namespace taskd::pizza
