// Everything on one machine, with simulated children: what starts when, what is told, what is
// started again, and how all of it ends.
#include "taskd/service/up.hpp"

#include <algorithm>
#include <csignal>

#include "catch.hpp"
#include "memory_bus.hpp"
#include "memory_log.hpp"
#include "sim_processes.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/runtime/keys.hpp"
#include "taskd/runtime/supervisor.hpp"

using namespace taskd;
using namespace taskd::service;
using namespace taskd::test;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

std::string option(const port::ProcessSpec& spec, const std::string& name) {
    const auto found = std::ranges::find(spec.argv, name);
    return found == spec.argv.end() ? "" : *std::next(found);
}

// One machine. Its programs listen, say their port, and end when asked, as the roles do.
struct Machine {
    struct Role final : port::HttpHandler {
        Role(Machine& at, std::string called) : machine{at}, name{std::move(called)} {}
        void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
            if (request.target == "/v1/workers") return respond({200, {}, machine.workers_json()});
            respond({machine.ready && machine.slow != name ? 200 : 503, {}, "{}"});
        }
        Machine& machine;
        std::string name;
    };
    struct Life {
        std::string name;  // "dispatcher", "sum"
        std::uint16_t port = 0;
        std::string instance;
        std::shared_ptr<SimProgram> program;
    };

    SimWorld world{3};
    SimHost& host = world.host("127.0.0.1");
    SimProcessRunner processes{host};
    MemoryLog log;
    std::map<std::string, Role> roles;
    std::map<std::string, std::string> files;
    std::map<int, Life> lives;
    std::vector<std::string> started;  // names, in order
    std::vector<std::string> ended;
    std::vector<std::string> hangups;
    std::map<std::string, std::vector<std::string>> arguments;  // of the newest life
    std::vector<std::string> printed;
    std::optional<int> failure;
    int times_ready = 0;
    bool ready = true;
    std::string dies_at_once;  // a name
    std::string never_ends;    // a name
    std::string slow;          // a name: it is not ready
    std::string slow_to_end;   // the type of a worker: its settings give it two minutes
    std::unique_ptr<Up> up;
    runtime::AppContext context;
    runtime::ProcessIds ids{"test"};
    MemoryBus bus;
    std::unique_ptr<runtime::Supervisor> supervisor;

    explicit Machine(std::uint16_t port, bool required = true, bool programs = false) {
        processes.install("/taskd", [this](const auto& program) { run(program); });
        UpSettings settings;
        settings.program = "/taskd";
        settings.data = "/data";
        settings.key_file = "/data/key";
        settings.key = protocol::ClusterKey{"0123456789abcdef"};
        settings.port = port;
        settings.workers = {{"sum", "", 7, true}, {"wait", "", 9, true}};
        settings.workers.front().required = required;
        settings.host = programs;
        settings.config_files = {{"worker", "/etc/worker.yaml"}};
        settings.common_flags = {"--log-level", "warn"};
        settings.drain_timeout_of = [this](const auto& argv) {
            return argv[1] == "worker" && argv[2] == slow_to_end ? 120s : 5s;
        };
        settings.start_max = 20s;
        up = std::make_unique<Up>(
            settings,
            UpPorts{.processes = processes,
                    .http = host.http(),
                    .clock = host.clock(),
                    .timers = host.timers(),
                    .log = log,
                    .read_port = [this](const std::string& path) -> std::optional<std::uint16_t> {
                        if (!files.contains(path)) return std::nullopt;
                        return static_cast<std::uint16_t>(std::stoi(files[path]));
                    },
                    .remove = [this](const std::string& path) { files.erase(path); },
                    .write = [this](const std::string& path,
                                    const std::string& content) -> Result<void> {
                        files[path] = content;
                        return {};
                    },
                    .print =
                        [this](std::string_view child, std::string_view line) {
                            printed.push_back(std::string{child} + ": " + std::string{line});
                        }},
            [this] { ++times_ready; });
        context.put(runtime::clock_key, host.clock());
        context.put(runtime::timers_key, host.timers());
        context.put<port::Log>(runtime::log_key, log);
        context.put<bus::Publisher>(runtime::bus_key, bus);
        supervisor = std::make_unique<runtime::Supervisor>(
            context, ids, 1, [this](int status) { failure = status; });
        for (auto& service : up->services())
            REQUIRE(supervisor->add(std::move(service)));
        bus.listen = [this](const bus::Event& event) {
            if (event.topic.starts_with("supervisor.state."))
                host.timers().post([this] { up->tell_endpoints(); });
        };
    }
    ~Machine() {
        supervisor.reset();
        up.reset();
    }

    Result<void> start() {
        if (auto ports = up->start(); !ports) return ports;
        return supervisor->start_entries();
    }
    void stop() {
        supervisor->stop();
        up->stop();
    }

    void run(const std::shared_ptr<SimProgram>& program) {
        const port::ProcessSpec& spec = program->spec();
        Life life{spec.argv[1] == "worker" ? spec.argv[2] : spec.argv[1], 0, {}, program};
        started.push_back(life.name);
        arguments[life.name] = spec.argv;
        if (life.name == dies_at_once) return program->exit(7);
        const auto asked = static_cast<std::uint16_t>(std::stoi(option(spec, "--port")));
        if (asked != 0) host.stop_serving(asked);
        Role& role = roles.try_emplace(life.name, *this, life.name).first->second;
        life.port = host.serve(asked, role).value_or(std::uint16_t{0});
        life.instance = option(spec, "--name") + "-" + std::to_string(program->pid());
        files[option(spec, "--port-file")] = std::to_string(life.port);
        program->print(port::ProcessStream::err, "hello from " + life.name);
        program->on_signal(SIGHUP, [this, name = life.name] { hangups.push_back(name); });
        program->on_terminate([this, name = life.name, pid = program->pid()] {
            if (name == never_ends) return;
            ended.push_back(name);
            lives.at(pid).program->exit(0);
        });
        lives.insert_or_assign(program->pid(), std::move(life));
    }

    std::string workers_json() {
        std::string out = R"({"workers":[)";
        for (const auto& [pid, life] : lives) {
            if (life.name != "sum" && life.name != "wait" && life.name != "hash") continue;
            if (!out.ends_with('[')) out += ',';
            out += R"({"instance":")" + life.instance + R"(","port":)" + std::to_string(life.port) +
                   R"(,"reachable":true})";
        }
        return out + "]}";
    }

    int pid_of(const std::string& name) {
        int newest = 0;
        for (const auto& [pid, life] : lives)
            if (life.name == name) newest = pid;
        return newest;
    }
    std::string endpoints() { return files["/data/endpoints.json"]; }
    bool wait_ready() {
        return world.run_until([this] { return up->all_ready(); }, 30s);
    }
    std::size_t starts_of(const std::string& name) {
        return static_cast<std::size_t>(std::ranges::count(started, name));
    }
};

}  // namespace

TEST_CASE("on free ports each child starts once it can be told where the others are") {
    Machine machine{0};
    REQUIRE(machine.start());
    REQUIRE(machine.wait_ready());
    CHECK(machine.started ==
          std::vector<std::string>{"nameservice", "dispatcher", "monitor", "sum", "wait"});
    const auto& dispatcher = machine.arguments["dispatcher"];
    const port::ProcessSpec spec{dispatcher, {}};
    CHECK(option(spec, "--nameservice") == machine.up->url("nameservice"));
    CHECK(option(spec, "--port") == "0");
    CHECK(option(spec, "--host") == "127.0.0.1");
    CHECK(option(spec, "--key-file") == "/data/key");
    const port::ProcessSpec monitor{machine.arguments["monitor"], {}};
    CHECK(option(monitor, "--dispatcher") == machine.up->url("dispatcher"));
    const port::ProcessSpec sum{machine.arguments["sum"], {}};
    CHECK(option(sum, "--concurrency") == "7");
    CHECK(option(sum, "--config") == "/etc/worker.yaml");
    CHECK(option(sum, "--log-level") == "warn");
    CHECK(option(spec, "--config").empty());  // none, whatever the environment says
}

TEST_CASE("a signal is passed on to children that listen, and to no other") {
    Machine machine{0};
    machine.ready = false;
    REQUIRE(machine.start());
    machine.up->pass_on(SIGHUP);  // the first has just been started
    machine.ready = true;
    REQUIRE(machine.wait_ready());
    CHECK(machine.started.size() == 5);
    CHECK(machine.hangups.empty());
    machine.up->pass_on(SIGHUP);
    REQUIRE(machine.world.run_until([&] { return machine.hangups.size() == 5; }, 5s));
    CHECK(machine.processes.running().size() == 5);
}

TEST_CASE("endpoints are told once all are ready, and not before") {
    Machine machine{0};
    machine.ready = false;
    REQUIRE(machine.start());
    machine.world.run_for(10s);
    CHECK_FALSE(machine.up->all_ready());
    CHECK_FALSE(machine.files.contains("/data/endpoints.json"));
    machine.ready = true;
    REQUIRE(machine.wait_ready());
    CHECK(machine.times_ready == 1);
    const std::string told = machine.endpoints();
    CHECK(protocol::check_json(told));
    CHECK_THAT(told, Contains(R"("dispatcher":{"url":")" + machine.up->url("dispatcher")));
    CHECK_THAT(told, Contains(R"({"type":"sum","name":"sum-1","pid":)" +
                              std::to_string(machine.pid_of("sum"))));
    CHECK_THAT(told, Contains(R"("key_file":"/data/key")"));
    CHECK_THAT(machine.printed,
               Catch::Matchers::VectorContains(std::string{"sum-1: hello from sum"}));
}

TEST_CASE("given a port, the children get it and those that follow") {
    Machine machine{7000};
    REQUIRE(machine.start());
    REQUIRE(machine.wait_ready());
    CHECK(machine.up->url("dispatcher") == "http://127.0.0.1:7000");
    CHECK(machine.up->url("nameservice") == "http://127.0.0.1:7001");
    CHECK(machine.up->url("monitor") == "http://127.0.0.1:7002");
    CHECK(machine.up->url("sum-1") == "http://127.0.0.1:7003");
    CHECK(machine.up->url("wait-1") == "http://127.0.0.1:7004");
    Machine no_room{65533};
    const auto started = no_room.start();
    REQUIRE_FALSE(started);
    CHECK(started.error().code == ErrorCode::bad_usage);
}

TEST_CASE("a child that dies is started again soon on its port, and that is told") {
    for (const std::string name : {"dispatcher", "nameservice", "monitor", "sum"}) {
        Machine machine{0};
        REQUIRE(machine.start());
        REQUIRE(machine.wait_ready());
        const int old = machine.pid_of(name);
        const std::uint16_t port = machine.lives.at(old).port;
        REQUIRE(machine.processes.kill(old));
        const Duration begin = machine.world.now();
        REQUIRE(machine.world.run_until([&] { return machine.pid_of(name) != old; }, 5s));
        CHECK(machine.world.now() - begin < 150ms);
        const int fresh = machine.pid_of(name);
        CHECK(machine.lives.at(fresh).port == port);
        REQUIRE(machine.wait_ready());
        CHECK_THAT(machine.endpoints(), Contains("\"pid\":" + std::to_string(fresh)));
        CHECK_THAT(machine.endpoints(), !Contains("\"pid\":" + std::to_string(old)));
        CHECK(machine.starts_of(name) == 2);
        CHECK(machine.times_ready == 1);
        CHECK_FALSE(machine.failure);
    }
}

TEST_CASE("a child that cannot stay up is started less and less often") {
    Machine machine{0};
    REQUIRE(machine.start());
    REQUIRE(machine.wait_ready());
    machine.dies_at_once = "monitor";
    REQUIRE(machine.processes.kill(machine.pid_of("monitor")));
    machine.world.run_for(60s);
    const std::size_t starts = machine.starts_of("monitor");
    CHECK(starts > 8);
    CHECK(starts < 25);
    CHECK_FALSE(machine.failure);
    machine.dies_at_once.clear();
    CHECK(machine.wait_ready());
}

TEST_CASE("a child that ends before it was ever ready ends the attempt with its status") {
    for (const std::string name : {"nameservice", "dispatcher", "sum", "monitor"}) {
        Machine machine{0};
        machine.dies_at_once = name;
        REQUIRE(machine.start());
        REQUIRE(machine.world.run_until([&] { return machine.failure.has_value(); }, 30s));
        CHECK(*machine.failure == 7);
        machine.world.run_for(5s);
        CHECK(machine.starts_of(name) == 1);
        CHECK(machine.times_ready == 0);
    }
}

TEST_CASE("a child that is not ready in time ends the attempt, but for the dispatcher") {
    Machine machine{0};
    machine.ready = false;
    REQUIRE(machine.start());
    REQUIRE(machine.world.run_until([&] { return machine.failure.has_value(); }, 60s));
    CHECK(*machine.failure == row_of(ErrorCode::start_timeout).exit_code);
    CHECK(machine.world.now() >= 20s);
    CHECK(machine.started == std::vector<std::string>{"nameservice"});

    Machine patient{0};
    patient.slow = "dispatcher";
    REQUIRE(patient.start());
    patient.world.run_for(120s);
    CHECK_FALSE(patient.failure);
    patient.slow.clear();
    CHECK(patient.wait_ready());
}

TEST_CASE("an optional worker that cannot start keeps nobody, and is tried again") {
    Machine machine{0, false};
    machine.dies_at_once = "sum";
    REQUIRE(machine.start());
    REQUIRE(machine.world.run_until([&] { return machine.times_ready == 1; }, 30s));
    machine.world.run_for(10s);
    CHECK_FALSE(machine.failure);
    CHECK(machine.starts_of("sum") > 3);
    CHECK_THAT(machine.endpoints(), Contains(R"("name":"sum-1","pid":0)"));
    machine.dies_at_once.clear();
    REQUIRE(machine.world.run_until([&] { return machine.supervisor->all_running(); }, 30s));
    machine.world.run_for(1s);
    CHECK_THAT(machine.endpoints(), !Contains("\"pid\":0"));
}

TEST_CASE("a host of programs is a child as the others are", "[up]") {
    Machine machine{7000, true, true};
    REQUIRE(machine.start());
    machine.slow = "host";
    machine.world.run_for(10s);
    CHECK(machine.times_ready == 0);  // it is waited for
    machine.slow.clear();
    REQUIRE(machine.wait_ready());
    CHECK(machine.up->url("host") == "http://127.0.0.1:7005");
    const port::ProcessSpec host{machine.arguments["host"], {}};
    CHECK(option(host, "--registry") == "/data");
    CHECK(option(host, "--dispatcher") == machine.up->url("dispatcher"));
    CHECK_THAT(machine.endpoints(), Contains(R"("host":{"url":"http://127.0.0.1:7005","pid":)"));
    const int old = machine.pid_of("host");
    REQUIRE(machine.processes.kill(old));
    REQUIRE(machine.world.run_until([&] { return machine.pid_of("host") != old; }, 5s));
    CHECK(machine.lives.at(machine.pid_of("host")).port == 7005);
}

TEST_CASE("a host that cannot run its programs keeps nobody from starting", "[up]") {
    Machine machine{0, true, true};
    machine.dies_at_once = "host";
    REQUIRE(machine.start());
    REQUIRE(machine.world.run_until([&] { return machine.times_ready == 1; }, 30s));
    machine.world.run_for(10s);
    CHECK_FALSE(machine.failure);
    CHECK(machine.starts_of("host") > 3);
    machine.dies_at_once.clear();
    REQUIRE(machine.world.run_until([&] { return machine.supervisor->all_running(); }, 30s));
}

TEST_CASE("a worker whose tasks are calls of a contract is given it", "[up]") {
    Machine machine{0};
    REQUIRE(machine.start());
    REQUIRE(machine.wait_ready());
    WorkerEntry hash{"hash", "", 3, true};
    hash.contract = R"({"a":{}})";
    REQUIRE(machine.supervisor->add(machine.up->add_worker(hash)));
    REQUIRE(machine.world.run_until([&] { return machine.supervisor->all_running(); }, 30s));
    const port::ProcessSpec spec{machine.arguments["hash"], {}};
    CHECK(machine.files[option(spec, "--contract")] == hash.contract);
    const port::ProcessSpec sum{machine.arguments["sum"], {}};
    CHECK(option(sum, "--contract").empty());
}

TEST_CASE("workers come and go while the others run") {
    Machine machine{7000};
    REQUIRE(machine.start());
    REQUIRE(machine.wait_ready());
    CHECK_FALSE(machine.up->has("hash-1"));
    REQUIRE(machine.supervisor->add(machine.up->add_worker({"hash", "", 3, true})));
    CHECK(machine.up->has("hash-1"));
    REQUIRE(machine.world.run_until([&] { return machine.supervisor->all_running(); }, 30s));
    const port::ProcessSpec hash{machine.arguments["hash"], {}};
    CHECK(option(hash, "--port") == "0");
    CHECK(option(hash, "--concurrency") == "3");
    machine.world.run_for(1s);
    CHECK_THAT(machine.endpoints(), Contains("\"hash-1\"") && Contains("\"sum-1\""));
    machine.supervisor->remove("sum-1", [&] { machine.up->forget("sum-1"); });
    REQUIRE(machine.world.run_until([&] { return !machine.up->has("sum-1"); }, 30s));
    CHECK_THAT(machine.endpoints(), Contains("\"hash-1\"") && !Contains("\"sum-1\""));
    CHECK(machine.ended == std::vector<std::string>{"sum"});
    CHECK(machine.processes.running().size() == 5);
    CHECK_FALSE(machine.failure);
}

TEST_CASE("a drain ends those first who need the others") {
    Machine machine{0};
    REQUIRE(machine.start());
    REQUIRE(machine.wait_ready());
    bool done = false;
    machine.supervisor->drain([&] { done = true; });
    REQUIRE(machine.world.run_until([&] { return done; }, 60s));
    REQUIRE(machine.ended.size() == 5);
    CHECK(machine.ended[3] == "dispatcher");
    CHECK(machine.ended[4] == "nameservice");
    CHECK(machine.processes.running().empty());
    CHECK(machine.started.size() == 5);  // nobody was started again
}

TEST_CASE("a child that does not end in time is killed, and the drain goes on") {
    Machine machine{0};
    machine.never_ends = "wait";
    REQUIRE(machine.start());
    REQUIRE(machine.wait_ready());
    bool done = false;
    const Duration begin = machine.world.now();
    machine.supervisor->drain([&] { done = true; });
    machine.world.run_for(9s);
    CHECK_FALSE(done);
    CHECK(std::ranges::count(machine.ended, "dispatcher") == 0);
    REQUIRE(machine.world.run_until([&] { return done; }, 60s));
    CHECK(machine.world.now() - begin < 15s);
    CHECK(machine.processes.running().empty());
}

TEST_CASE("a child has as long to end as its settings say, and the drain of all as long as all") {
    Machine machine{0};
    REQUIRE(machine.start());
    REQUIRE(machine.wait_ready());
    CHECK(machine.up->drain_max() == 5 * 10s);
    machine.slow_to_end = "hash";  // of one that comes later, too
    machine.never_ends = "hash";
    REQUIRE(machine.supervisor->add(machine.up->add_worker({"hash", "", 3, true})));
    REQUIRE(machine.world.run_until([&] { return machine.supervisor->all_running(); }, 30s));
    CHECK(machine.up->drain_max() == 5 * 10s + 125s);
    machine.slow_to_end.clear();  // what it was started with is what it has
    CHECK(machine.up->drain_max() == 5 * 10s + 125s);
    bool done = false;
    const Duration begin = machine.world.now();
    machine.supervisor->drain([&] { done = true; });
    machine.world.run_for(124s);
    CHECK(machine.processes.running().size() == 3);  // those it needs are there
    REQUIRE(machine.world.run_until([&] { return done; }, 60s));
    CHECK(machine.world.now() - begin < 130s);
    CHECK(machine.processes.running().empty());
}

TEST_CASE("a child that is started again has as long to end as its settings say by then") {
    Machine machine{0};
    REQUIRE(machine.start());
    REQUIRE(machine.wait_ready());
    machine.slow_to_end = "sum";
    machine.never_ends = "sum";
    const int before = machine.pid_of("sum");
    REQUIRE(machine.processes.kill(before));
    REQUIRE(machine.world.run_until(
        [&] { return machine.pid_of("sum") != before && machine.supervisor->all_running(); }, 30s));
    CHECK(machine.up->drain_max() == 4 * 10s + 125s);
    bool done = false;
    machine.supervisor->drain([&] { done = true; });
    machine.world.run_for(124s);
    CHECK_FALSE(done);
    CHECK(machine.processes.running().size() == 3);
    REQUIRE(machine.world.run_until([&] { return done; }, 60s));
    CHECK(machine.log.count("not in time, killed") == 1);
}

TEST_CASE("a drain before anything is ready, and a stop, leave nobody behind") {
    Machine machine{0};
    machine.ready = false;
    REQUIRE(machine.start());
    machine.world.run_for(1s);
    bool done = false;
    machine.supervisor->drain([&] { done = true; });
    REQUIRE(machine.world.run_until([&] { return done; }, 60s));
    CHECK(machine.processes.running().empty());

    Machine other{0};
    REQUIRE(other.start());
    REQUIRE(other.wait_ready());
    other.stop();
    other.world.run_for(1s);
    CHECK(other.processes.running().empty());
}
