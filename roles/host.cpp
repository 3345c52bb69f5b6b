// The host role: programs as processes and functions. Wiring; how programs run is in src/lua.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "door.hpp"
#include "formats.hpp"
#include "host_api.hpp"
#include "node_presence.hpp"
#include "program_entries.hpp"
#include "programs.hpp"
#include "split_list.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/runtime/boot.hpp"
#include "taskd/runtime/keys.hpp"
#include "taskd/runtime/supervisor.hpp"

namespace taskd::roles {
namespace {

// A process of an entry, as the supervisor looks after it. On the loop.
class ProcessService final : public port::Service {
  public:
    ProcessService(lua::Host& host, io::Loop& loop, const ProcessEntry& entry)
        : host_{host}, loop_{loop}, program_{entry.id}, arguments_{entry.arguments} {}
    ~ProcessService() override { kill(); }

    void start(port::ServiceHandlers handlers) override {
        handlers_ = std::move(handlers);
        const std::uint64_t life = ++life_;
        const auto id = host_.spawn(
            {.program = program_,
             .arguments = arguments_,
             .on_end = [this, life, alive = alive_](const lua::ProcessEnded& end) {
                 loop_.post_from_any_thread([this, life, alive = std::weak_ptr{alive}, end] {
                     if (!alive.expired() && life == life_) ended(end);
                 });
             }});
        loop_.post([this, life, id, alive = std::weak_ptr{alive_}] {
            if (alive.expired() || life != life_) return;
            if (!id) return ended({program_, std::unexpected{id.error()}});
            number_ = id->number;
            handlers_.ready();
        });
    }
    void stop() override {
        if (number_ != 0) (void)host_.cancel(number_, "stopped", limits::service_stop_timeout);
    }
    void kill() override {
        if (number_ != 0) (void)host_.terminate(number_, "stopped");
    }

  private:
    void ended(const lua::ProcessEnded& end) {
        number_ = 0;
        const bool done = end.result.has_value();
        handlers_.ended({.retry = !done,
                         .status = done ? 0 : row_of(end.result.error().code).exit_code,
                         .how = done ? "done" : end.result.error().to_string()});
    }

    lua::Host& host_;
    io::Loop& loop_;
    const std::string program_;
    const std::vector<Value> arguments_;
    port::ServiceHandlers handlers_;
    std::uint64_t life_ = 0;
    runtime::ProcessNumber number_ = 0;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

struct HostSettings {
    ProgramsSettings programs;
    std::string data;               // empty: no stores
    NodePresenceSettings presence;  // without a name service: alone, or among --peers
};

// What runs processes.
class Factory {
  public:
    static Result<std::unique_ptr<Factory>> make(Ground& ground, const HostSettings& settings,
                                                 const ProgramEntries& entries,
                                                 runtime::ProcessIds& ids,
                                                 runtime::Commands& commands,
                                                 runtime::Topology& topology) {
        std::unique_ptr<Factory> part{new Factory{ground}};
        if (!settings.data.empty()) {
            std::error_code fault;
            std::filesystem::create_directories(settings.data, fault);
            if (fault) return fail(ErrorCode::io_failed, settings.data + ": " + fault.message());
            part->stores_.emplace(settings.data + "/stores", *ground.clock);
            for (const StoreEntry& store : entries.stores)
                part->stores_->declare(store.id, store.settings);
        }
        auto made = Programs::make(settings.programs,
                                   {ground, part->http_, ids, commands, topology, &part->link_,
                                    part->stores_ ? &*part->stores_ : nullptr});
        if (!made) return fail(std::move(made));
        part->programs_ = std::move(*made);
        part->watch(ground, settings.presence.session, topology);
        return part;
    }
    Programs& programs() { return *programs_; }
    lua::WatchDesk& desk() { return *desk_; }
    port::HttpExchange& node_http() { return node_http_; }

  private:
    explicit Factory(Ground& ground)
        : http_{ground.loop, {.threads_max = 64, .answer_bytes_max = 8 * limits::mebibyte}},
          node_http_{ground.loop, {.threads_max = 32}},
          watch_http_{ground.loop, {.threads_max = 128}},
          link_{node_http_, post_to(ground.loop), transcoder(), ground.key} {}

    void watch(Ground& ground, SessionId session, runtime::Topology& topology) {
        const lua::NodeWatchSettings settings{
            .session = session, .bearer = ground.key.empty() ? std::string{} : ground.key.secret()};
        const lua::NodeWatchPorts ports{programs_->host(), programs_->relay(),  topology,
                                        watch_http_,       ground.loop,         *ground.clock,
                                        *ground.log,       post_to(ground.loop)};
        watcher_ = std::make_unique<lua::NodeWatcher>(settings, ports);
        desk_ = std::make_unique<lua::WatchDesk>(settings, ports);
    }

    io::HttpExchange http_;        // of programs
    io::HttpExchange node_http_;   // of the node: no program keeps it waiting
    io::HttpExchange watch_http_;  // questions that wait
    HttpLink link_;
    std::optional<io::KeyStoreFolder> stores_;
    std::unique_ptr<lua::NodeWatcher> watcher_;  // as long as there are processes
    std::unique_ptr<lua::WatchDesk> desk_;
    std::unique_ptr<Programs> programs_;
};

// The functions and processes of the entries.
class ProgramsPart {
  public:
    ProgramsPart(Ground& ground, Factory& factory, const ProgramEntries& entries)
        : ground_{ground}, programs_{factory.programs()}, entries_{entries} {}

    Result<void> start() { return take(entries_); }

    // What is new or newer from now on; processes of older versions are told.
    Result<void> take(const ProgramEntries& entries) {
        for (const ProcessEntry& process : entries.processes)
            programs_.host().set_program(process.id, process.spec);
        for (const FunctionEntry& function : entries.functions) {
            if (auto set = programs_.functions().set(function.id, function.spec, function.pool);
                !set)
                return set;
            if (std::ranges::find(names_, function.id) == names_.end())
                names_.push_back(function.id);
        }
        return {};
    }
    const std::vector<std::string>& functions() const { return names_; }

  private:
    Ground& ground_;
    Programs& programs_;
    const ProgramEntries& entries_;
    std::vector<std::string> names_;
};

// Answers over HTTP.
class HostPart {
  public:
    HostPart(Ground& ground, Door& door, Factory& factory, ProgramsPart& programs,
             runtime::Topology& topology, const NodePresenceSettings& presence)
        : ground_{ground},
          door_{door},
          factory_{factory},
          programs_{programs},
          presence_settings_{presence},
          api_{{factory.programs().host(), factory.programs().functions(),
                factory.programs().relay(), topology, post_to(ground.loop), transcoder(),
                factory.desk()}},
          front_{ground.key, "host", [this] { return not_ready(); }, ground.front_watch()} {
        api_.add_routes(front_);
    }

    Result<void> start() {
        api_.set_functions(programs_.functions());
        door_.open(front_);
        if (presence_settings_.nameservice_url.empty()) return {};
        presence_settings_.port = door_.port();
        presence_.emplace(presence_settings_, ground_, factory_.node_http(),
                          factory_.programs().relay());
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
    Factory& factory_;
    ProgramsPart& programs_;
    NodePresenceSettings presence_settings_;
    HostApi api_;
    service::HttpFront front_;
    std::optional<NodePresence> presence_;
    bool draining_ = false;
};

// Looks after the processes that entries start.
class ProcessSupervisor : public runtime::Supervisor {
  public:
    ProcessSupervisor(runtime::AppContext& context, Ground& ground, runtime::ProcessIds& ids,
                      Factory& factory, const ProgramEntries& entries,
                      std::function<void(int)> gave_up)
        : Supervisor{context, ids, io::random_seed(), std::move(gave_up)} {
        for (const ProcessEntry& entry : entries.processes) {
            if (!entry.auto_start) continue;
            TASKD_ASSERT(add({entry.service, std::make_unique<ProcessService>(
                                                 factory.programs().host(), ground.loop, entry)}));
        }
    }
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
                     .peers = *peers,
                     .remotes = {remotes.begin(), remotes.end()},
                     .host = {.processes_max =
                                  static_cast<std::size_t>(options.number("processes-max"))},
                     .memory_max = static_cast<std::uint64_t>(options.bytes("memory-max"))},
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
    const auto entries = read_programs(options.positional(), *stages);
    if (!entries) return report(entries.error());
    auto made = make_ground(options, {.role = "host", .instance = options.text("node")});
    if (!made) return report(made.error());
    Ground& ground = **made;
    HostSettings& settings = *read;
    if (!options.given("advertise")) settings.presence.host = reached_at(ground.host);
    runtime::Boot boot{ground.loop, *ground.clock, *ground.log,
                       boot_settings(options, ground.steps)};
    boot.context().put(runtime::clock_key, *ground.clock);
    boot.context().put<port::Timers>(runtime::timers_key, ground.loop);
    boot.context().put(runtime::log_key, *ground.log);
    boot.context().put<bus::Publisher>(runtime::bus_key, *ground.bus);
    auto door = boot.add<Door>("door", std::ref(ground), Speaks::http);
    const auto ids = boot.add<runtime::ProcessIds>("pidgen", settings.programs.node);
    const auto commands = boot.add<runtime::Commands>("dispatcher");
    boot.after(commands, "pidgen");
    const auto topology = boot.add<runtime::Topology>(
        "topology", settings.programs.node, settings.programs.host.name, ground.bus.get());
    boot.after(topology, "dispatcher");
    const auto factory = boot.add<Factory>("factory", std::ref(ground), std::cref(settings),
                                           std::cref(*entries), ids, commands, topology);
    const auto programs =
        boot.add<ProgramsPart>("functions", std::ref(ground), factory, std::cref(*entries));
    const auto supervisor = boot.add<ProcessSupervisor>(
        "supervisor", std::ref(boot.context()), std::ref(ground), ids, factory, std::cref(*entries),
        std::function{
            [&](int status) { ground.loop.post([&boot, status] { boot.shutdown(status); }); }});
    boot.after(supervisor, "functions");
    const auto host = boot.add<HostPart>("host", std::ref(ground), door, factory, programs,
                                         topology, std::cref(settings.presence));
    boot.add<Announcement>("announcement", std::ref(ground), door, host, supervisor);
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
         .help = "how often it renews its registration",
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
        {.name = "override", .value = "LIST", .help = "NS:NAME:FIELD=VALUE, ';' between several"},
        {.name = "disable", .value = "PATTERNS", .help = "entries to leave out, with commas"}};
}

}  // namespace

const Command& host_command() {
    static const Command command{
        {.name = "host",
         .arguments = "FILE | DIR…",
         .summary = "run programs in Lua: processes and functions",
         .text =
             "Entries of the kinds function.lua, process.lua, library.lua and store, from files "
             "and folders.\nProcesses with auto_start begin at once and are looked after. Others "
             "are begun by programs, or with taskd process.",
         .options = with_role_rows(host_rows(), "6500"),
         .positional_min = 1,
         .positional_max = 1'000,
         .kind = PageKind::role,
         .examples = {{"taskd host config/entries/programs", "all entries of a folder"},
                      {"taskd host shop.yaml --node a --nameservice http://10.0.0.7:5001",
                       "a node that finds others by their names"},
                      {"taskd host shop.yaml --node a --peers b=http://10.0.0.8:6500",
                       "a node that knows another"}}},
        run};
    return command;
}

}  // namespace taskd::roles
