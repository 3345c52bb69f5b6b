// taskd pizza identity. Wiring only: what a token is stands in src/pizza.
#include "taskd/pizza/identity.hpp"

#include "ground.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/yaml.hpp"
#include "taskd/pizza/contracts.hpp"

namespace taskd::roles {
namespace {

constexpr PizzaShape shape{
    .service = "identity", .port = "8094", .has_store = false, .guarded = true};

class IdentityPart {
  public:
    static Result<std::unique_ptr<IdentityPart>> make(PizzaGround& ground, PizzaDoor& door,
                                                      const Options& options) {
        const auto document = io::read_yaml_file(options.text("clients"));
        if (!document) return std::unexpected{document.error()};
        auto clients = pizza::read_clients(*document);
        if (!clients) return fail(std::move(clients));
        std::string issuer = options.text("issuer");
        if (issuer.empty()) issuer = port::base_url(ground.host, door.port());
        auto service = pizza::IdentityService::make(
            {.issuer = std::move(issuer),
             .clients = std::move(*clients),
             .algorithm = options.text("algorithm") == "RS256" ? io::SigningAlgorithm::rs256
                                                               : io::SigningAlgorithm::es256,
             .token_time = options.duration("token-time"),
             .rotate_every = options.duration("rotate-every"),
             .keys_file = options.text("data") + "/keys.json"},
            ground.loop, *ground.clock, *ground.log, io::random_seed());
        if (!service) return fail(std::move(service));
        return std::unique_ptr<IdentityPart>{new IdentityPart{ground, door, std::move(*service)}};
    }
    Result<void> start() {
        service_->start();
        door_.open(*front_);
        return {};
    }
    void drain(std::function<void()> done) {
        front_->shut();
        done();
    }

  private:
    IdentityPart(PizzaGround& ground, PizzaDoor& door,
                 std::unique_ptr<pizza::IdentityService> service)
        : door_{door},
          service_{std::move(service)},
          front_{make_pizza_front(ground, pizza::identity_contract())} {
        service_->add_routes(*front_);
        ground.metrics.add([this](port::MetricSink& sink) { service_->report(sink); });
    }

    PizzaDoor& door_;
    std::unique_ptr<pizza::IdentityService> service_;
    std::unique_ptr<pizza::Front> front_;
};

int run(const Options& options) {
    if (!options.given("clients"))
        return report({ErrorCode::bad_usage, "--clients is missing: who may ask for tokens"});
    return run_pizza(options, shape, [&](runtime::Boot& boot, PizzaGround& ground, auto door) {
        auto part = boot.add<IdentityPart>("identity", std::ref(ground), door, std::cref(options));
        boot.add<PizzaAnnouncement>("announcement", std::ref(ground), door, part);
    });
}

std::vector<OptionRow> rows() {
    return {{.name = "clients",
             .value = "FILE",
             .help = "who may ask for tokens: ids, secrets, audiences; YAML"},
            {.name = "issuer",
             .value = "URL",
             .help = "its name in tokens, by which others reach it; where it listens unless said"},
            {.name = "algorithm",
             .kind = OptionKind::choice,
             .value = "ES256|RS256",
             .fallback = "ES256",
             .help = "of new keys"},
            {.name = "token-time",
             .kind = OptionKind::duration,
             .value = "TIME",
             .fallback = "5m",
             .help = "how long a token lives",
             .least = 1'000'000},
            {.name = "rotate-every",
             .kind = OptionKind::duration,
             .value = "TIME",
             .fallback = "24h",
             .help = "a new key signs; the old ones stay until their last token has ended",
             .least = 100'000}};
}

}  // namespace

const Command& pizza_identity_command() {
    static const Command command{
        {.name = "pizza identity",
         .arguments = "",
         .summary = "issue tokens to services",
         .text = "OAuth 2.0 client credentials, with OpenID discovery and a JWKS. Any provider of "
                 "these can\ntake its place.",
         .options = with_pizza_rows(rows(), shape),
         .kind = PageKind::role,
         .examples = {{"taskd pizza identity --clients clients.yaml", ""},
                      {"taskd pizza identity --clients clients.yaml --algorithm RS256", ""}}},
        run};
    return command;
}

}  // namespace taskd::roles
