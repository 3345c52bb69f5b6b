// taskd pizza order. Wiring only: what becomes of an order stands in src/pizza.
#include "taskd/pizza/order.hpp"

#include "ground.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/pizza/contracts.hpp"

namespace taskd::roles {
namespace {

constexpr PizzaShape shape{.service = "order", .port = "8090"};
constexpr std::size_t secret_bytes_max = 4096;

Result<pizza::OrderSettings> settings_of(const Options& options) {
    auto menu = pizza::parse_menu(options.text("menu"));
    if (!menu) return fail(std::move(menu));
    std::string secret;
    if (options.given("client-secret-file")) {
        auto read = io::read_whole_file(options.text("client-secret-file"), secret_bytes_max);
        if (!read) return fail(std::move(read));
        secret = read->substr(0, read->find_last_not_of(" \t\r\n") + 1);
        if (secret.empty())
            return fail(ErrorCode::config_invalid,
                        options.text("client-secret-file") + ": no secret is in it");
    }
    return pizza::OrderSettings{
        .menu = std::move(*menu),
        .payment = options.text("payment"),
        .payment_timeout = options.duration("payment-timeout"),
        .payment_tries = static_cast<std::uint32_t>(options.number("payment-tries")),
        .retry_wait = options.duration("payment-wait"),
        .breaker = {static_cast<std::uint32_t>(options.number("breaker-failures")),
                    options.duration("breaker-time")},
        .tokens = {.provider = secret.empty() ? std::string{} : options.text("identity"),
                   .client_id = options.text("client-id"),
                   .client_secret = std::move(secret),
                   .audience = "payment"},
        .keep = options.duration("keep")};
}

class OrderPart {
  public:
    static Result<std::unique_ptr<OrderPart>> make(PizzaGround& ground, PizzaDoor& door,
                                                   PizzaStore& store, const Options& options) {
        auto settings = settings_of(options);
        if (!settings) return fail(std::move(settings));
        return std::unique_ptr<OrderPart>{new OrderPart{ground, door, store, std::move(*settings)}};
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
    OrderPart(PizzaGround& ground, PizzaDoor& door, PizzaStore& store,
              pizza::OrderSettings settings)
        : door_{door},
          payments_{ground.loop, {.threads_max = pizza::OrderService::payments_at_once + 2}},
          service_{std::move(settings), store.world(), payments_},
          front_{make_pizza_front(ground, pizza::order_contract())} {
        service_.add_routes(*front_);
        ground.metrics.add([this](port::MetricSink& sink) { service_.report(sink); });
    }

    PizzaDoor& door_;
    io::HttpExchange payments_;
    pizza::OrderService service_;
    std::unique_ptr<pizza::Front> front_;
};

int run(const Options& options) {
    return run_pizza(options, shape, [&](runtime::Boot& boot, PizzaGround& ground, auto door) {
        auto store = boot.add<PizzaStore>("store", std::ref(ground), std::cref(options),
                                          pizza::OrderService::formats());
        auto part = boot.add<OrderPart>("order", std::ref(ground), door, store, std::cref(options));
        boot.add<PizzaAnnouncement>("announcement", std::ref(ground), door, part);
    });
}

std::vector<OptionRow> rows() {
    return {{.name = "menu",
             .value = "PIZZA=EUROS,…",
             .fallback = "Margherita=8.50,Salami=9.50,Funghi=9.50,Prosciutto=10,Hawaii=10.50,"
                         "Quattro Formaggi=11.50",
             .help = "what may be ordered"},
            {.name = "payment",
             .value = "URL",
             .fallback = "http://127.0.0.1:8091",
             .help = "who takes payments"},
            {.name = "payment-timeout",
             .kind = OptionKind::duration,
             .value = "TIME",
             .fallback = "3s",
             .help = "of one try",
             .least = 1'000},
            {.name = "payment-tries",
             .kind = OptionKind::number,
             .value = "N",
             .fallback = "3",
             .help = "before the customer is told to come later",
             .least = 1,
             .most = 10},
            {.name = "payment-wait",
             .kind = OptionKind::duration,
             .value = "TIME",
             .fallback = "200ms",
             .help = "before the second try, doubled before each one after",
             .least = 1'000},
            {.name = "breaker-failures",
             .kind = OptionKind::number,
             .value = "N",
             .fallback = "6",
             .help = "in a row, after which the payment is left alone",
             .least = 1,
             .most = 1'000},
            {.name = "breaker-time",
             .kind = OptionKind::duration,
             .value = "TIME",
             .fallback = "5s",
             .help = "for so long, then one try is made",
             .least = 1'000},
            {.name = "identity",
             .value = "URL",
             .fallback = "http://127.0.0.1:8094",
             .help = "who issues tokens; asked when there is a secret"},
            {.name = "client-id",
             .value = "ID",
             .fallback = "order",
             .help = "who it is to the issuer"},
            {.name = "client-secret-file", .value = "FILE", .help = "and what proves it"}};
}

}  // namespace

const Command& pizza_order_command() {
    static const Command command{
        {.name = "pizza order",
         .arguments = "",
         .summary = "take orders, have them paid, tell the kitchen",
         .text = {},
         .options = with_pizza_rows(rows(), shape),
         .kind = PageKind::role,
         .examples = {{"taskd pizza order --client-secret-file order.secret", ""},
                      {"taskd pizza order --payment-timeout 1s --payment-tries 2", ""}}},
        run};
    return command;
}

}  // namespace taskd::roles
