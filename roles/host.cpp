// The host role: programs as processes and functions. Wiring; how programs run is in src/lua.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "door.hpp"
#include "formats.hpp"
#include "host_api.hpp"
#include "node_presence.hpp"
#include "program_lifecycle.hpp"
#include "split_list.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/runtime/boot.hpp"
#include "taskd/runtime/keys.hpp"
#include "taskd/runtime/supervisor.hpp"

namespace taskd::roles {
namespace {

struct HostSettings {
    ProgramsSettings programs;
    runtime::RelaySettings relay;
    std::string data;               // empty: no stores
    NodePresenceSettings presence;  // without a name service: alone, or among --peers
};

// Messages between processes: of the ground that a host stands on.
struct NodeRelay {
    NodeRelay(Ground& ground, const runtime::RelaySettings& settings)
        : http{ground.loop, {.threads_max = 32}},
          link{http, post_to(ground.loop), transcoder(), ground.key},
          relay{settings, &link} {}

    io::HttpExchange http;  // of the node: no program keeps it waiting
    HttpLink link;
    runtime::Relay relay;
};

// What runs processes.
class Factory {
  public:
    static Result<std::unique_ptr<Factory>> make(Ground& ground, const HostSettings& settings,
                                                 runtime::Relay& relay, runtime::ProcessIds& ids,
                                                 runtime::Commands& commands,
                                                 runtime::Topology& topology) {
        std::unique_ptr<Factory> part{new Factory{ground}};
        if (!settings.data.empty()) {
            std::error_code fault;
            std::filesystem::create_directories(settings.data, fault);
            if (fault) return fail(ErrorCode::io_failed, settings.data + ": " + fault.message());
            part->stores_.emplace(settings.data + "/stores", *ground.clock);
        }
        auto made =
            Programs::make(settings.programs, {ground, part->http_, ids, commands, topology, relay,
                                               part->stores_ ? &*part->stores_ : nullptr});
        if (!made) return fail(std::move(made));
        part->programs_ = std::move(*made);
        part->watch(ground, settings.presence.session, relay, topology);
        return part;
    }
    Programs& programs() { return *programs_; }
    io::KeyStoreFolder* stores() { return stores_ ? &*stores_ : nullptr; }
    lua::WatchDesk& desk() { return *desk_; }

  private:
    explicit Factory(Ground& ground)
        : http_{ground.loop,
                {.threads_max = 2 * limits::program_exchanges_max,
                 .answer_bytes_max = 8 * limits::mebibyte}},
          watch_http_{ground.loop, {.threads_max = 128}} {}

    void watch(Ground& ground, SessionId session, runtime::Relay& relay,
               runtime::Topology& topology) {
        const lua::NodeWatchSettings settings{
            .session = session, .bearer = ground.key.empty() ? std::string{} : ground.key.secret()};
        const lua::NodeWatchPorts ports{
            programs_->host(), relay,         topology,    watch_http_,
            ground.loop,       *ground.clock, *ground.log, post_to(ground.loop)};
        watcher_ = std::make_unique<lua::NodeWatcher>(settings, ports);
        desk_ = std::make_unique<lua::WatchDesk>(settings, ports);
    }

    io::HttpExchange http_;        // of programs
    io::HttpExchange watch_http_;  // questions that wait
    std::optional<io::KeyStoreFolder> stores_;
    std::unique_ptr<lua::NodeWatcher> watcher_;  // as long as there are processes
    std::unique_ptr<lua::WatchDesk> desk_;
    std::unique_ptr<Programs> programs_;
};

// Hands the lifecycle what runs its entries.
class FunctionsPart {
  public:
    FunctionsPart(Factory& factory, ProgramLifecycle& lifecycle) {
        lifecycle.bind(factory.programs(), factory.stores());
    }
};

// Answers over HTTP.
class HostPart {
  public:
    HostPart(Ground& ground, Door& door, NodeRelay& node, Factory& factory,
             ProgramLifecycle& lifecycle, runtime::Topology& topology,
             const NodePresenceSettings& presence)
        : ground_{ground},
          door_{door},
          node_{node},
          factory_{factory},
          presence_settings_{presence},
          api_{{.host = factory.programs().host(),
                .functions = factory.programs().functions(),
                .relay = node.relay,
                .topology = topology,
                .post = post_to(ground.loop),
                .formats = transcoder(),
                .clock = *ground.clock,
                .timers = ground.loop,
                .desk = factory.desk()},
               {.check = [&lifecycle](const auto& entries) { return lifecycle.check(entries); },
                .reload = [&lifecycle] { return lifecycle.reload(); },
                .functions = [&lifecycle] { return lifecycle.functions(); }}},
          front_{ground.key, "host", [this] { return not_ready(); }, ground.front_watch()} {
        api_.add_routes(front_);
    }

    Result<void> start() {
        door_.open(front_);
        if (presence_settings_.nameservice_url.empty()) return {};
        presence_settings_.port = door_.port();
        presence_.emplace(presence_settings_, ground_, node_.http, node_.relay);
        return {};
    }
    void drain(std::function<void()> done) {
        draining_ = true;
        factory_.desk().let_go();
        presence_ ? presence_->leave(std::move(done)) : done();
    }

  private:
    std::optional<service::NotReady> not_ready() const {
        if (draining_) return service::NotReady{ErrorCode::shutting_down, {}};
        return std::nullopt;
    }

    Ground& ground_;
    Door& door_;
    NodeRelay& node_;
    Factory& factory_;
    NodePresenceSettings presence_settings_;
    HostApi api_;
    service::HttpFront front_;
    std::optional<NodePresence> presence_;
    bool draining_ = false;
};

Result<std::map<std::string, std::string, std::less<>>> read_peers(const std::string& text) {
    std::map<std::string, std::string, std::less<>> peers;
    for (const std::string& part : split_list(text)) {
        const auto sign = part.find('=');
        if (sign == std::string::npos || sign == 0 || !part.substr(sign + 1).starts_with("http://"))
            return fail(ErrorCode::bad_usage, "--peers takes NAME=http://HOST:PORT, with commas");
        peers[part.substr(0, sign)] = part.substr(sign + 1);
    }
    return peers;
}

Result<runtime::StageSettings> read_stages(const Options& options) {
    runtime::StageSettings settings;
    settings.disabled = split_list(options.text("disable"));
    const std::string& overrides = options.text("override");
    for (std::size_t from = 0; from < overrides.size();) {
        const std::size_t end = std::min(overrides.find(';', from), overrides.size());
        auto one = runtime::parse_override(overrides.substr(from, end - from));
        if (!one) return fail(std::move(one));
        settings.overrides.push_back(std::move(*one));
        from = end + 1;
    }
    return settings;
}

Result<HostSettings> read_settings(const Options& options) {
    const auto peers = read_peers(options.text("peers"));
    if (!peers) return std::unexpected{peers.error()};
    const std::string& node = options.text("node");
    if (options.given("nameservice") && !is_instance_name(node))
        return fail(ErrorCode::bad_usage, "--node takes letters, digits, '.', '_' and '-'");
    const auto remotes = split_list(options.text("remotes"));
    return HostSettings{
        .programs = {.node = node,
                     .threads = static_cast<unsigned>(options.number("threads")),
                     .dispatcher_url = options.text("dispatcher"),
                     .host = {.processes_max =
                                  static_cast<std::size_t>(options.number("processes-max"))},
                     .memory_max = static_cast<std::uint64_t>(options.bytes("memory-max"))},
        .relay = {.node = node, .peers = *peers, .remotes = {remotes.begin(), remotes.end()}},
        .data = options.text("data"),
        .presence = {.nameservice_url = options.text("nameservice"),
                     .node = node,
                     .session = SessionId{io::random_seed() | 1},
                     .host = options.text("advertise"),
                     .heartbeat = options.duration("heartbeat")}};
}

int run(const Options& options) {
    const auto stages = read_stages(options);
    if (!stages) return report(stages.error());
    auto read = read_settings(options);
    if (!read) return report(read.error());
    const ProgramSourceSettings source{options.positional(), *stages, options.text("registry")};
    if (source.files.empty() == source.registry.empty())
        return report({ErrorCode::bad_usage, "it takes entries from files, or with --registry"});
    auto made = make_ground(options, {.role = "host", .instance = options.text("node")});
    if (!made) return report(made.error());
    Ground& ground = **made;
    HostSettings& settings = *read;
    if (!options.given("advertise")) settings.presence.host = reached_at(ground.host);
    const SteadyTime begin = ground.clock->steady();
    NodeRelay node{ground, settings.relay};
    ground.steps.push_back({"relay", ground.clock->steady() - begin});
    runtime::Boot boot{ground.loop, *ground.clock, *ground.log,
                       boot_settings(options, ground.steps)};
    boot.context().put(runtime::clock_key, *ground.clock);
    boot.context().put<port::Timers>(runtime::timers_key, ground.loop);
    boot.context().put(runtime::log_key, *ground.log);
    boot.context().put<bus::Publisher>(runtime::bus_key, *ground.bus);
    const auto ids = boot.add<runtime::ProcessIds>("pidgen", settings.programs.node);
    boot.on_level(ids, level::pidgen);
    const auto commands = boot.add<runtime::Commands>("dispatcher");
    boot.after(commands, "pidgen");
    boot.on_level(commands, level::dispatcher);
    const auto registry = boot.add<ProgramSource>("registry", source);
    boot.after(registry, "dispatcher");
    boot.on_level(registry, level::registry);
    const auto supervisor = boot.add<runtime::Supervisor>(
        "supervisor", std::ref(boot.context()), ids, io::random_seed(),
        std::function{
            [&](int status) { ground.loop.post([&boot, status] { boot.shutdown(status); }); }});
    boot.after(supervisor, "registry");
    boot.on_level(supervisor, level::supervisor);
    const auto topology = boot.add<runtime::Topology>(
        "topology", settings.programs.node, settings.programs.host.name, ground.bus.get());
    boot.after(topology, "supervisor");
    boot.on_level(topology, level::topology);
    const auto lifecycle =
        boot.add<ProgramLifecycle>("lifecycle", std::ref(ground), registry, supervisor, topology);
    boot.on_level(lifecycle, level::lifecycle);
    const auto factory = boot.add<Factory>("factory", std::ref(ground), std::cref(settings),
                                           std::ref(node.relay), ids, commands, topology);
    boot.after(factory, "lifecycle");
    boot.on_level(factory, level::factory);
    const auto functions = boot.add<FunctionsPart>("functions", factory, lifecycle);
    boot.on_level(functions, level::functions);
    auto door = boot.add<Door>("door", std::ref(ground), Speaks::http);
    const auto host = boot.add<HostPart>("host", std::ref(ground), door, std::ref(node), factory,
                                         lifecycle, topology, std::cref(settings.presence));
    boot.after(host, "functions");
    boot.add<Announcement>("announcement", std::ref(ground), door, host);
    return boot.run();
}

std::vector<OptionRow> host_rows() {
    return {
        {.name = "node",
         .value = "NAME",
         .fallback = "node",
         .help = "in process ids; other nodes call it so"},
        {.name = "peers",
         .value = "LIST",
         .help = "other nodes, NAME=http://HOST:PORT with commas"},
        {.name = "nameservice",
         .value = "URL",
         .help = "where it registers under its name, and finds other nodes"},
        {.name = "advertise", .value = "HOST", .help = "where other nodes reach it"},
        {.name = "heartbeat",
         .kind = OptionKind::duration,
         .value = "TIME",
         .fallback = "10s",
         .help = "how often it renews its registration; sooner where the name service asks",
         .least = 100'000},
        {.name = "remotes",
         .value = "LIST",
         .help = "HOST:PORT of nodes that programs may reach by address, with commas; * for all"},
        {.name = "dispatcher",
         .value = "URL",
         .fallback = "http://127.0.0.1:4000",
         .help = "whom the modules tasks, workflows, topics and queue ask"},
        {.name = "threads",
         .kind = OptionKind::number,
         .value = "N",
         .fallback = "2",
         .help = "that run programs",
         .least = 1,
         .most = 256},
        {.name = "processes-max",
         .kind = OptionKind::number,
         .value = "N",
         .fallback = "100000",
         .help = "alive at a time; an idle one takes some 20 KiB",
         .least = 1,
         .most = static_cast<std::int64_t>(limits::processes_max)},
        {.name = "memory-max",
         .kind = OptionKind::bytes,
         .value = "SIZE",
         .fallback = "2GiB",
         .help = "of all programs together, with the messages that wait for them",
         .least = static_cast<std::int64_t>(16 * limits::mebibyte)},
        {.name = "data", .value = "DIR", .help = "where stores lie; without it there are none"},
        {.name = "registry",
         .value = "DIR",
         .help = "data directory whose registry.db has the entries, in place of files"},
        {.name = "override",
         .letter = 'o',
         .value = "LIST",
         .help = "NS:NAME:FIELD=VALUE, ';' between several"},
        {.name = "disable", .value = "PATTERNS", .help = "entries to leave out, with commas"}};
}

}  // namespace

const Command& host_command() {
    static const Command command{
        {.name = "host",
         .arguments = "[FILE | DIR…]",
         .summary = "run programs in Lua: processes and functions",
         .text =
             "Entries of the kinds function.lua, process.lua, library.lua and store, from files "
             "and folders,\nor from a registry. Processes with auto_start begin at once and "
             "are looked after. Others are begun\nby programs, or with taskd process. On "
             "SIGHUP it reads its files again; a registry is followed by\nitself.",
         .options = with_role_rows(host_rows(), "6500"),
         .positional_max = 1'000,
         .kind = PageKind::role,
         .examples = {{"taskd host config/entries/programs", "all entries of a folder"},
                      {"taskd host --registry taskd-data", "as 'taskd registry apply' says"},
                      {"taskd host shop.yaml --node a --nameservice http://10.0.0.7:5001",
                       "a node that finds others by their names"},
                      {"taskd host shop.yaml --node a --peers b=http://10.0.0.8:6500",
                       "a node that knows another"}}},
        run};
    return command;
}

}  // namespace taskd::roles
