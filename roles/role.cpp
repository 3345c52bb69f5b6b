#include "role.hpp"

#include <unistd.h>

#include "door.hpp"
#include "formats.hpp"
#include "key_file.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/log.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/runtime/bus_log.hpp"

namespace taskd::roles {
namespace {

// Notes how long each step took, one behind the other.
class Steps {
  public:
    Steps(const port::Clock& clock, std::vector<runtime::PlanStep>& steps)
        : clock_{clock}, steps_{steps}, begin_{clock.steady()} {}
    void done(std::string name) {
        const SteadyTime end = clock_.steady();
        steps_.push_back({std::move(name), end - std::exchange(begin_, end)});
    }

  private:
    const port::Clock& clock_;
    std::vector<runtime::PlanStep>& steps_;
    SteadyTime begin_;
};

bool is_loopback(std::string_view host) {
    return host == "localhost" || host == "::1" || host.starts_with("127.");
}

}  // namespace

std::vector<OptionRow> with_role_rows(std::vector<OptionRow> own, std::string_view port) {
    const OptionRow shared[] = {
        {.name = "host", .value = "ADDRESS", .fallback = "127.0.0.1", .help = "where it listens"},
        {.name = "port",
         .kind = OptionKind::port,
         .value = "PORT",
         .fallback = port,
         .help = "0 takes any free one"},
        {.name = "listen",
         .value = "unix:FILE",
         .help = "HTTP on a Unix socket as well, for its owner alone"},
        {.name = "key-file", .value = "FILE", .help = "the cluster key that guards HTTP and UDP"},
        {.name = "insecure",
         .kind = OptionKind::toggle,
         .help = "listen beyond loopback without a key"},
        {.name = "metrics-open",
         .kind = OptionKind::toggle,
         .help = "answer /metrics without the key"},
        {.name = "port-file",
         .value = "FILE",
         .help = "where the port is written once the role listens",
         .from_environment = false},
    };
    own.insert(own.end(), std::begin(shared), std::end(shared));
    return with_log_rows(with_boot_rows(std::move(own)));
}

std::vector<OptionRow> with_boot_rows(std::vector<OptionRow> own) {
    own.push_back({.name = "boot-plan",
                   .kind = OptionKind::toggle,
                   .help = "start, print what was started when and how long it took, and end",
                   .from_environment = false});
    return own;
}

runtime::BootSettings boot_settings(const Options& options, std::vector<runtime::PlanStep> steps) {
    runtime::BootSettings settings;
    settings.infrastructure = std::move(steps);
    settings.own_level = level::own;
    if (options.toggle("boot-plan"))
        settings.plan_only = [](const runtime::BootPlan& plan) {
            std::fputs(to_text(plan).c_str(), stdout);
        };
    return settings;
}

Result<BusAndLog> make_bus_and_log(const Options& options, const port::Clock& clock, LogName name,
                                   std::vector<runtime::PlanStep>& steps) {
    BusAndLog made;
    Steps step{clock, steps};
    made.bus = std::make_unique<runtime::EventBus>(clock);
    step.done("event bus");
    auto log = make_role_log(options, std::move(name));
    if (!log) return fail(std::move(log));
    made.process_log = std::move(*log);
    made.log = std::make_unique<runtime::BusLog>(*made.process_log, *made.bus);
    step.done("log");
    transcoder();
    step.done("transcoder");
    return made;
}

bool Ground::is_public() const {
    return !is_loopback(host);
}

service::FrontWatch Ground::front_watch() {
    return {log.get(), clock.get(), io::random_seed(), &metrics, metrics_open, is_public()};
}

std::function<void(const Error&)> Ground::lost_disk() {
    return [this](const Error& error) {
        log->error("the disk failed, leaving", {{"error", error.to_string()}});
        ::_exit(row_of(error.code).exit_code);
    };
}

Result<void> Ground::read(const Options& options) {
    auto read_key = read_key_file(options.text("key-file"));
    if (!read_key) return fail(std::move(read_key));
    key = std::move(*read_key);
    host = options.text("host");
    port = options.port("port");
    listen = options.text("listen");
    if (!listen.empty() && !listen.starts_with("unix:/"))
        return fail(ErrorCode::bad_usage, "--listen takes unix:/PATH");
    port_file = options.text("port-file");
    if (!is_loopback(host) && key.empty() && !options.toggle("insecure"))
        return fail(ErrorCode::key_required, "give --key-file, or --insecure to do without");
    metrics_open = options.toggle("metrics-open");
    return {};
}

Result<void> Ground::watch() {
    vitals = std::make_unique<service::Vitals>(std::string{program_version()}, role, *clock, loop);
    auto subscribed = bus->subscribe(
        "log.*", [this](std::function<void()> job) { loop.post_from_any_thread(std::move(job)); },
        [this](const bus::Delivery& each) { log_figures.take(each); });
    if (!subscribed) return fail(std::move(subscribed));
    log_subscription = std::move(*subscribed);
    metrics.add([this](port::MetricSink& sink) {
        vitals->report(sink);
        log_figures.report(sink);
        sink.put(port::Metric::log_lines_lost_total, process_log->lines_lost());
        const runtime::BusCounts counts = bus->counts();
        sink.put(port::Metric::bus_events_total, counts.published);
        sink.put(port::Metric::bus_events_lost_total, counts.lost + counts.lost_at_door);
        sink.put(port::Metric::bus_subscribers, counts.subscribers);
    });
    vitals->start();
    return {};
}

Result<std::unique_ptr<Ground>> make_ground(const Options& options, LogName name) {
    auto ground = std::make_unique<Ground>();
    ground->role = name.role;
    ground->clock = io::make_system_clock();
    auto told = make_bus_and_log(options, *ground->clock, std::move(name), ground->steps);
    if (!told) return fail(std::move(told));
    ground->bus = std::move(told->bus);
    ground->process_log = std::move(told->process_log);
    ground->log = std::move(told->log);
    Steps step{*ground->clock, ground->steps};
    if (auto read = ground->read(options); !read) return fail(std::move(read));
    step.done("key");
    if (auto watched = ground->watch(); !watched) return fail(std::move(watched));
    step.done("figures");
    ground->reload = std::make_unique<SettingsReload>(options, *ground->process_log);
    if (auto listens = ground->reload->listen(ground->loop); !listens)
        return fail(std::move(listens));
    step.done("signals");
    return ground;
}

Result<void> Announcement::start() {
    const std::string port = std::to_string(door_.port());
    ground_.log->info("listening", {{"host", ground_.host}, {"port", port}});
    if (ground_.port_file.empty()) return {};
    return io::write_private_file(ground_.port_file, port + "\n");
}

}  // namespace taskd::roles
