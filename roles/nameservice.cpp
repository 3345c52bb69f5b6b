// The name service role. Wiring only: what a registration is stands in service/name_service.
#include "taskd/service/name_service.hpp"

#include <fmt/format.h>

#include "door.hpp"
#include "taskd/base/duration_text.hpp"
#include "taskd/io/lane.hpp"
#include "taskd/io/posix_files.hpp"
#include "taskd/runtime/boot.hpp"

namespace taskd::roles {
namespace {

class NameServicePart {
  public:
    NameServicePart(Ground& ground, Door& door, const Options& options)
        : door_{door},
          files_{io::make_posix_files()},
          lane_{ground.loop, "registry"},
          service_{
              {options.text("data"), options.duration("heartbeat"), options.duration("expiry")},
              *files_,
              lane_,
              *ground.clock,
              ground.loop,
              *ground.log},
          front_{ground.key, "nameservice", [this] { return not_ready(); }, ground.front_watch()} {
        service_.add_routes(front_);
        ground.metrics.add([this](port::MetricSink& sink) { service_.report(sink); });
    }

    Result<void> start() {
        if (auto loaded = service_.load(); !loaded) return loaded;
        door_.open(front_);
        return {};
    }
    void drain(std::function<void()> done) {
        draining_ = true;
        service_.let_go();
        done();
    }

  private:
    std::optional<service::NotReady> not_ready() const {
        if (draining_) return service::NotReady{ErrorCode::shutting_down, {}};
        return std::nullopt;
    }

    Door& door_;
    std::unique_ptr<port::Files> files_;
    io::Lane lane_;
    service::NameService service_;
    service::HttpFront front_;
    bool draining_ = false;
};

// Two heartbeats may be lost before somebody who lives is forgotten.
Result<void> check_times(const Options& options) {
    const Duration heartbeat = options.duration("heartbeat");
    const Duration expiry = options.duration("expiry");
    if (expiry / 3 >= heartbeat) return {};
    return fail(ErrorCode::bad_usage, fmt::format("--expiry {} is below three times --heartbeat {}",
                                                  to_text(expiry), to_text(heartbeat)));
}

int run(const Options& options) {
    if (auto checked = check_times(options); !checked) return report(checked.error());
    auto made = make_ground(options, {.role = "nameservice"});
    if (!made) return report(made.error());
    Ground& ground = **made;
    runtime::Boot boot{ground.loop, *ground.clock, *ground.log,
                       boot_settings(options, ground.steps)};
    auto door = boot.add<Door>("door", std::ref(ground), Speaks::http);
    auto service =
        boot.add<NameServicePart>("nameservice", std::ref(ground), door, std::cref(options));
    boot.add<Announcement>("announcement", std::ref(ground), door, service);
    return boot.run();
}

}  // namespace

const Command& nameservice_command() {
    static const Command command{
        {.name = "nameservice",
         .arguments = "",
         .summary = "know which workers there are and where",
         .text = {},
         .options = with_role_rows(
             {{.name = "data",
               .value = "DIR",
               .fallback = "taskd-data/nameservice",
               .help = "where registry.json lies"},
              {.name = "heartbeat",
               .kind = OptionKind::duration,
               .value = "TIME",
               .fallback = "10s",
               .help = "how often instances say they live",
               .least = 100'000},
              {.name = "expiry",
               .kind = OptionKind::duration,
               .value = "TIME",
               .fallback = "30s",
               .help = "after which silence one is forgotten; three heartbeats at least",
               .least = 300'000}},
             "5001"),
         .kind = PageKind::role,
         .examples = {{"taskd nameservice --data /var/lib/taskd/nameservice", "on port 5001"},
                      {"taskd nameservice --config /etc/taskd/nameservice.yaml",
                       "as the file says"}}},
        run};
    return command;
}

}  // namespace taskd::roles
