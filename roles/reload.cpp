#include "reload.hpp"

#include <csignal>
#include <cstdlib>

#include "taskd/io/entropy.hpp"
#include "taskd/io/terminal.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::roles {

std::vector<OptionRow> with_log_rows(std::vector<OptionRow> own) {
    const OptionRow shared[] = {
        {.name = "log-level",
         .kind = OptionKind::choice,
         .value = "trace|debug|info|warn|error",
         .fallback = "info",
         .help = "what is logged",
         .reloads = true},
        {.name = "log-format",
         .kind = OptionKind::choice,
         .value = "auto|text|logfmt|json",
         .fallback = "auto",
         .help = "how; auto is text on a terminal, else logfmt",
         .reloads = true},
        {.name = "log-dir",
         .value = "DIR",
         .help = "folder for log files, one a process, beside what goes to stderr"},
        {.name = "log-file-size",
         .kind = OptionKind::bytes,
         .value = "SIZE",
         .fallback = "16MiB",
         .help = "a log file that would grow beyond it is put aside",
         .least = 4096,
         .most = std::int64_t{1} << 40},
        {.name = "log-files",
         .kind = OptionKind::number,
         .value = "N",
         .fallback = "5",
         .help = "how many are kept aside; 0: none is put aside, others see to that",
         .most = 1'000},
        {.name = "config", .value = "FILE", .help = "settings file", .from_file = false},
    };
    own.insert(own.end(), std::begin(shared), std::end(shared));
    return own;
}

Result<std::unique_ptr<io::ProcessLog>> make_role_log(const Options& options, LogName name) {
    const char* no_color = std::getenv("NO_COLOR");
    const std::string session = protocol::write_session(SessionId{io::random_seed()}).substr(0, 8);
    io::LogSettings settings;
    settings.level = *io::parse_log_level(options.text("log-level"));
    settings.format = *io::parse_log_format(options.text("log-format"));
    settings.instance = name.instance.empty() ? name.role + "-" + session : name.instance;
    settings.colour = no_color == nullptr || *no_color == '\0';
    settings.dir = options.text("log-dir");
    settings.file = name.file.empty() ? name.role : name.role + "-" + name.file;
    settings.file_bytes_max = options.bytes("log-file-size");
    settings.files_max = static_cast<std::uint32_t>(options.number("log-files"));
    settings.role = std::move(name.role);
    return io::make_log(settings);
}

SettingsReload::SettingsReload(const Options& options, io::ProcessLog& log)
    : started_{options}, current_{options}, log_{log} {}

Result<void> SettingsReload::listen(port::MainLoop& loop, std::function<void(int)> pass_on) {
    return loop.on_signal({SIGHUP, SIGUSR1}, [this, pass_on = std::move(pass_on)](int number) {
        if (number == SIGHUP && io::terminal_is_gone()) {
            ::raise(SIGTERM);
            return;
        }
        if (number == SIGHUP)
            reload();
        else
            reopen();
        if (pass_on) pass_on(number);
    });
}

void SettingsReload::reload() {
    const auto fresh = started_.again();
    if (fresh) return take(*fresh);
    log_.error("settings are not valid, the old ones stay", {{"error", fresh.error().to_string()}});
}

void SettingsReload::reopen() {
    log_.reopen();
    log_.info("log file opened again", {{"path", log_.file_path()}});
}

void SettingsReload::take(const Options& fresh) {
    std::string taken;
    std::string waiting;
    for (const OptionRow& row : fresh.page().options) {
        const Options& known = row.reloads ? current_ : started_;
        if (known.text(row.name) == fresh.text(row.name)) continue;
        std::string& names = row.reloads ? taken : waiting;
        names.append(names.empty() ? "" : ",").append(row.name);
    }
    current_ = fresh;
    log_.set_level(*io::parse_log_level(fresh.text("log-level")));
    log_.set_format(*io::parse_log_format(fresh.text("log-format")));
    log_.info("settings read again", {{"changed", taken.empty() ? "nothing" : taken}});
    if (!waiting.empty()) log_.warn("changed settings need a restart", {{"settings", waiting}});
}

}  // namespace taskd::roles
