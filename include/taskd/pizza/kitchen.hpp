// The kitchen: cooks what `order.placed` asks for, each order once, and tells `order.ready`.
// Several kitchens share the orders as members of one group, and one store if they are of one
// house: then no order is cooked twice, even when one is killed behind the oven. Contract:
// config/pizza/kitchen.openapi.yaml. All on the loop.
#pragma once

#include <map>
#include <memory>
#include <span>

#include "taskd/pizza/consumer.hpp"
#include "taskd/pizza/front.hpp"
#include "taskd/pizza/outbox.hpp"
#include "taskd/pizza/service.hpp"
#include "taskd/pizza/sweep.hpp"

namespace taskd::pizza {

struct KitchenSettings {
    std::size_t ovens = 1;  // orders at a time
    Duration cook_min = std::chrono::seconds{5};
    Duration cook_max = std::chrono::seconds{10};
    Duration ack_timeout = std::chrono::seconds{30};
    Duration keep = std::chrono::hours{24 * 30};  // what has ended
};

class KitchenService {
  public:
    static std::span<const char* const> formats();  // of its store

    KitchenService(KitchenSettings settings, World world);

    void add_routes(Front& front);
    void start();
    void drain(std::function<void()> done);
    void report(port::MetricSink& sink) const;
    std::vector<std::string> reasons() const { return consumer_.reasons(); }

  private:
    struct Dish;
    using DishPtr = std::shared_ptr<Dish>;
    void take(const Delivery& delivery, Consumer::Done done);
    void cook(const DishPtr& dish);
    void serve(DishPtr dish);
    void tell(const DishPtr& dish);
    void list(Call call);
    void read(Call call);
    void recipes(Call call);

    KitchenSettings settings_;
    World world_;
    Random random_;
    Outbox outbox_;
    Sweep sweep_;
    Consumer consumer_;
    Outcomes outcomes_{"kitchen"};
    std::map<std::string, DishPtr> ovens_;  // by delivery
};

}  // namespace taskd::pizza
