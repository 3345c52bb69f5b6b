// taskd pizza delivery. Wiring only: what a delivery is stands in src/pizza.
#include "taskd/pizza/delivery.hpp"

#include "ground.hpp"
#include "split_list.hpp"
#include "taskd/pizza/contracts.hpp"

namespace taskd::roles {
namespace {

constexpr PizzaShape shape{.service = "delivery", .port = "8093"};

class DeliveryPart {
  public:
    static Result<std::unique_ptr<DeliveryPart>> make(PizzaGround& ground, PizzaDoor& door,
                                                      PizzaStore& store, const Options& options) {
        auto drivers = split_list(options.text("drivers"));
        if (drivers.empty()) return fail(ErrorCode::config_invalid, "there are no drivers");
        return std::unique_ptr<DeliveryPart>{
            new DeliveryPart{ground, door, store, options, std::move(drivers)}};
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
    DeliveryPart(PizzaGround& ground, PizzaDoor& door, PizzaStore& store, const Options& options,
                 std::vector<std::string> drivers)
        : door_{door},
          service_{{.drivers = std::move(drivers),
                    .ack_timeout = options.duration("ack-timeout"),
                    .keep = options.duration("keep")},
                   store.world()},
          front_{make_pizza_front(ground, pizza::delivery_contract(),
                                  [this] { return service_.reasons(); })} {
        service_.add_routes(*front_);
        ground.metrics.add([this](port::MetricSink& sink) { service_.report(sink); });
    }

    PizzaDoor& door_;
    pizza::DeliveryService service_;
    std::unique_ptr<pizza::Front> front_;
};

int run(const Options& options) {
    return run_pizza(options, shape, [&](runtime::Boot& boot, PizzaGround& ground, auto door) {
        auto store = boot.add<PizzaStore>("store", std::ref(ground), std::cref(options),
                                          pizza::DeliveryService::formats());
        auto part =
            boot.add<DeliveryPart>("delivery", std::ref(ground), door, store, std::cref(options));
        boot.add<PizzaAnnouncement>("announcement", std::ref(ground), door, part);
    });
}

std::vector<OptionRow> rows() {
    return {{.name = "drivers",
             .value = "NAME,…",
             .fallback = "Anna,Ben,Cem",
             .help = "who drives, in turn"},
            {.name = "ack-timeout",
             .kind = OptionKind::duration,
             .value = "TIME",
             .fallback = "30s",
             .help = "after which silence another delivery takes its orders over",
             .least = 1'000'000}};
}

}  // namespace

const Command& pizza_delivery_command() {
    static const Command command{
        {.name = "pizza delivery",
         .arguments = "",
         .summary = "bring what was cooked",
         .text = {},
         .options = with_pizza_rows(rows(), shape),
         .kind = PageKind::role,
         .examples = {{"taskd pizza delivery --drivers Mia,Jonas", ""},
                      {"taskd pizza delivery --broker http://broker:4000", ""}}},
        run};
    return command;
}

}  // namespace taskd::roles
