// Tasks done by programs, on simulated processes: results, exit codes, logs, limits of time, stops.
#include "taskd/service/exec_runner.hpp"

#include <csignal>

#include "catch.hpp"
#include "memory_log.hpp"
#include "sim_processes.hpp"

using namespace taskd;
using namespace taskd::service;
using namespace taskd::test;
using namespace std::chrono_literals;
using port::ProcessStream;
using Program = std::shared_ptr<SimProgram>;

namespace {

// Keeps what is appended, as the dispatcher does.
struct LogKeeper final : port::HttpHandler {
    void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
        targets.push_back(request.target);
        if (status == 200) log += request.body;
        if (status == 0) return held.push_back(std::move(respond));
        respond({status, {}, "{}"});
    }
    int status = 200;  // 0: silent
    std::string log;
    std::vector<std::string> targets;
    std::vector<port::HttpResponder> held;
};

struct ExecWorld {
    ExecWorld() {
        REQUIRE(world.host("dispatcher").serve(4000, keeper));
        settings.argv = {"/run", "x"};
        settings.dir = "/runs";
        make();
    }
    void make() {
        runner.reset();
        runner = std::make_unique<ExecRunner>(
            settings, ExecPorts{processes, host.http(), *lane, host.clock(), host.timers(), log,
                                [this](const std::string& dir) -> Result<void> {
                                    if (refuse_dirs) return fail(ErrorCode::disk_full, dir);
                                    dirs.insert(dir);
                                    return {};
                                },
                                [this](const std::string& dir) -> Result<void> {
                                    dirs.erase(dir);
                                    return {};
                                }});
    }
    void install(std::function<void(const Program&)> main) {
        processes.install("/run", std::move(main));
    }
    void begin(std::optional<Duration> timeout = {}) {
        runner->run({.lease = lease,
                     .type = "t",
                     .payload = "[1]",
                     .attempt = 1,
                     .timeout = timeout,
                     .dispatcher_url = "http://dispatcher:4000"},
                    [this](RunEnd end) { ended = std::move(end); });
    }
    // How one run ends: the result, or "CODE again" or "CODE permanent".
    std::string run(std::function<void(const Program&)> main) {
        install(std::move(main));
        ended.reset();
        begin();
        world.run_for(20s);
        return told();
    }
    std::string told() const {
        if (!ended) return "runs";
        if (*ended) return **ended;
        const TaskError& error = ended->error().error;
        return error.code + (error.permanent ? " permanent" : " again");
    }

    SimWorld world{1};
    SimHost& host = world.host("worker");
    LogKeeper keeper;
    SimProcessRunner processes{host};
    std::unique_ptr<port::Background> lane = host.make_lane();
    MemoryLog log;
    ExecSettings settings;
    std::set<std::string> dirs;
    bool refuse_dirs = false;
    const protocol::LeaseKey lease{*TaskId::parse("018bcfe5-687b-7000-8000-0000000000ab"),
                                   LeaseEpoch{3}};
    std::unique_ptr<ExecRunner> runner;
    std::optional<RunEnd> ended;
};

}  // namespace

TEST_CASE("a program gets the payload, an environment and a folder, and gives the result") {
    ExecWorld world;
    std::optional<port::ProcessSpec> seen;
    CHECK(world.run([&](const Program& self) {
        seen = self->spec();
        CHECK(world.dirs.size() == 1);
        self->print(ProcessStream::out, "{\"sum\": 6}\n");
        self->exit(0);
    }) == "{\"sum\": 6}");
    REQUIRE(seen);
    CHECK(seen->argv == std::vector<std::string>{"/run", "x"});
    CHECK(seen->input == "[1]");
    CHECK(seen->only_env);
    CHECK(seen->guarded);
    CHECK(seen->dir == "/runs/018bcfe5-687b-7000-8000-0000000000ab.3");
    const auto variable = [&](std::string_view name) {
        for (const auto& [each, value] : seen->env)
            if (each == name) return value;
        return std::string{"missing"};
    };
    CHECK(variable("HOME") == seen->dir);
    CHECK(variable("TASKD_TASK_ID") == "018bcfe5-687b-7000-8000-0000000000ab");
    CHECK(variable("TASKD_TASK_TYPE") == "t");
    CHECK(variable("TASKD_ATTEMPT") == "1");
    CHECK(variable("TASKD_PROGRESS_FD") == "3");
    CHECK(seen->has_side);
    CHECK(variable("TRACEPARENT") == "00-018bcfe5687b700080000000000000ab-0000000000000003-01");
    CHECK(world.dirs.empty());
}

TEST_CASE("what a program prints is JSON where it parses, else a text") {
    const auto made = [](std::string_view text, OutputForm form) {
        return output_as_json(text, form).value_or("refused");
    };
    CHECK(made("[1, 2]\n", OutputForm::automatic) == "[1, 2]");
    CHECK(made("hello\nworld\r\n", OutputForm::automatic) == R"("hello\nworld")");
    CHECK(made("", OutputForm::automatic) == "null");
    CHECK(made("01", OutputForm::automatic) == R"("01")");
    CHECK(made("\xff", OutputForm::automatic) == "refused");
    CHECK(made("true", OutputForm::text) == R"("true")");
    CHECK(made("", OutputForm::text) == R"("")");
    CHECK(made("true", OutputForm::json) == "true");
    CHECK(made("yes", OutputForm::json) == "refused");
    CHECK(made("", OutputForm::json) == "refused");
}

TEST_CASE("exit codes say whether a task is tried again, its last words say why") {
    ExecWorld world;
    for (const int code : {1, 2, 75, 126, 127, 255})
        CHECK(world.run([&](const Program& self) { self->exit(code); }) ==
              "exit_" + std::to_string(code) + " again");
    for (const int code : {64, 65, 66, 77, 78})
        CHECK(world.run([&](const Program& self) { self->exit(code); }) ==
              "exit_" + std::to_string(code) + " permanent");
    CHECK(world.run([&](const Program& self) {
        self->print(ProcessStream::err, "no such file\n");
        self->exit(3);
    }) == "exit_3 again");
    CHECK(world.ended->error().error.message == "no such file");
    CHECK(world.run([&](const Program& self) { world.processes.kill(self->pid()); }) ==
          "signal_9 again");
    CHECK(world.run([&](const Program& self) {
        self->print(ProcessStream::out, std::string(limits::result_bytes_max + 1, '1'));
    }) == "task_too_large permanent");
    world.settings.form = OutputForm::json;
    world.make();
    CHECK(world.run([&](const Program& self) { self->exit(0); }) == "bad_output again");
    CHECK(world.dirs.empty());
}

TEST_CASE("what cannot be started is tried again") {
    ExecWorld world;
    world.begin();
    CHECK(world.told() == "cannot_start again");  // no such program
    world.world.run_for(1s);
    CHECK(world.dirs.empty());
    world.install([](const Program& self) { self->exit(0); });
    world.refuse_dirs = true;
    world.begin();
    CHECK(world.told() == "cannot_start again");
    CHECK(world.ended->error().not_begun);
}

TEST_CASE("standard error goes to the task's log before the result is told") {
    ExecWorld world;
    CHECK(world.run([&](const Program& self) {
        self->print(ProcessStream::err, "one ");
        self->print(ProcessStream::err, "two");
        self->exit(0);
    }) == "null");
    CHECK(world.keeper.log == "one two");
    CHECK(world.keeper.targets.front() ==
          "/v1/leases/018bcfe5-687b-7000-8000-0000000000ab.3/logs?offset=0");
    // A log that takes nothing holds the result up for so long and no longer.
    world.keeper.status = 503;
    world.keeper.log.clear();
    world.install([&](const Program& self) {
        self->print(ProcessStream::err, "lost");
        self->exit(0);
    });
    world.ended.reset();
    world.begin();
    world.world.run_for(4s);
    CHECK(world.told() == "runs");
    world.world.run_for(2s);
    CHECK(world.told() == "null");
    world.keeper.status = 413;  // full: no more is sent
    world.keeper.targets.clear();
    CHECK(world.run([&](const Program& self) {
        self->print(ProcessStream::err, "too much");
        self->exit(0);
    }) == "null");
    CHECK(world.keeper.targets.size() == 1);
}

TEST_CASE("a log is sent again past what a proxy says of it") {
    ExecWorld world;
    world.keeper.status = 404;
    world.install([&](const Program& self) {
        self->print(ProcessStream::err, "kept");
        self->exit(0);
    });
    world.begin();
    world.world.run_for(1s);
    CHECK(world.keeper.targets.size() > 1);
    world.keeper.status = 200;
    world.world.run_for(3s);
    CHECK(world.told() == "null");
    CHECK(world.keeper.log == "kept");
}

TEST_CASE("a log that cannot be sent for a while goes on behind a gap") {
    ExecWorld world;
    world.settings.log_patience = 1min;
    world.make();
    world.keeper.status = 0;
    std::shared_ptr<SimProgram> program;
    world.install([&](const Program& self) {
        program = self;
        self->print(ProcessStream::err, "first");
    });
    world.begin();
    world.world.run_for(1s);
    for (int i = 0; i < 80; ++i)
        program->print(ProcessStream::err, std::string(limits::process_line_bytes_max, 'x'));
    world.world.run_for(1s);
    world.keeper.status = 200;
    program->print(ProcessStream::err, "last");
    program->exit(0);
    program.reset();
    world.world.run_for(20s);
    CHECK(world.told() == "null");
    CHECK(world.keeper.log.starts_with("first"));
    CHECK(world.keeper.log.ends_with("last"));
    CHECK(world.keeper.log.size() < limits::log_append_bytes_max);
    const std::size_t all = 5 + 80 * limits::process_line_bytes_max + 4;
    const std::string& target = world.keeper.targets.back();
    const std::size_t offset = std::stoul(target.substr(target.find('=') + 1));
    CHECK(offset + (world.keeper.log.size() - 5) == all);
}

TEST_CASE("a program that runs too long is asked to end and then killed") {
    ExecWorld world;
    world.settings.timeout = 10s;
    world.make();
    world.install([](const Program& self) { self->print(ProcessStream::err, "at work"); });
    world.begin();
    world.world.run_for(9s);
    CHECK(world.told() == "runs");
    world.world.run_for(2s);
    CHECK(world.told() == "attempt_timeout again");
    bool asked = false;
    world.install([&](const Program& self) { self->on_terminate([&] { asked = true; }); });
    world.ended.reset();
    world.begin(3s);  // the task's own limit is less
    world.world.run_for(4s);
    CHECK(asked);
    CHECK(world.told() == "runs");
    world.world.run_for(5s);
    CHECK(world.told() == "attempt_timeout again");
    CHECK(world.processes.running().empty());
    CHECK(world.dirs.empty());
}

TEST_CASE("a stopped run is gone when its program is, and tells nothing else") {
    ExecWorld world;
    world.install([&](const Program& self) { self->on_terminate([] {}); });
    world.begin();
    world.world.run_for(1s);
    bool gone = false;
    world.runner->stop(world.lease, [&] { gone = true; });
    world.world.run_for(4s);
    CHECK_FALSE(gone);
    world.world.run_for(2s);
    CHECK(gone);
    CHECK(world.told() == "runs");
    CHECK(world.processes.running().empty());
    world.world.run_for(1s);
    CHECK(world.dirs.empty());
    world.begin();
    world.world.run_for(1s);
    world.runner.reset();  // as at the end of the worker
    world.world.run_for(1s);
    CHECK(world.processes.running().empty());
    CHECK(world.dirs.empty());
}

TEST_CASE("a line of progress is a percentage and a note") {
    const auto made = [](std::string_view line) -> std::string {
        const auto parsed = parse_progress_line(line);
        if (!parsed) return "refused";
        return (parsed->percent ? std::to_string(*parsed->percent) : "-") + "|" + parsed->note;
    };
    CHECK(made("0") == "0|");
    CHECK(made("40 reading") == "40|reading");
    CHECK(made("100 all is done") == "100|all is done");
    CHECK(made("- waiting for the tape") == "-|waiting for the tape");
    CHECK(made("-") == "-|");
    CHECK(made("7 ") == "7|");
    CHECK(made("7 " + std::string(limits::progress_note_bytes_max, 'n')).size() == 1'002);
    for (const std::string& line : std::vector<std::string>{
             "", " 40", "101", "-1", "4.5", "40%", "+4", "half", "40\tx", "7 \xff",
             "7 " + std::string(limits::progress_note_bytes_max + 1, 'n')}) {
        INFO(line.substr(0, 20));
        CHECK(made(line) == "refused");
    }
}

TEST_CASE("what a program says of its progress is told by its last whole line") {
    ExecWorld world;
    std::shared_ptr<SimProgram> program;
    world.install([&](const Program& self) { program = self; });
    world.begin();
    world.world.run_for(1s);
    const auto said = [&](const std::string& bytes) {
        program->print(ProcessStream::side, bytes);
        world.world.run_for(1s);
        return world.runner->progress(world.lease);
    };
    CHECK_FALSE(world.runner->progress(world.lease));
    CHECK_FALSE(said("1"));
    CHECK(said("0 beg")->percent == std::nullopt);
    CHECK(said("un\n")->percent == 10);
    CHECK(said("")->note == "begun");
    CHECK(said("20 a\n30 b\r\n40")->percent == 30);
    CHECK(said(std::string(2'000'000, 'x'))->note == "b");
    CHECK(world.keeper.log.empty());
    for (int i = 0; i < 20; ++i)
        CHECK(said("\nhalf")->percent == 30);
    const std::string& log = world.keeper.log;
    CHECK(log.starts_with("taskd: no line of progress: it does not begin with 0 to 100, or '-'\n"));
    CHECK(std::ranges::count(log, '\n') == 5);
    CHECK(log.ends_with("; further ones are not told\n"));
    CHECK(said("\n100 done\n")->percent == 100);
    program->print(ProcessStream::out, "1");
    program->exit(0);
    program.reset();
    world.world.run_for(1s);
    CHECK(world.told() == "1");
    CHECK_FALSE(world.runner->progress(world.lease));
    CHECK_FALSE(world.runner->progress({}));
}
