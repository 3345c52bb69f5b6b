#include "ground.hpp"

#include "key_file.hpp"
#include "open_files.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/pizza/contracts.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::roles {
namespace {

using namespace std::chrono_literals;

constexpr Duration lag_interval = 500ms;

bool is_loopback(std::string_view host) {
    return host == "localhost" || host == "::1" || host.starts_with("127.");
}

OptionRow data_row(std::string_view service) {
    // Rows hold views: what they show must outlive them.
    constexpr std::pair<std::string_view, std::string_view> folders[] = {
        {"order", "taskd-data/pizza/order"},
        {"payment", "taskd-data/pizza/payment"},
        {"kitchen", "taskd-data/pizza/kitchen"},
        {"delivery", "taskd-data/pizza/delivery"},
        {"identity", "taskd-data/pizza/identity"}};
    for (const auto& [name, folder] : folders)
        if (name == service)
            return {.name = "data", .value = "DIR", .fallback = folder, .help = "its own store"};
    return {};
}

}  // namespace

std::vector<OptionRow> with_pizza_rows(std::vector<OptionRow> own, const PizzaShape& shape) {
    own.push_back(data_row(shape.service));
    if (shape.has_store)
        own.push_back(
            {.name = "keep",
             .kind = OptionKind::duration,
             .value = "TIME",
             .fallback = "30d",
             .help = "how long what has ended is kept; longer than the broker keeps events",
             .least = 1'000'000});
    if (shape.has_store)
        own.push_back({.name = "broker",
                       .value = "URL",
                       .fallback = "http://127.0.0.1:4000",
                       .help = "the dispatcher, whose topics carry the events"});
    own.push_back({.name = "key-file",
                   .value = "FILE",
                   .help = "the cluster key: for the broker, and asked for at /metrics"});
    own.push_back(
        {.name = "host", .value = "ADDRESS", .fallback = "127.0.0.1", .help = "where it listens"});
    own.push_back({.name = "port",
                   .kind = OptionKind::port,
                   .value = "PORT",
                   .fallback = shape.port,
                   .help = "0 takes any free one"});
    if (!shape.guarded)
        own.push_back({.name = "insecure",
                       .kind = OptionKind::toggle,
                       .help = "listen beyond loopback, where anybody may ask"});
    own.push_back({.name = "metrics-open",
                   .kind = OptionKind::toggle,
                   .help = "answer /metrics without the key"});
    own.push_back({.name = "port-file",
                   .value = "FILE",
                   .help = "where the port is written once it listens",
                   .from_environment = false});
    own.push_back({.name = "boot-plan",
                   .kind = OptionKind::toggle,
                   .help = "start, print what was started when and how long it took, and end",
                   .from_environment = false});
    return with_log_rows(std::move(own));
}

// On the loop alone: the lane's jobs log nothing.
void CountingLog::report(port::MetricSink& sink) const {
    for (std::size_t i = 0; i < counts_.size(); ++i)
        sink.put(port::Metric::log_records_total, counts_[i],
                 {io::to_text(static_cast<port::LogLevel>(i))});
    sink.put(port::Metric::log_lines_lost_total, inner_->lines_lost());
}

void PizzaGround::watch() {
    started = clock->steady();
    metrics.add([this](port::MetricSink& sink) {
        sink.put(port::Metric::build_info, 1.0, {program_version(), "pizza-" + service});
        const Duration up = clock->steady() - started;
        sink.put(port::Metric::uptime_seconds, static_cast<double>(up.count()) * 1e-6);
        sink.put(port::Metric::loop_lag_seconds, lag);
        log->report(sink);
    });
    lag_timer = loop.make();
    look(started);
}

void PizzaGround::look(SteadyTime due) {
    const SteadyTime now = clock->steady();
    if (due != started) lag.observe(now - due);
    lag_timer->set(now + lag_interval, [this, next = now + lag_interval] { look(next); });
}

Result<std::unique_ptr<PizzaGround>> make_pizza_ground(const Options& options,
                                                       const PizzaShape& shape) {
    auto ground = std::make_unique<PizzaGround>();
    ground->service = shape.service;
    ground->shares_store = shape.shares_store;
    ground->clock = io::make_system_clock();
    ground->instance = std::string{shape.service} + "-" +
                       protocol::write_session(io::make_session_id()).substr(0, 8);
    auto log = make_role_log(
        options,
        {.role = "pizza-" + ground->service, .instance = "pizza-" + ground->instance, .file = {}});
    if (!log) return fail(std::move(log));
    ground->log = std::make_unique<CountingLog>(std::move(*log));
    auto key = read_key_file(options.text("key-file"));
    if (!key) return fail(std::move(key));
    ground->key = std::string{key->secret()};
    ground->host = options.text("host");
    ground->port = options.port("port");
    ground->port_file = options.text("port-file");
    ground->metrics_open = options.toggle("metrics-open");
    if (!shape.guarded && !is_loopback(ground->host) && !options.toggle("insecure"))
        return fail(ErrorCode::key_required, "say --insecure: anybody who reaches it may ask");
    ground->watch();
    ground->reload = std::make_unique<SettingsReload>(options, ground->log->inner());
    if (auto listens = ground->reload->listen(ground->loop); !listens)
        return fail(std::move(listens));
    return ground;
}

// ---- parts -------------------------------------------------------------------------------------

void PizzaDoor::Late::handle(port::HttpRequest&& request, port::HttpResponder respond) {
    if (handler != nullptr) return handler->handle(std::move(request), std::move(respond));
    const ErrorRow& row = row_of(ErrorCode::not_ready);
    respond(pizza::problem_of({row.http_status, row.name, row.text, {}, {}, {}, {}, row.retryable},
                              {}));
}

Result<std::unique_ptr<PizzaDoor>> PizzaDoor::make(PizzaGround& ground) {
    raise_open_files(*ground.log);
    std::unique_ptr<PizzaDoor> door{new PizzaDoor};
    io::HttpServerSettings settings;
    settings.host = ground.host;
    settings.port = ground.port;
    door->server_ =
        std::make_unique<io::HttpServer>(ground.loop, settings, door->late_, *ground.log);
    if (auto listening = door->server_->listen(); !listening) return fail(std::move(listening));
    ground.metrics.add([server = door->server_.get()](port::MetricSink& sink) {
        const io::HttpServerStats stats = server->stats();
        sink.put(port::Metric::http_connections, stats.connections);
        sink.put(port::Metric::http_refused_total, stats.refused);
    });
    return door;
}

Result<std::unique_ptr<PizzaStore>> PizzaStore::make(PizzaGround& ground, const Options& options,
                                                     std::span<const char* const> formats) {
    std::unique_ptr<PizzaStore> part{new PizzaStore{ground}};
    const std::string base = options.text("data") + "/" + ground.service;
    if (!ground.shares_store) {
        // Two would tell everything twice, and each would do what the other has begun.
        const auto files = io::make_posix_files();
        if (auto made = files->make_dir(options.text("data")); !made) return fail(std::move(made));
        auto lock = files->lock(base + ".lock");
        if (!lock) return fail(std::move(lock));
        part->lock_ = std::move(*lock);
    }
    auto store = io::SqliteStore::open(base + ".db", formats);
    if (!store) return fail(std::move(store));
    part->store_ = std::move(*store);
    part->http_ = std::make_unique<io::HttpExchange>(ground.loop);
    part->lane_ = std::make_unique<io::Lane>(ground.loop, "store");
    part->desk_ = std::make_unique<pizza::Desk>(*part->store_, *part->lane_);
    part->broker_ =
        std::make_unique<pizza::Broker>(options.text("broker"), ground.key, *part->http_);
    return part;
}

pizza::World PizzaStore::world() {
    return {*desk_,         *broker_,     *http_,           ground_.loop,
            *ground_.clock, *ground_.log, ground_.instance, io::random_seed()};
}

std::unique_ptr<pizza::Front> make_pizza_front(PizzaGround& ground, std::string_view openapi,
                                               pizza::Front::Reasons reasons) {
    if (!reasons) reasons = [] { return std::vector<std::string>{}; };
    return std::make_unique<pizza::Front>(
        pizza::FrontSettings{.role = "pizza-" + ground.service,
                             .metrics_key = ground.metrics_open ? std::string{} : ground.key,
                             .openapi = openapi,
                             .asyncapi = ground.service == "identity" ? std::string_view{}
                                                                      : pizza::events_contract(),
                             .seed = io::random_seed()},
        *ground.clock, ground.metrics, *ground.log, std::move(reasons));
}

Result<void> PizzaAnnouncement::start() {
    const std::string port = std::to_string(door_.port());
    ground_.log->info("listening", {{"host", ground_.host}, {"port", port}});
    if (ground_.port_file.empty()) return {};
    return io::write_private_file(ground_.port_file, port + "\n");
}

int run_pizza(
    const Options& options, const PizzaShape& shape,
    const std::function<void(runtime::Boot&, PizzaGround&, runtime::Handle<PizzaDoor>)>& add) {
    auto made = make_pizza_ground(options, shape);
    if (!made) return report(made.error());
    PizzaGround& ground = **made;
    runtime::BootSettings settings;
    if (options.toggle("boot-plan"))
        settings.plan_only = [](const runtime::BootPlan& plan) {
            std::fputs(to_text(plan).c_str(), stdout);
        };
    runtime::Boot boot{ground.loop, *ground.clock, *ground.log, std::move(settings)};
    auto door = boot.add<PizzaDoor>("door", std::ref(ground));
    add(boot, ground, door);
    return boot.run();
}

}  // namespace taskd::roles
