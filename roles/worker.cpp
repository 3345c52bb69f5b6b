// The worker role. Wiring only: how leases are run is in service/worker, the types are in src/work.
#include "taskd/service/worker.hpp"

#include <fmt/format.h>

#include "door.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/lane.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/runtime/boot.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::roles {
namespace {

class WorkerPart {
  public:
    WorkerPart(Ground& ground, Door& door, const work::WorkType& type,
               const service::WorkerSettings& settings)
        : http_{ground.loop},
          lane_{ground.loop, "work"},
          service_{with_port(settings, door),
                   type,
                   {door.udp(), http_, lane_, *ground.clock, ground.loop, *ground.log}},
          front_{ground.key, "worker", [this] { return not_ready(); }, ground.front_watch()} {
        door.open(front_);
        ground.metrics.add([this](port::MetricSink& sink) { service_.report(sink); });
    }

    void drain(std::function<void()> done) {
        draining_ = true;
        service_.drain(std::move(done));
    }
    void stop() { http_.stop(); }

  private:
    static service::WorkerSettings with_port(service::WorkerSettings settings, const Door& door) {
        settings.registration.port = door.port();
        return settings;
    }
    std::optional<service::NotReady> not_ready() const {
        if (draining_) return service::NotReady{ErrorCode::shutting_down, {}};
        if (service_.registered()) return std::nullopt;
        return service::NotReady{ErrorCode::not_ready, {"the name service has not answered"}};
    }

    io::HttpExchange http_;
    io::Lane lane_;
    service::Worker service_;
    service::HttpFront front_;
    bool draining_ = false;
};

std::string known_types() {
    std::string names;
    for (const work::WorkType& type : work::work_table())
        names += (names.empty() ? "" : ", ") + std::string{type.name};
    return names;
}

// Where others reach a worker: as told, else where it listens; at any address at all the name
// service takes the one it is spoken to from.
std::string advertised(const Options& options, const std::string& host) {
    if (options.given("advertise")) return options.text("advertise");
    return host == "0.0.0.0" || host == "::" ? "" : host;
}

int run(const Options& options) {
    const std::string& name = options.positional().front();
    const work::WorkType* type = work::find_work(work::work_table(), name);
    if (type == nullptr)
        return report(
            {ErrorCode::unknown_type, fmt::format("'{}' is none of {}", name, known_types())});
    const SessionId session{io::random_seed() | 1};
    service::WorkerSettings settings;
    const std::string& shown = options.given("name") ? options.text("name") : name;
    settings.registration.instance =
        fmt::format("{}-{}", shown, protocol::write_session(session).substr(0, 8));
    if (!is_instance_name(settings.registration.instance))
        return report({ErrorCode::bad_usage, "--name takes letters, digits, '.', '_' and '-'"});
    auto made = make_ground(
        options, {.role = "worker", .instance = settings.registration.instance, .file = shown});
    if (!made) return report(made.error());
    Ground& ground = **made;
    settings.registration.session = session;
    settings.registration.type = name;
    settings.registration.host = advertised(options, ground.host);
    settings.registration.concurrency = static_cast<std::uint32_t>(options.number("concurrency"));
    settings.nameservice_url = options.text("nameservice");
    settings.key = ground.key;
    settings.heartbeat = options.duration("heartbeat");
    runtime::Boot boot{ground.loop, *ground.clock, *ground.log};
    auto door = boot.add<Door>("door", std::ref(ground));
    auto worker =
        boot.add<WorkerPart>("worker", std::ref(ground), door, std::cref(*type), settings);
    boot.add<Announcement>("announcement", std::ref(ground), door, worker);
    return boot.run();
}

}  // namespace

const Command& worker_command() {
    static const std::string text = "TYPE is one of " + known_types() + ".";
    static const Command command{
        {.name = "worker",
         .arguments = "TYPE",
         .summary = "run tasks of one type",
         .text = text,
         .options = with_role_rows(
             {{.name = "nameservice",
               .value = "URL",
               .fallback = "http://127.0.0.1:5001",
               .help = "where it registers"},
              {.name = "concurrency",
               .kind = OptionKind::number,
               .value = "N",
               .fallback = "64",
               .help = "how many tasks at a time",
               .least = 1,
               .most = 10'000},
              {.name = "name", .value = "NAME", .help = "first part of its instance name"},
              {.name = "advertise", .value = "HOST", .help = "where the dispatcher reaches it"},
              {.name = "heartbeat",
               .kind = OptionKind::duration,
               .value = "TIME",
               .fallback = "10s",
               .help = "how often it renews its registration",
               .least = 100'000}},
             "6000"),
         .positional_min = 1,
         .positional_max = 1,
         .kind = PageKind::role,
         .examples = {{"taskd worker sum --port 0", "on a free port"},
                      {"taskd worker hash --concurrency 8 --name hash-a", "eight at a time"}},
         .words = type_names()},
        run};
    return command;
}

}  // namespace taskd::roles
