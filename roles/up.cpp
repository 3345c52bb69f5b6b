// taskd up: everything on this machine. Wiring, and the data directory with its key.
#include "taskd/service/up.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>

#include "client.hpp"
#include "key_file.hpp"
#include "reload.hpp"
#include "role.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/loop.hpp"
#include "taskd/io/posix_files.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/io/processes.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/runtime/boot.hpp"
#include "taskd/web/default_workers.hpp"
#include "up_stores.hpp"

namespace taskd::roles {
namespace {

constexpr std::size_t name_width = 12;

Result<std::vector<service::WorkerEntry>> read_workers(const std::string& path) {
    std::string text{web::default_workers()};
    if (!path.empty()) {
        auto content = io::read_whole_file(path, limits::mebibyte);
        if (!content) return fail(std::move(content));
        text = std::move(*content);
    }
    auto workers = service::parse_worker_list(text);
    if (!workers && !path.empty())
        return fail(workers.error().code, path + ": " + workers.error().detail);
    if (workers) std::erase_if(*workers, [](const auto& worker) { return !worker.enabled; });
    return workers;
}

std::optional<std::uint16_t> read_port(const std::string& path) {
    const auto text = io::read_whole_file(path, 16);
    if (!text) return std::nullopt;
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), port);
    if (error != std::errc{} || *end != '\n' || port == 0) return std::nullopt;
    return port;
}

void print_child_line(std::string_view child, std::string_view line) {
    std::fputs(fmt::format("{:<{}} | {}\n", child, name_width, line).c_str(), stderr);
}

// Notes in the person's own state folder that tell clients where the key lies. Best effort: with
// --data or --key-file a client does without.
class KeyNotes {
  public:
    explicit KeyNotes(std::string key_file) : content_{std::move(key_file) + "\n"} {}
    ~KeyNotes() {
        for (const std::string& path : paths_)
            if (io::read_whole_file(path, limits::header_bytes_max).value_or("") == content_)
                io::remove_file(path);
    }
    KeyNotes(const KeyNotes&) = delete;
    KeyNotes& operator=(const KeyNotes&) = delete;

    void add(const std::string& url) {
        std::string path = key_note_path(url);
        if (!path.empty() && io::write_private_file(path, content_))
            paths_.push_back(std::move(path));
    }

  private:
    std::string content_;
    std::vector<std::string> paths_;
};

std::string node_name() {
    return "up-" + protocol::write_session(SessionId{io::random_seed()}).substr(0, 8);
}

// Those of the folder that are there; a child without one takes none, whatever the environment
// says.
std::map<std::string, std::string, std::less<>> config_files(const std::string& dir) {
    std::map<std::string, std::string, std::less<>> files;
    if (dir.empty()) return files;
    for (const char* role : {"dispatcher", "nameservice", "monitor", "worker", "host"}) {
        const auto path = std::filesystem::path{dir} / (std::string{role} + ".yaml");
        std::error_code error;
        if (std::filesystem::exists(path, error)) files.emplace(role, path.string());
    }
    return files;
}

// What holds for all children, unless their own settings say it: the environment reaches them
// anyway.
std::vector<std::string> log_flags(const Options& options) {
    std::vector<std::string> flags;
    for (const OptionRow& row : with_log_rows({})) {
        const auto source = options.source(row.name);
        if (row.name == "config" || (source != OptionSource::flag && source != OptionSource::file))
            continue;
        flags.push_back("--" + std::string{row.name});
        flags.push_back(options.text(row.name));
    }
    return flags;
}

// As the child reads it: from its flags, its settings file and the environment, which it shares.
Duration drain_timeout_of(const std::vector<std::string>& argv) {
    if (argv[1] != "worker") return limits::drain_timeout;
    const auto options =
        Options::parse(worker_command().page, std::span{argv}.subspan(2), process_sources());
    // What it cannot read it says itself.
    return options ? options->duration("drain-timeout") : limits::drain_timeout;
}

Result<service::UpSettings> read_settings(const Options& options) {
    service::UpSettings settings;
    auto workers = read_workers(options.text("workers"));
    if (!workers) return fail(std::move(workers));
    std::error_code error;
    settings.program = std::filesystem::read_symlink("/proc/self/exe", error);
    settings.data = std::filesystem::absolute(options.text("data"), error).lexically_normal();
    settings.key_file = options.given("key-file")
                            ? std::filesystem::absolute(options.text("key-file"), error).string()
                            : settings.data + "/key";
    settings.workers = std::move(*workers);
    settings.port = options.port("port");
    settings.host = true;
    settings.config_files = config_files(options.text("config-dir"));
    settings.common_flags = log_flags(options);
    settings.drain_timeout_of = drain_timeout_of;
    if (options.given("lease")) settings.lease = options.text("lease");
    return settings;
}

void tell_ready(const service::Up& up, const service::UpSettings& settings, KeyNotes& notes) {
    for (const char* role : {"dispatcher", "nameservice", "monitor", "host"}) {
        if (up.url(role).empty()) continue;
        print_line(fmt::format("{:<{}} {}", role, name_width, up.url(role)));
        notes.add(up.url(role));
    }
    print_line(fmt::format("{:<{}} {}", "data", name_width, settings.data));
    print_line(fmt::format("{:<{}} {}", "key", name_width, settings.key_file));
    std::fflush(stdout);
}

int run(const Options& options) {
    auto read = read_settings(options);
    if (!read) return report(read.error());
    service::UpSettings& settings = *read;
    const auto files = io::make_posix_files();
    if (auto made = files->make_dir(settings.data); !made) return report(made.error());
    const auto lock = files->lock(settings.data + "/up.lock");
    if (!lock) return report(lock.error());
    if (auto made = make_key_file(settings.key_file, io::Readers::owner); !made)
        return report(made.error());
    auto key = read_key_file(settings.key_file);
    if (!key) return report(key.error());
    settings.key = std::move(*key);
    io::remove_file(settings.data + "/endpoints.json");

    io::Loop loop;
    const auto clock = io::make_system_clock();
    std::vector<runtime::PlanStep> steps;
    const auto told = make_bus_and_log(options, *clock, {.role = "up"}, steps);
    if (!told) return report(told.error());
    const auto& log = told->log;
    io::ProcessRunner processes{loop};
    io::HttpExchange http{loop};
    KeyNotes notes{settings.key_file};
    auto booting = boot_settings(options, std::move(steps));
    std::function<Duration()> drain_max;
    // Each child is killed in its time: this is for one that even that does not end.
    booting.ask_drain_timeout = [&] { return drain_max(); };
    runtime::Boot boot{loop, *clock, *log, std::move(booting)};
    boot.context().put(runtime::clock_key, *clock);
    boot.context().put<port::Timers>(runtime::timers_key, loop);
    boot.context().put(runtime::log_key, *log);
    boot.context().put<bus::Publisher>(runtime::bus_key, *told->bus);
    const auto ids = boot.add<runtime::ProcessIds>("pidgen", node_name());
    boot.on_level(ids, level::pidgen);
    const auto registry =
        boot.add<RegistryPart>("registry", settings.data, std::ref(boot.context()));
    boot.on_level(registry, level::registry);
    const auto finder = boot.add<FinderPart>("finder", registry, std::ref(*told->bus));
    boot.on_level(finder, level::finder);
    std::optional<runtime::Handle<ChildrenPart>> up;
    up = boot.add<ChildrenPart>(
        "supervisor", std::ref(boot.context()), std::ref(loop), std::ref(*told->bus), ids, registry,
        settings,
        service::UpPorts{.processes = processes,
                         .http = http,
                         .clock = *clock,
                         .timers = loop,
                         .log = *log,
                         .read_port = read_port,
                         .remove = io::remove_file,
                         .write = io::write_private_file,
                         .print = print_child_line},
        std::function{[&] { tell_ready(boot.get(*up).children(), settings, notes); }},
        std::function{[&](int status) { loop.post([&boot, status] { boot.shutdown(status); }); }});
    boot.on_level(*up, level::supervisor);
    drain_max = [&] { return boot.get(*up).children().drain_max(); };
    const auto lifecycle =
        boot.add<EntriesPart>("lifecycle", std::ref(boot.context()), std::ref(loop), std::ref(http),
                              settings.key, registry, *up);
    boot.on_level(lifecycle, level::lifecycle);
    boot.add<StoresPart>("stores", settings.data, std::ref(boot.context()), registry, lifecycle);
    // Children take the same signals the same way.
    SettingsReload reload{options, *told->process_log};
    const auto pass_on = [&](int number) { boot.get(*up).children().pass_on(number); };
    if (auto listens = reload.listen(loop, pass_on); !listens) return report(listens.error());
    const int status = boot.run();
    io::remove_file(settings.data + "/endpoints.json");
    return status;
}

}  // namespace

const Command& up_command() {
    static const Command command{
        {.name = "up",
         .arguments = {},
         .summary = "start everything on this machine and look after it",
         .text =
             "Dispatcher, name service, monitor, one worker of each type and a host of programs, "
             "as child\nprocesses on loopback. PORT is the dispatcher's; then come name service, "
             "monitor, workers and\nthe host. DIR/endpoints.json\ntells all addresses as soon as "
             "all "
             "are ready. A child that dies is started again on its port. On SIGHUP each reads "
             "its own\nsettings file again.",
         .options = with_log_rows(with_boot_rows(
             {{.name = "data",
               .value = "DIR",
               .fallback = "taskd-data",
               .help = "everything that lasts, and the cluster key"},
              {.name = "port",
               .kind = OptionKind::port,
               .value = "PORT",
               .fallback = "4000",
               .help = "the first of consecutive ports; 0 takes free ones"},
              {.name = "workers",
               .value = "FILE",
               .help = "list of workers in place of the built-in config/workers.json"},
              {.name = "key-file", .value = "FILE", .help = "the cluster key in place of DIR/key"},
              {.name = "lease",
               .kind = OptionKind::duration,
               .value = "DURATION",
               .help = "how long a silent worker keeps a task"},
              {.name = "config-dir",
               .value = "DIR",
               .help = "settings of the roles: dispatcher.yaml, worker.yaml and so on"}})),
         .kind = PageKind::role,
         .examples = {{"taskd up", "everything, data under ./taskd-data"},
                      {"taskd up --data /tmp/first --port 0", "on free ports"},
                      {"taskd up --config-dir /etc/taskd", "each role with its settings file"}}},
        run};
    return command;
}

}  // namespace taskd::roles
