// The monitor role. Wiring only: what it shows is in src/service/monitor.
#include "taskd/service/monitor.hpp"

#include "door.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/runtime/boot.hpp"
#include "taskd/web/monitor_page.hpp"

namespace taskd::roles {
namespace {

class MonitorPart {
  public:
    MonitorPart(Ground& ground, Door& door, service::MonitorSettings settings)
        : door_{door},
          http_{ground.loop},
          service_{std::move(settings), web::monitor_page(), http_,
                   *ground.clock,       ground.loop,         *ground.log},
          front_{ground.key, "monitor", [this] { return not_ready(); }, ground.front_watch()} {
        service_.add_routes(front_);
        ground.metrics.add([this](port::MetricSink& sink) { service_.report(sink); });
    }

    Result<void> start() {
        door_.open(front_);
        return service_.start();
    }
    void drain(std::function<void()> done) {
        draining_ = true;
        done();
    }
    void stop() { http_.stop(); }

  private:
    std::optional<service::NotReady> not_ready() const {
        if (draining_) return service::NotReady{ErrorCode::shutting_down, {}};
        return std::nullopt;
    }

    Door& door_;
    io::HttpExchange http_;
    service::Monitor service_;
    service::HttpFront front_;
    bool draining_ = false;
};

int run(const Options& options) {
    auto made = make_ground(options, {.role = "monitor"});
    if (!made) return report(made.error());
    Ground& ground = **made;
    service::MonitorSettings settings;
    settings.dispatcher_url = options.text("dispatcher");
    settings.nameservice_url = options.text("nameservice");
    settings.key = ground.key;
    if (const std::string& path = options.text("container-socket"); path != "none")
        settings.container_socket = path;
    runtime::Boot boot{ground.loop, *ground.clock, *ground.log,
                       boot_settings(options, ground.steps)};
    auto door = boot.add<Door>("door", std::ref(ground), Speaks::http);
    auto monitor = boot.add<MonitorPart>("monitor", std::ref(ground), door, std::move(settings));
    boot.add<Announcement>("announcement", std::ref(ground), door, monitor);
    return boot.run();
}

}  // namespace

const Command& monitor_command() {
    static const Command command{
        {.name = "monitor",
         .arguments = {},
         .summary = "serve the page that shows how all of it stands",
         .text = {},
         .options =
             with_role_rows({{.name = "dispatcher",
                              .value = "URL",
                              .fallback = "http://127.0.0.1:4000",
                              .help = "the dispatcher to watch"},
                             {.name = "nameservice",
                              .value = "URL",
                              .fallback = "http://127.0.0.1:5001",
                              .help = "the name service to watch"},
                             {.name = "container-socket",
                              .value = "PATH",
                              .fallback = "/var/run/docker.sock",
                              .help = "the container engine's API to watch; none to leave it"}},
                            "8080"),
         .kind = PageKind::role,
         .examples = {{"taskd monitor", "http://127.0.0.1:8080"},
                      {"taskd monitor --dispatcher http://10.0.0.5:4000", "of another machine"}}},
        run};
    return command;
}

}  // namespace taskd::roles
