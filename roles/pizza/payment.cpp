// taskd pizza payment. Wiring only: what a payment is stands in src/pizza.
#include "taskd/pizza/payment.hpp"

#include "ground.hpp"
#include "taskd/pizza/contracts.hpp"

namespace taskd::roles {
namespace {

constexpr PizzaShape shape{.service = "payment", .port = "8091", .guarded = true};

class PaymentPart {
  public:
    PaymentPart(PizzaGround& ground, PizzaDoor& door, PizzaStore& store, const Options& options)
        : door_{door},
          verifier_{{.provider = options.text("identity"),
                     .issuer = options.text("issuer"),
                     .audience = options.text("audience"),
                     .leeway = options.duration("leeway")},
                    store.http(),
                    *ground.clock,
                    *ground.log},
          service_{
              {.delay_min = options.duration("delay-min"),
               .delay_max = std::max(options.duration("delay-min"), options.duration("delay-max")),
               .decline_percent = static_cast<std::uint64_t>(options.number("decline-percent")),
               .fault_percent = static_cast<std::uint64_t>(options.number("fault-percent")),
               .tokens = !options.toggle("no-tokens"),
               .keep = options.duration("keep")},
              store.world(),
              verifier_},
          front_{make_pizza_front(ground, pizza::payment_contract())} {
        service_.add_routes(*front_);
        ground.metrics.add([this](port::MetricSink& sink) { service_.report(sink); });
    }
    static Result<std::unique_ptr<PaymentPart>> make(PizzaGround& ground, PizzaDoor& door,
                                                     PizzaStore& store, const Options& options) {
        if (options.toggle("no-tokens") && !ground.host.starts_with("127."))
            return fail(ErrorCode::key_required, "--no-tokens is for loopback");
        return std::make_unique<PaymentPart>(ground, door, store, options);
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
    io::TokenVerifier verifier_;
    pizza::PaymentService service_;
    std::unique_ptr<pizza::Front> front_;
};

int run(const Options& options) {
    return run_pizza(options, shape, [&](runtime::Boot& boot, PizzaGround& ground, auto door) {
        auto store = boot.add<PizzaStore>("store", std::ref(ground), std::cref(options),
                                          pizza::PaymentService::formats());
        auto part =
            boot.add<PaymentPart>("payment", std::ref(ground), door, store, std::cref(options));
        boot.add<PizzaAnnouncement>("announcement", std::ref(ground), door, part);
    });
}

std::vector<OptionRow> rows() {
    return {{.name = "delay-min",
             .kind = OptionKind::duration,
             .value = "TIME",
             .fallback = "100ms",
             .help = "how long a payment takes at least"},
            {.name = "delay-max",
             .kind = OptionKind::duration,
             .value = "TIME",
             .fallback = "500ms",
             .help = "and at most"},
            {.name = "decline-percent",
             .kind = OptionKind::number,
             .value = "N",
             .fallback = "20",
             .help = "of the payments are declined",
             .most = 100},
            {.name = "fault-percent",
             .kind = OptionKind::number,
             .value = "N",
             .fallback = "0",
             .help = "of the requests fail, half of them behind the payment",
             .most = 100},
            {.name = "identity",
             .value = "URL",
             .fallback = "http://127.0.0.1:8094",
             .help = "who issues tokens; found by OpenID discovery"},
            {.name = "issuer",
             .value = "URL",
             .help = "as tokens name it; the address of --identity unless said"},
            {.name = "audience",
             .value = "NAME",
             .fallback = "payment",
             .help = "whom tokens must be for"},
            {.name = "leeway",
             .kind = OptionKind::duration,
             .value = "TIME",
             .fallback = "5s",
             .help = "how far clocks may be apart"},
            {.name = "no-tokens",
             .kind = OptionKind::toggle,
             .help = "take payments from anybody; on loopback alone"}};
}

}  // namespace

const Command& pizza_payment_command() {
    static const Command command{
        {.name = "pizza payment",
         .arguments = "",
         .summary = "take payments, and decline some",
         .text = {},
         .options = with_pizza_rows(rows(), shape),
         .kind = PageKind::role,
         .examples = {{"taskd pizza payment --decline-percent 0", "everybody can pay"},
                      {"taskd pizza payment --delay-max 10s --fault-percent 10", "a bad day"}}},
        run};
    return command;
}

}  // namespace taskd::roles
