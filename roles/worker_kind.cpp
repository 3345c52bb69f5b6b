#include "worker_kind.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

#include "lua_runner.hpp"
#include "split_list.hpp"
#include "taskd/io/processes.hpp"
#include "taskd/io/work_dir.hpp"
#include "taskd/runtime/told_processes.hpp"
#include "taskd/service/builtin_runner.hpp"
#include "taskd/service/call_runner.hpp"
#include "taskd/service/exec_runner.hpp"
#include "taskd/work/work.hpp"

namespace taskd::roles {
namespace {

using Runner = std::unique_ptr<service::TaskRunner>;

// Processes are heavier than calls, and calls heavier than what is built in.
constexpr std::uint32_t builtin_concurrency = 64;
constexpr std::uint32_t exec_concurrency = 4;
constexpr std::uint32_t http_concurrency = 16;
constexpr std::uint32_t lua_concurrency = 8;
constexpr std::size_t log_threads = 16;  // of a lua worker, for what tasks print

// The runner, and what it stands on.
class ExecPart final : public service::TaskRunner {
  public:
    ExecPart(std::unique_ptr<io::WorkDir> dir, service::ExecSettings settings,
             const RunnerPorts& ports)
        : dir_{std::move(dir)},
          processes_{ports.ground.loop},
          told_{processes_, ports.ids, *ports.ground.bus, "exec"},
          runner_{
              std::move(settings),
              {told_, ports.http, ports.lane, *ports.ground.clock, ports.ground.loop,
               *ports.ground.log, [this](const std::string& path) { return dir_->make_dir(path); },
               io::remove_tree}} {}

    void run(service::TaskRun run, std::function<void(service::RunEnd)> done) override {
        runner_.run(std::move(run), std::move(done));
    }
    void stop(const protocol::LeaseKey& lease, std::function<void()> gone) override {
        runner_.stop(lease, std::move(gone));
    }
    std::optional<Progress> progress(const protocol::LeaseKey& lease) const override {
        return runner_.progress(lease);
    }

  private:
    std::unique_ptr<io::WorkDir> dir_;
    io::ProcessRunner processes_;
    runtime::ToldProcesses told_;
    service::ExecRunner runner_;
};

Result<std::set<int>> read_codes(const std::string& text) {
    std::set<int> codes;
    for (const std::string& part : split_list(text)) {
        int code = 0;
        const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), code);
        if (error != std::errc{} || end != part.data() + part.size() || code < 1 || code > 255)
            return fail(ErrorCode::bad_usage, "--permanent takes exit codes from 1 to 255");
        codes.insert(code);
    }
    return codes;
}

Result<service::ExecSettings> read_exec(const Options& options) {
    service::ExecSettings settings;
    const auto& words = options.positional();
    if (words.size() < 2)
        return fail(ErrorCode::bad_usage, "usage: taskd worker exec --type TYPE -- PROGRAM [ARG…]");
    settings.argv.assign(words.begin() + 1, words.end());
    auto program = io::find_program(settings.argv.front());
    if (!program) return fail(std::move(program));
    settings.argv.front() = std::move(*program);
    for (const std::string& name : split_list(options.text("pass-env")))
        if (const char* value = std::getenv(name.c_str())) settings.env.emplace_back(name, value);
    auto codes = read_codes(options.text("permanent"));
    if (!codes) return fail(std::move(codes));
    settings.permanent = std::move(*codes);
    const std::string& form = options.text("result");
    settings.form = form == "json"   ? service::OutputForm::json
                    : form == "text" ? service::OutputForm::text
                                     : service::OutputForm::automatic;
    settings.limits = {.cpu_seconds = static_cast<std::uint64_t>(options.number("cpu-max")),
                       .memory_bytes = options.bytes("memory-max"),
                       .files = static_cast<std::uint64_t>(options.number("files-max")),
                       .processes = static_cast<std::uint64_t>(options.number("processes-max")),
                       .file_bytes = options.bytes("file-size-max")};
    settings.timeout = options.duration("timeout");
    settings.grace = options.duration("grace");
    return settings;
}

// The type of a worker that needs no code.
Result<std::string> read_type(const Options& options) {
    const std::string& type = options.text("type");
    if (!is_type_name(type))
        return fail(ErrorCode::bad_usage,
                    type.empty() ? "--type is missing" : "'" + type + "' is no name of a type");
    return type;
}

Result<WorkerKind> exec_kind(const Options& options) {
    auto type = read_type(options);
    if (!type) return fail(std::move(type));
    auto settings = read_exec(options);
    if (!settings) return fail(std::move(settings));
    return WorkerKind{
        .type = std::move(*type),
        .name = "exec",
        .concurrency = exec_concurrency,
        .make_runner = [settings = std::move(*settings), base = options.text("work-dir")](
                           const RunnerPorts& ports,
                           const std::string& instance) mutable -> Result<Runner> {
            auto dir = io::WorkDir::make(base, instance);
            if (!dir) return std::unexpected{dir.error()};
            settings.dir = (*dir)->path();
            settings.key = ports.ground.key;
            return std::make_unique<ExecPart>(std::move(*dir), std::move(settings), ports);
        }};
}

Result<WorkerKind> http_kind(const Options& options) {
    auto type = read_type(options);
    if (!type) return fail(std::move(type));
    if (options.positional().size() != 1)
        return fail(ErrorCode::bad_usage, "usage: taskd worker http --type TYPE --url URL");
    if (options.text("url").empty())
        return fail(ErrorCode::bad_usage, "--url is missing: http://… or https://…");
    auto settings = service::parse_call_url(options.text("url"));
    if (!settings) return fail(std::move(settings));
    if (options.duration("timeout") > Duration{0}) settings->timeout = options.duration("timeout");
    const auto wanted = options.given("concurrency")
                            ? static_cast<std::size_t>(options.number("concurrency"))
                            : http_concurrency;
    if (wanted > service::call_concurrency_max)
        return fail(ErrorCode::bad_usage, fmt::format("--concurrency of a worker that calls is {} "
                                                      "at most: a call takes a thread",
                                                      service::call_concurrency_max));
    return WorkerKind{
        .type = std::move(*type),
        .name = "http",
        .concurrency = http_concurrency,
        // A task that was taken back leaves its slot at once and its thread when the call has
        // ended. A byte more than a result may have tells that it has too many.
        .calls = {.threads_max = 2 * wanted,
                  .answer_bytes_max = limits::result_bytes_max + 1,
                  .cut_answers = true},
        .make_runner = [settings = std::move(*settings)](const RunnerPorts& ports,
                                                         const std::string&) -> Result<Runner> {
            return std::make_unique<service::CallRunner>(settings, ports.http, *ports.ground.clock);
        }};
}

lua::PoolKind pool_kind(const std::string& name) {
    return name == "inline"   ? lua::PoolKind::fresh
           : name == "static" ? lua::PoolKind::fixed
           : name == "lazy"   ? lua::PoolKind::lazy
                              : lua::PoolKind::adaptive;
}

Result<WorkerKind> lua_kind(const Options& options) {
    auto type = read_type(options);
    if (!type) return fail(std::move(type));
    if (options.positional().size() != 1 || options.text("source").empty())
        return fail(ErrorCode::bad_usage, "usage: taskd worker lua --type TYPE --source FILE");
    auto modules = split_list(options.text("modules"));
    auto program = load_program(options.text("source"), modules.empty() ? module_names() : modules);
    if (!program) return fail(std::move(program));
    LuaSettings settings{.program = std::move(*program), .method = options.text("method")};
    if (options.bytes("memory-max") > 0) settings.limits.memory_bytes = options.bytes("memory-max");
    if (options.duration("timeout") > Duration{0})
        settings.limits.time = options.duration("timeout");
    settings.limits.instructions = static_cast<std::uint64_t>(options.number("instructions-max"));
    settings.pool.kind = pool_kind(options.text("pool"));
    settings.pool.machines_max = options.given("concurrency")
                                     ? static_cast<std::size_t>(options.number("concurrency"))
                                     : lua_concurrency;
    settings.pool.waiting_max = 10'000;  // leases bound them
    settings.programs.threads = static_cast<unsigned>(options.number("threads"));
    settings.programs.dispatcher_url = options.text("dispatcher");
    // Of a task that was taken back the request goes on for a while.
    settings.programs.exchanges_max =
        std::clamp<std::size_t>(2 * settings.pool.machines_max, limits::program_exchanges_max,
                                2 * service::call_concurrency_max);
    // More tasks than that wait as long as their requests may take: nobody else is held up.
    settings.programs.exchange_patience = Duration::max();
    return WorkerKind{.type = std::move(*type),
                      .name = "lua",
                      .concurrency = lua_concurrency,
                      .calls = {.threads_max = settings.programs.exchanges_max + log_threads},
                      .make_runner = [settings = std::move(settings)](
                                         const RunnerPorts& ports,
                                         const std::string& instance) mutable -> Result<Runner> {
                          settings.programs.node = instance;
                          auto made = LuaRunner::make(settings, ports.ground, ports.http);
                          if (!made) return std::unexpected{made.error()};
                          return std::move(*made);
                      }};
}

std::vector<OptionRow> with_lua_rows(std::vector<OptionRow> own) {
    const OptionRow rows[] = {
        {.name = "source", .value = "FILE", .help = "lua: the program", .from_environment = false},
        {.name = "method",
         .value = "NAME",
         .help = "lua: which function of what the program returns"},
        {.name = "modules",
         .value = "NAMES",
         .help = "lua: what the program may require, with commas; unless said everything"},
        {.name = "pool",
         .kind = OptionKind::choice,
         .value = "adaptive|lazy|static|inline",
         .fallback = "adaptive",
         .help = "lua: when machines are made and let go; inline is one for each task"},
        {.name = "instructions-max",
         .kind = OptionKind::number,
         .value = "N",
         .fallback = "100000000",
         .help = "lua: what a program may do without waiting",
         .least = 10'000},
        {.name = "threads",
         .kind = OptionKind::number,
         .value = "N",
         .fallback = "2",
         .help = "lua: that run programs",
         .least = 1,
         .most = 256},
        {.name = "dispatcher",
         .value = "URL",
         .fallback = "http://127.0.0.1:4000",
         .help = "lua: whom the modules tasks, workflows, topics and queue ask"}};
    own.insert(own.end(), std::begin(rows), std::end(rows));
    return own;
}

}  // namespace

std::string known_types() {
    std::string names;
    for (const work::WorkType& type : work::work_table())
        names += (names.empty() ? "" : ", ") + std::string{type.name};
    return names;
}

Result<WorkerKind> read_kind(const Options& options) {
    const std::string& name = options.positional().front();
    if (name == "exec") return exec_kind(options);
    if (name == "http") return http_kind(options);
    if (name == "lua") return lua_kind(options);
    const work::WorkType* type = work::find_work(work::work_table(), name);
    if (type == nullptr)
        return fail(ErrorCode::unknown_type,
                    fmt::format("'{}' is none of exec, http, lua, {}", name, known_types()));
    if (options.positional().size() != 1)
        return fail(ErrorCode::bad_usage,
                    fmt::format("unexpected argument '{}'", options.positional()[1]));
    return WorkerKind{
        .type = name,
        .name = "builtin",
        .concurrency = builtin_concurrency,
        .make_runner = [type](const RunnerPorts& ports, const std::string&) -> Result<Runner> {
            return std::make_unique<service::BuiltinRunner>(*type, ports.lane, *ports.ground.clock,
                                                            ports.ground.loop);
        }};
}

std::vector<OptionRow> with_kind_rows(std::vector<OptionRow> own) {
    const OptionRow rows[] = {
        {.name = "type",
         .value = "TYPE",
         .help = "exec, http, lua: the type of tasks",
         .from_environment = false},
        {.name = "url",
         .value = "URL",
         .help = "http: where tasks are posted to",
         .from_environment = false},
        {.name = "timeout",
         .kind = OptionKind::duration,
         .value = "TIME",
         .fallback = "0s",
         .help = "exec, http: of one run; 0: exec as the task says, http 60s; lua: of running "
                 "without waiting"},
        {.name = "result",
         .kind = OptionKind::choice,
         .value = "auto|json|text",
         .fallback = "auto",
         .help = "exec: what is printed; auto is JSON where it parses, else a text"},
        {.name = "permanent",
         .value = "CODES",
         .fallback = "64,65,66,77,78",
         .help = "exec: exit codes that are not tried again"},
        {.name = "grace",
         .kind = OptionKind::duration,
         .value = "TIME",
         .fallback = "5s",
         .help = "exec: from SIGTERM to SIGKILL"},
        {.name = "pass-env",
         .value = "NAMES",
         .help = "exec: variables of the worker that programs see, with commas"},
        {.name = "work-dir",
         .value = "DIR",
         .help = "exec: where each run gets a folder, in place of one in $TMPDIR"},
        {.name = "cpu-max",
         .kind = OptionKind::number,
         .value = "SECONDS",
         .fallback = "0",
         .help = "exec: of processor time a run; 0: no limit, as below"},
        {.name = "memory-max",
         .kind = OptionKind::bytes,
         .value = "SIZE",
         .fallback = "0",
         .help = "exec: of address space a process; lua: of a program, 16M unless said"},
        {.name = "file-size-max",
         .kind = OptionKind::bytes,
         .value = "SIZE",
         .fallback = "0",
         .help = "exec: of a file that is written"},
        {.name = "files-max",
         .kind = OptionKind::number,
         .value = "N",
         .fallback = "0",
         .help = "exec: open files a process"},
        {.name = "processes-max",
         .kind = OptionKind::number,
         .value = "N",
         .fallback = "0",
         .help = "exec: processes of the worker's user, all together"}};
    own.insert(own.end(), std::begin(rows), std::end(rows));
    return with_lua_rows(std::move(own));
}

}  // namespace taskd::roles
