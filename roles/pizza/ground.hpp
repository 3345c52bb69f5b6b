// What the services of the pizza platform share: their options, log, figures, door and store. They
// use what any program of others could use, nothing of the engine and the roles' services.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "command.hpp"
#include "reload.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/http_server.hpp"
#include "taskd/io/lane.hpp"
#include "taskd/io/log.hpp"
#include "taskd/io/loop.hpp"
#include "taskd/io/memory.hpp"
#include "taskd/io/posix_files.hpp"
#include "taskd/io/prometheus_metrics.hpp"
#include "taskd/pizza/broker.hpp"
#include "taskd/pizza/desk.hpp"
#include "taskd/pizza/front.hpp"
#include "taskd/pizza/service.hpp"
#include "taskd/runtime/boot.hpp"

namespace taskd::roles {

struct PizzaShape {
    std::string_view service;   // "order"
    std::string_view port;      // unless said
    bool has_store = true;      // and a broker that is told of it
    bool shares_store = false;  // with others of its kind
    bool guarded = false;       // it asks for a credential itself, so it may listen anywhere
};

// The rows of `own`, then those that such a service has.
std::vector<OptionRow> with_pizza_rows(std::vector<OptionRow> own, const PizzaShape& shape);

// A log that counts what it is given, by level.
class CountingLog final : public port::Log {
  public:
    explicit CountingLog(std::unique_ptr<io::ProcessLog> inner) : inner_{std::move(inner)} {}
    bool takes(port::LogLevel level) const override { return inner_->takes(level); }
    void write(port::LogLevel level, std::string_view message,
               std::initializer_list<port::LogField> fields) override {
        if (takes(level)) ++counts_[static_cast<std::size_t>(level)];
        inner_->write(level, message, fields);
    }
    void report(port::MetricSink& sink) const;
    io::ProcessLog& inner() { return *inner_; }

  private:
    std::unique_ptr<io::ProcessLog> inner_;
    std::array<std::uint64_t, 5> counts_{};
};

// The ground a service stands on; it outlives everything the service makes.
struct PizzaGround {
    std::string service;
    std::string instance;
    bool shares_store = false;
    io::Loop loop;
    io::MemoryTrimmer trimmer{loop};
    std::unique_ptr<port::Clock> clock;
    io::PrometheusMetrics metrics;
    std::unique_ptr<CountingLog> log;
    std::string key;  // the cluster key: for the broker, and for /metrics
    std::string host;
    std::uint16_t port = 0;
    std::string port_file;
    bool metrics_open = false;
    std::unique_ptr<SettingsReload> reload;
    SteadyTime started{};
    port::Histogram lag{port::MetricKind::seconds};
    std::unique_ptr<port::Timer> lag_timer;

    void watch();  // figures every role has

  private:
    void look(SteadyTime due);
};
Result<std::unique_ptr<PizzaGround>> make_pizza_ground(const Options& options,
                                                       const PizzaShape& shape);

// Component: the port, bound when it is made, so that one in use ends the service before it touches
// its store. Requests are not ready until somebody answers them.
class PizzaDoor {
  public:
    static Result<std::unique_ptr<PizzaDoor>> make(PizzaGround& ground);
    void open(port::HttpHandler& handler) { late_.handler = &handler; }
    std::uint16_t port() const { return server_->port(); }
    void drain(std::function<void()> done) { server_->drain(std::move(done)); }
    void stop() { server_->stop(); }

  private:
    struct Late final : port::HttpHandler {
        void handle(port::HttpRequest&& request, port::HttpResponder respond) override;
        port::HttpHandler* handler = nullptr;
    };
    PizzaDoor() = default;
    Late late_;
    std::unique_ptr<io::HttpServer> server_;
};

// Component: the store with its lane, the way to others.
class PizzaStore {
  public:
    static Result<std::unique_ptr<PizzaStore>> make(PizzaGround& ground, const Options& options,
                                                    std::span<const char* const> formats);
    pizza::World world();
    io::HttpExchange& http() { return *http_; }
    void stop() { http_->stop(); }

  private:
    explicit PizzaStore(PizzaGround& ground) : ground_{ground} {}

    PizzaGround& ground_;
    std::unique_ptr<io::HttpExchange> http_;
    std::unique_ptr<port::FileLock> lock_;
    std::unique_ptr<io::SqliteStore> store_;
    std::unique_ptr<io::Lane> lane_;  // goes before the store
    std::unique_ptr<pizza::Desk> desk_;
    std::unique_ptr<pizza::Broker> broker_;
};

std::unique_ptr<pizza::Front> make_pizza_front(PizzaGround& ground, std::string_view openapi,
                                               pizza::Front::Reasons reasons = {});

// Component that says where the service listens, once everything it is given has started.
class PizzaAnnouncement {
  public:
    template <class... Parts>
    PizzaAnnouncement(PizzaGround& ground, const PizzaDoor& door, const Parts&...)
        : ground_{ground}, door_{door} {}
    Result<void> start();

  private:
    PizzaGround& ground_;
    const PizzaDoor& door_;
};

// Makes ground, door and `add`'s parts, and runs until a signal; the exit code.
int run_pizza(
    const Options& options, const PizzaShape& shape,
    const std::function<void(runtime::Boot&, PizzaGround&, runtime::Handle<PizzaDoor>)>& add);

}  // namespace taskd::roles
