// The monitor role. Wiring only: what it shows is in src/service/monitor.
#include "taskd/service/monitor.hpp"

#include "command.hpp"
#include "role.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/http_server.hpp"
#include "taskd/io/loop.hpp"
#include "taskd/runtime/boot.hpp"
#include "taskd/web/monitor_page.hpp"

namespace taskd::roles {
namespace {

class MonitorFront : public service::HttpFront {
  public:
    MonitorFront(protocol::ClusterKey key, const runtime::Boot& boot, service::Monitor& monitor)
        : HttpFront{std::move(key), "monitor", [&boot]() -> std::optional<service::NotReady> {
                        if (boot.ready()) return std::nullopt;
                        return service::NotReady{ErrorCode::shutting_down, {}};
                    }} {
        monitor.add_routes(*this);
    }
};

int run(const Options& options) {
    auto role = read_role(options, "monitor");
    if (!role) return report(role.error());
    service::MonitorSettings settings;
    settings.dispatcher_url = options.text("dispatcher");
    settings.nameservice_url = options.text("nameservice");
    settings.key = role->key;

    io::Loop loop;
    const auto clock = io::make_system_clock();
    port::Log& log = *role->log;
    runtime::Boot boot{loop, *clock, log};
    const auto http = boot.add<io::HttpExchange>("http client", std::ref(loop));
    const auto monitor =
        boot.add<service::Monitor>("monitor", std::move(settings), web::monitor_page(), http,
                                   std::ref(*clock), std::ref(loop), std::ref(log));
    const auto front = boot.add<MonitorFront>("routes", role->key, std::ref(boot), monitor);
    const auto server = boot.add<io::HttpServer>(
        "http", std::ref(loop), io::HttpServerSettings{.host = role->host, .port = role->port},
        front, std::ref(log));
    boot.add<PortFile>("port file", role->port_file, [&] { return boot.get(server).port(); });
    return boot.run();
}

}  // namespace

const Command& monitor_command() {
    static const Command command{{.name = "monitor",
                                  .arguments = {},
                                  .summary = "serve the page that shows how all of it stands",
                                  .text = {},
                                  .options = with_role_rows({{.name = "dispatcher",
                                                              .value = "URL",
                                                              .fallback = "http://127.0.0.1:4000",
                                                              .help = "the dispatcher to watch"},
                                                             {.name = "nameservice",
                                                              .value = "URL",
                                                              .fallback = "http://127.0.0.1:5001",
                                                              .help = "the name service to watch"}},
                                                            "8080")},
                                 run};
    return command;
}

}  // namespace taskd::roles
