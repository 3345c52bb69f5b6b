#include "role.hpp"

#include <unistd.h>

#include "door.hpp"
#include "key_file.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/log.hpp"
#include "taskd/io/private_files.hpp"

namespace taskd::roles {
namespace {

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
    return with_log_rows(std::move(own));
}

service::FrontWatch Ground::front_watch() {
    return {log.get(), clock.get(), io::random_seed(), &metrics, metrics_open};
}

std::function<void(const Error&)> Ground::lost_disk() {
    return [this](const Error& error) {
        log->error("the disk failed, leaving", {{"error", error.to_string()}});
        ::_exit(row_of(error.code).exit_code);
    };
}

Result<std::unique_ptr<Ground>> make_ground(const Options& options, LogName name) {
    auto ground = std::make_unique<Ground>();
    ground->role = name.role;
    ground->clock = io::make_system_clock();
    auto log = make_role_log(options, std::move(name));
    if (!log) return fail(std::move(log));
    ground->log = std::move(*log);
    auto key = read_key_file(options.text("key-file"));
    if (!key) return fail(std::move(key));
    ground->key = std::move(*key);
    ground->host = options.text("host");
    ground->port = options.port("port");
    ground->listen = options.text("listen");
    if (!ground->listen.empty() && !ground->listen.starts_with("unix:/"))
        return fail(ErrorCode::bad_usage, "--listen takes unix:/PATH");
    ground->port_file = options.text("port-file");
    if (!is_loopback(ground->host) && ground->key.empty() && !options.toggle("insecure"))
        return fail(ErrorCode::key_required, "give --key-file, or --insecure to do without");
    ground->metrics_open = options.toggle("metrics-open");
    ground->vitals = std::make_unique<service::Vitals>(std::string{program_version()}, ground->role,
                                                       *ground->clock, ground->loop);
    ground->metrics.add([raw = ground.get()](port::MetricSink& sink) {
        raw->vitals->report(sink);
        sink.put(port::Metric::log_lines_lost_total, raw->log->lines_lost());
    });
    ground->vitals->start();
    ground->reload = std::make_unique<SettingsReload>(options, *ground->log);
    if (auto listens = ground->reload->listen(ground->loop); !listens)
        return fail(std::move(listens));
    return ground;
}

Result<void> Announcement::start() {
    const std::string port = std::to_string(door_.port());
    ground_.log->info("listening", {{"host", ground_.host}, {"port", port}});
    if (ground_.port_file.empty()) return {};
    return io::write_private_file(ground_.port_file, port + "\n");
}

}  // namespace taskd::roles
