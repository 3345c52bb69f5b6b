#include "reload.hpp"

#include <csignal>

#include "taskd/io/terminal.hpp"

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
         .value = "auto|text|logfmt",
         .fallback = "auto",
         .help = "how; auto is text on a terminal, else logfmt",
         .reloads = true},
        {.name = "config", .value = "FILE", .help = "settings file", .from_file = false},
    };
    own.insert(own.end(), std::begin(shared), std::end(shared));
    return own;
}

std::unique_ptr<io::ProcessLog> make_role_log(const Options& options, std::string role,
                                              std::string instance) {
    return io::make_log({.level = *io::parse_log_level(options.text("log-level")),
                         .role = std::move(role),
                         .instance = std::move(instance),
                         .format = *io::parse_log_format(options.text("log-format"))});
}

SettingsReload::SettingsReload(const Options& options, io::ProcessLog& log)
    : started_{options}, current_{options}, log_{log} {}

Result<void> SettingsReload::listen(port::MainLoop& loop, std::function<void(int)> pass_on) {
    return loop.on_signal({SIGHUP}, [this, pass_on = std::move(pass_on)](int number) {
        if (io::terminal_is_gone()) {
            ::raise(SIGTERM);
            return;
        }
        reload();
        if (pass_on) pass_on(number);
    });
}

void SettingsReload::reload() {
    const auto fresh = started_.again();
    if (fresh) return take(*fresh);
    log_.error("settings are not valid, the old ones stay", {{"error", fresh.error().to_string()}});
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
