// taskd pizza kitchen. Wiring only: what cooking is stands in src/pizza.
#include "taskd/pizza/kitchen.hpp"

#include "ground.hpp"
#include "taskd/pizza/contracts.hpp"

namespace taskd::roles {
namespace {

constexpr PizzaShape shape{.service = "kitchen", .port = "8092", .shares_store = true};

class KitchenPart {
  public:
    KitchenPart(PizzaGround& ground, PizzaDoor& door, PizzaStore& store, const Options& options)
        : door_{door},
          service_{
              {.ovens = static_cast<std::size_t>(options.number("ovens")),
               .cook_min = options.duration("cook-min"),
               .cook_max = std::max(options.duration("cook-min"), options.duration("cook-max")),
               .ack_timeout = options.duration("ack-timeout"),
               .keep = options.duration("keep")},
              store.world()},
          front_{make_pizza_front(ground, pizza::kitchen_contract(),
                                  [this] { return service_.reasons(); })} {
        service_.add_routes(*front_);
        ground.metrics.add([this](port::MetricSink& sink) { service_.report(sink); });
    }
    Result<void> start() {
        service_.start();
        door_.open(*front_);
        return {};
    }
    void drain(std::function<void()> done) {
        front_->shut();
        service_.drain(std::move(done));
    }

  private:
    PizzaDoor& door_;
    pizza::KitchenService service_;
    std::unique_ptr<pizza::Front> front_;
};

int run(const Options& options) {
    return run_pizza(options, shape, [&](runtime::Boot& boot, PizzaGround& ground, auto door) {
        auto store = boot.add<PizzaStore>("store", std::ref(ground), std::cref(options),
                                          pizza::KitchenService::formats());
        auto part =
            boot.add<KitchenPart>("kitchen", std::ref(ground), door, store, std::cref(options));
        boot.add<PizzaAnnouncement>("announcement", std::ref(ground), door, part);
    });
}

std::vector<OptionRow> rows() {
    return {{.name = "ovens",
             .kind = OptionKind::number,
             .value = "N",
             .fallback = "1",
             .help = "orders at a time",
             .least = 1,
             .most = 100},
            {.name = "cook-min",
             .kind = OptionKind::duration,
             .value = "TIME",
             .fallback = "5s",
             .help = "how long an order takes at least"},
            {.name = "cook-max",
             .kind = OptionKind::duration,
             .value = "TIME",
             .fallback = "10s",
             .help = "and at most"},
            {.name = "ack-timeout",
             .kind = OptionKind::duration,
             .value = "TIME",
             .fallback = "30s",
             .help = "after which silence another kitchen takes its orders over",
             .least = 1'000'000}};
}

}  // namespace

const Command& pizza_kitchen_command() {
    static const Command command{
        {.name = "pizza kitchen",
         .arguments = "",
         .summary = "cook what was ordered",
         .text = "Start as many as are needed: they share the orders. Kitchens with one --data "
                 "share one\nstore, in which no order is cooked twice.",
         .options = with_pizza_rows(rows(), shape),
         .kind = PageKind::role,
         .examples = {{"taskd pizza kitchen", "one oven, 5 to 10 s an order"},
                      {"taskd pizza kitchen --port 0 --ovens 3", "one more, three at a time"}}},
        run};
    return command;
}

}  // namespace taskd::roles
