// The worker role. Wiring only: how leases are run is in service/worker, the types are in src/work.
#include "taskd/service/worker.hpp"

#include <fmt/format.h>

#include "door.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/lane.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/runtime/boot.hpp"
#include "taskd/service/contract_runner.hpp"
#include "taskd/service/http_front.hpp"
#include "taskd/service/worker_list.hpp"
#include "worker_kind.hpp"

namespace taskd::roles {
namespace {

using ContractOfTasks = std::optional<service::ContractResults>;

Result<ContractOfTasks> read_contract(const std::string& path) {
    if (path.empty()) return std::nullopt;
    const auto text = io::read_whole_file(path, limits::body_bytes_max);
    if (!text) return std::unexpected{text.error()};
    auto made = service::ContractResults::parse(*text);
    if (!made) return fail(made.error().code, path + ": " + made.error().detail);
    return std::move(*made);
}

class WorkerPart {
  public:
    static Result<std::unique_ptr<WorkerPart>> make(Ground& ground, Door& door,
                                                    runtime::ProcessIds& ids, WorkerKind& kind,
                                                    const service::WorkerSettings& settings,
                                                    const ContractOfTasks& contract) {
        std::unique_ptr<WorkerPart> part{new WorkerPart{ground, kind}};
        auto runner = kind.make_runner({ground, part->calls_, part->lane_, ids},
                                       settings.registration.instance);
        if (!runner) return std::unexpected{runner.error()};
        part->runner_ = std::move(*runner);
        if (contract)
            part->runner_ =
                std::make_unique<service::ContractRunner>(std::move(part->runner_), *contract);
        part->begin(ground, door, settings);
        return part;
    }

    void drain(std::function<void()> done) {
        draining_ = true;
        service_->drain(std::move(done));
    }
    void stop() {
        calls_.stop();
        http_.stop();
    }

  private:
    WorkerPart(Ground& ground, const WorkerKind& kind)
        : http_{ground.loop},
          calls_{ground.loop, kind.calls},
          lane_{ground.loop, "work"},
          front_{ground.key, "worker", [this] { return not_ready(); }, ground.front_watch()} {}

    void begin(Ground& ground, Door& door, service::WorkerSettings settings) {
        settings.registration.port = door.port();
        service_ = std::make_unique<service::Worker>(
            std::move(settings), *runner_,
            service::WorkerPorts{door.udp(), http_, *ground.clock, ground.loop, *ground.log});
        door.open(front_);
        ground.metrics.add([this](port::MetricSink& sink) { service_->report(sink); });
    }
    std::optional<service::NotReady> not_ready() const {
        if (draining_) return service::NotReady{ErrorCode::shutting_down, {}};
        if (!service_->registered())
            return service::NotReady{ErrorCode::not_ready, {"the name service has not answered"}};
        if (service_->resting())
            return service::NotReady{ErrorCode::not_ready, {"tasks cannot be begun"}};
        return std::nullopt;
    }

    io::HttpExchange http_;   // of the worker itself: no task keeps it waiting
    io::HttpExchange calls_;  // of its tasks
    io::Lane lane_;
    std::unique_ptr<service::TaskRunner> runner_;
    std::unique_ptr<service::Worker> service_;
    service::HttpFront front_;
    bool draining_ = false;
};

std::string advertised(const Options& options, const std::string& host) {
    if (options.given("advertise")) return options.text("advertise");
    return reached_at(host);
}

// Early enough for programs to end in their own way and for the dispatcher to know it.
Duration give_back_after(const Options& options, const WorkerKind& kind) {
    constexpr Duration handing_over = std::chrono::seconds{5};
    const Duration all = options.duration("drain-timeout");
    const Duration grace = kind.name == "exec" ? options.duration("grace") : Duration{0};
    return std::max<Duration>(all - grace - handing_over, all / 4);
}

std::vector<std::string_view> worker_words() {
    auto words = type_names();
    words.insert(words.end(), {"exec", "http", "lua"});
    return words;
}

int run(const Options& options) {
    auto kind = read_kind(options);
    if (!kind) return report(kind.error());
    const auto contract = read_contract(options.text("contract"));
    if (!contract) return report(contract.error());
    const SessionId session{io::random_seed() | 1};
    service::WorkerSettings settings;
    const std::string shown =
        options.given("name") ? options.text("name") : service::worker_name(kind->type);
    settings.registration.instance =
        fmt::format("{}-{}", shown, protocol::write_session(session).substr(0, 8));
    if (!is_instance_name(settings.registration.instance))
        return report({ErrorCode::bad_usage, "--name takes letters, digits, '.', '_' and '-'"});
    auto made = make_ground(
        options, {.role = "worker", .instance = settings.registration.instance, .file = shown});
    if (!made) return report(made.error());
    Ground& ground = **made;
    settings.registration.session = session;
    settings.registration.type = kind->type;
    settings.registration.host = advertised(options, ground.host);
    settings.registration.concurrency =
        options.given("concurrency") ? static_cast<std::uint32_t>(options.number("concurrency"))
                                     : kind->concurrency;
    settings.nameservice_url = options.text("nameservice");
    settings.key = ground.key;
    settings.heartbeat = options.duration("heartbeat");
    auto booting = boot_settings(options, ground.steps);
    booting.drain_timeout = options.duration("drain-timeout");
    settings.give_back_after = give_back_after(options, *kind);
    runtime::Boot boot{ground.loop, *ground.clock, *ground.log, std::move(booting)};
    auto door = boot.add<Door>("door", std::ref(ground));
    auto ids = boot.add<runtime::ProcessIds>("pidgen", settings.registration.instance);
    boot.on_level(ids, level::pidgen);
    auto worker = boot.add<WorkerPart>("worker", std::ref(ground), door, ids, std::ref(*kind),
                                       settings, *contract);
    boot.add<Announcement>("announcement", std::ref(ground), door, worker);
    return boot.run();
}

}  // namespace

const Command& worker_command() {
    static const std::string text =
        "TYPE is one of " + known_types() +
        ". With exec it starts PROGRAM for each task: the payload on its standard input, the "
        "result "
        "on its standard output, standard error in the task's log. With http it posts each task to "
        "a service. With lua it calls a function of a sandboxed program.";
    static const Command command{
        {.name = "worker",
         .arguments = "TYPE | exec --type TYPE -- PROGRAM [ARG…] | http --type TYPE --url URL | "
                      "lua --type TYPE "
                      "--source FILE",
         .summary = "run tasks of one type, by what is built in, a program or a service",
         .text = text,
         .options = with_role_rows(
             with_kind_rows(
                 {{.name = "nameservice",
                   .value = "URL",
                   .fallback = "http://127.0.0.1:5001",
                   .help = "where it registers"},
                  {.name = "concurrency",
                   .kind = OptionKind::number,
                   .value = "N",
                   .fallback = "64",
                   .help = "how many tasks at a time; unless said 4 of exec, 16 of http, 8 of lua; "
                           "256 of http at most",
                   .least = 1,
                   .most = 10'000},
                  {.name = "contract",
                   .value = "FILE",
                   .help = "methods that tasks are calls of, with the schemas of their results",
                   .from_environment = false},
                  {.name = "name", .value = "NAME", .help = "first part of its instance name"},
                  {.name = "advertise", .value = "HOST", .help = "where the dispatcher reaches it"},
                  {.name = "drain-timeout",
                   .kind = OptionKind::duration,
                   .value = "TIME",
                   .fallback = "30s",
                   .help = "once told to stop: what runs may end so long, less what it takes to "
                           "stop it and give it back",
                   .least = 100'000},
                  {.name = "heartbeat",
                   .kind = OptionKind::duration,
                   .value = "TIME",
                   .fallback = "10s",
                   .help =
                       "how often it renews its registration; sooner where the name service asks",
                   .least = 100'000}}),
             "6000"),
         .positional_min = 1,
         .positional_max = 1'000,
         .kind = PageKind::role,
         .examples = {{"taskd worker sum --port 0", "on a free port"},
                      {"taskd worker hash --concurrency 8 --name hash-a", "eight at a time"},
                      {"taskd worker exec --type resize --timeout 1m -- ./resize.sh --small",
                       "a program a task"},
                      {"taskd worker http --type bill --url http://billing:8080/charge",
                       "a call a task"},
                      {"taskd worker lua --type price --source price.lua", "a function a task"}},
         .words = worker_words()},
        run};
    return command;
}

}  // namespace taskd::roles
