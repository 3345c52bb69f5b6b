#include "worker_kind.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

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
constexpr std::size_t http_threads_max = 256;

// The runner, and what it stands on.
class ExecPart final : public service::TaskRunner {
  public:
    ExecPart(std::unique_ptr<io::WorkDir> dir, service::ExecSettings settings,
             const RunnerPorts& ports)
        : dir_{std::move(dir)},
          processes_{ports.ground.loop},
          told_{processes_, ports.ids, *ports.ground.bus, "exec"},
          runner_{std::move(settings),
                  {told_, ports.http, ports.lane, *ports.ground.clock, ports.ground.loop,
                   *ports.ground.log, io::make_private_dir, io::remove_tree}} {}

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
    auto settings = service::parse_call_url(options.text("url"));
    if (!settings) return fail(std::move(settings));
    if (options.duration("timeout") > Duration{0}) settings->timeout = options.duration("timeout");
    const auto wanted = options.given("concurrency")
                            ? static_cast<std::size_t>(options.number("concurrency"))
                            : http_concurrency;
    return WorkerKind{
        .type = std::move(*type),
        .name = "http",
        .concurrency = http_concurrency,
        // The name service has to be heard beside the calls.
        .http_threads = std::min(wanted, http_threads_max) + 2,
        .make_runner = [settings = std::move(*settings)](const RunnerPorts& ports,
                                                         const std::string&) -> Result<Runner> {
            return std::make_unique<service::CallRunner>(settings, ports.http, *ports.ground.clock);
        }};
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
    const work::WorkType* type = work::find_work(work::work_table(), name);
    if (type == nullptr)
        return fail(ErrorCode::unknown_type,
                    fmt::format("'{}' is none of exec, http, {}", name, known_types()));
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
         .help = "exec, http: the type of tasks",
         .from_environment = false},
        {.name = "url",
         .value = "URL",
         .help = "http: where tasks are posted to",
         .from_environment = false},
        {.name = "timeout",
         .kind = OptionKind::duration,
         .value = "TIME",
         .fallback = "0s",
         .help = "exec, http: of one run; 0: exec as the task says, http 60s"},
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
         .help = "exec: of address space a process"},
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
    return own;
}

}  // namespace taskd::roles
